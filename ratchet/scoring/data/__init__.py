"""Bars: what a series is made of, how they are read from a file, checked and kept."""
