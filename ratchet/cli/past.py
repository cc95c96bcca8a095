"""--as-of as the registry is asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ratchet.cli.moments import PRESENT, Moment, say_past

if TYPE_CHECKING:
    from ratchet.client import AsOf


def point_of(as_of: Moment) -> AsOf | None:
    """The point of log time for a client's `as_of`; None for the present."""
    return as_of.time or as_of.position or None


def say_as_of(as_of: Moment, output: str) -> None:
    """The line above an answer about the past; nothing for the present."""
    say_past(as_of, PRESENT, output)
