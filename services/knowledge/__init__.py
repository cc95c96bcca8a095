"""Patterns and feature importance: what has been learned, how sure it is, and since when."""
