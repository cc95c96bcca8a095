"""Forecasts of recorded models: any number of replicas answer, none of them writes."""
