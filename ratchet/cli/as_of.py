"""Options for as-of reads: --as-of (log time) and --known-before (market time).

A date is in UTC. For --as-of it means the end of the day, which includes that day's events; for --known-before its
beginning, which excludes that day's labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, TypeVar

import click
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli.connect import command_line
from ratchet.cli.output import LARGEST
from ratchet.errors import NotFound

if TYPE_CHECKING:
    from ratchet.client import AsOf

Command = TypeVar("Command", bound=Callable[..., Any])

AS_OF, KNOWN_BEFORE = "--as-of", "--known-before"
END_OF_DAY = time(23, 59, 59, 999999)

_DIGITS = re.compile(r"[0-9]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class TimePoint:
    """A log position, or a time; neither: the present. `option` and `text`: as given on the command line."""

    option: str = ""
    text: str = ""
    position: int = 0
    moment: datetime | None = None

    @property
    def given(self) -> bool:
        return bool(self.position or self.moment)

    @property
    def time(self) -> Timestamp | None:
        if self.moment is None:
            return None
        stamp = Timestamp()
        stamp.FromDatetime(self.moment)
        return stamp

    @property
    def point(self) -> AsOf | None:
        """The `as_of` argument of a client; None for the present."""
        return self.time or self.position or None

    @property
    def arguments(self) -> list[str]:
        """Command-line arguments for a printed command."""
        return [self.option, self.text] if self.given else []

    def __str__(self) -> str:
        if self.moment is None:
            return f"log position {self.position}"
        return self.moment.isoformat().replace("+00:00", "Z")


PRESENT = TimePoint()


def parse_as_of(text: str) -> TimePoint:
    """Parses a position, an RFC 3339 time, or a date, which means its end. ValueError otherwise."""
    if _DIGITS.fullmatch(text):
        if not 1 <= int(text) <= LARGEST:
            raise ValueError(f"{text} is no log position: they begin at 1")
        return TimePoint(AS_OF, text, position=int(text))
    return TimePoint(AS_OF, text, moment=_time(text, END_OF_DAY))


def parse_known_before(text: str) -> TimePoint:
    """Parses an RFC 3339 time, or a date, which means its beginning. ValueError otherwise."""
    return TimePoint(KNOWN_BEFORE, text, moment=_time(text, time()))


def _time(text: str, of_day: time) -> datetime:
    """Times without an offset are in UTC."""
    if _DAY.fullmatch(text):
        return datetime.combine(date.fromisoformat(text), of_day, UTC)
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _callback(
    parse: Callable[[str], TimePoint], forms: str
) -> Callable[[click.Context, click.Parameter, str | None], TimePoint]:
    def read(_: click.Context, __: click.Parameter, text: str | None) -> TimePoint:
        if text is None:
            return PRESENT
        try:
            return parse(text)
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(f"{text!r}: {error}; write {forms}") from error

    return read


def as_of_option(command: Command) -> Command:
    """--as-of: passes a TimePoint as `as_of`."""
    return click.option(
        AS_OF,
        "as_of",
        metavar="POSITION|TIME",
        callback=_callback(
            parse_as_of, "a log position, a date such as 2026-03-03, or a time such as 2026-03-03T16:00:00Z"
        ),
        help="Log time: as of this position, time, or end of this day (UTC).",
    )(command)


def known_before_option(command: Command) -> Command:
    """--known-before: passes a TimePoint as `known_before`."""
    return click.option(
        KNOWN_BEFORE,
        "known_before",
        metavar="DATE",
        callback=_callback(parse_known_before, "a date such as 2009-12-31, or a time such as 2009-12-31T16:00:00Z"),
        help="Market time: from labels known before this day or time (UTC).",
    )(command)


def require_recorded(as_of: TimePoint, head: int, home: str | None) -> None:
    """NotFound for a position beyond the end of the log."""
    if as_of.position > head:
        tail = command_line(home, "log", "tail")
        raise NotFound(f"no log position {as_of.position} yet: the log ends at {head}; see {tail}")


def print_as_of(as_of: TimePoint, output: str, known_before: TimePoint = PRESENT) -> None:
    """Prints the as-of line above an answer; to stderr with JSON output."""
    parts = [
        *([f"as of {as_of} (log time)"] if as_of.given else []),
        *([f"from labels known before {known_before} (market time)"] if known_before.given else []),
    ]
    if parts:
        click.echo(", ".join(parts), err=output == "json")
