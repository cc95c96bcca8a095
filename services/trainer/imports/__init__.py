"""Import and export of bars: files become snapshots in the store and facts in the log."""
