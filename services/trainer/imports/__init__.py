"""Bars in and out: files become snapshots in the store and facts in the log."""
