"""Who calls, and what they may: bearer tokens with roles. Off where RATCHET_TOKENS names no file."""

from services.platform.identity.authorization import Identity

__all__ = ["Identity"]
