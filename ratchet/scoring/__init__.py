"""From bars to a forecast: bars, features, targets, models, baselines. Extra `trainer`."""
