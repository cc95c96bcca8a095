"""The rules of patterns. Pure functions: no I/O, no clock, no randomness."""
