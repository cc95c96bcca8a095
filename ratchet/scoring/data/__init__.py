"""Bars: parsing, validation and storage."""
