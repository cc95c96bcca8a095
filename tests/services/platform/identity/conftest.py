"""Certificates and tokens."""

from tests.support.identity import secured  # noqa: F401 a fixture
