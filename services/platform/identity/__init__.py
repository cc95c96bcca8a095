"""Authentication and authorization: bearer tokens with roles. Off unless RATCHET_TOKENS names a file."""

from services.platform.identity.authorization import Identity

__all__ = ["Identity"]
