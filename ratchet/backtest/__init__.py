"""The whole loop replayed over history: dates, arms, scores, and the report of it. `ratchet backtest` runs it."""
