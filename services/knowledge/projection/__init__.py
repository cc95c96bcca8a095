"""Everything known, folded from the log and kept up to date by following it."""
