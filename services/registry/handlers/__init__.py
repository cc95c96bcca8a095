"""The writes: names parsed, states loaded, decided by the domain, committed by the log."""
