"""Model families: what can be fitted, and the learned function that a model version is."""
