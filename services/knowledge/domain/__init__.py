"""What a pattern is and when it counts as known. Pure: no I/O, no clock, no randomness."""
