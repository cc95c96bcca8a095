"""The knowledge service: patterns and feature importance, with their evidence, confidence and history."""
