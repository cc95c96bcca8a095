"""Statistics of forecasts: scores with intervals, e-values, HAC variances, recalibration. Numpy only."""
