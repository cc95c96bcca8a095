"""Settings of all tests: no timing decides one."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ratchet", deadline=None)
settings.load_profile("ratchet")
