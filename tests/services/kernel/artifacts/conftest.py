"""The S3 server that these tests share."""

from seaweed import seaweed

__all__ = ["seaweed"]
