"""Certificates and tokens."""

from secured import secured  # noqa: F401 a fixture
