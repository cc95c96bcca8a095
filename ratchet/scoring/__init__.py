"""Scoring: bars, features, targets, models and baselines. Extra `trainer`."""
