"""Backtest: replay of the whole loop over history, scores and report. `ratchet backtest` runs it."""
