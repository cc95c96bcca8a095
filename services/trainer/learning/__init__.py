"""One training session as a pure computation: inputs in, a model and everything that is known about it out."""
