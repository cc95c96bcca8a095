"""The knowledge projection: state folded from the log, kept up to date by following the log."""
