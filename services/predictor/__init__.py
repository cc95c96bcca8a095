"""Forecasts of recorded models; read-only, with any number of replicas."""
