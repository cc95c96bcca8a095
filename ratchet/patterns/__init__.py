"""Patterns: the text and identity of a rule, its evidence bar by bar, and the retention threshold."""
