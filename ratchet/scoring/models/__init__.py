"""Model families, and the learned function of a model version."""
