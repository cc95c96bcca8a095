"""Formatting and parsing of bar times, epoch seconds UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from ratchet.errors import InvalidInput


def format_time(moment: int) -> str:
    """RFC 3339 UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def format_day(moment: int) -> str:
    """The date, with the time of day unless it is midnight UTC."""
    return format_time(moment).removesuffix("T00:00:00Z")


def parse_option(option: str, text: str) -> int:
    """Epoch seconds of the last second of a date, or of an RFC 3339 time. InvalidInput otherwise."""
    try:
        if len(text) == len("2009-12-31"):
            return int(datetime.combine(date.fromisoformat(text), time(23, 59, 59), UTC).timestamp())
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{option} {text!r} is not a date; write 2009-12-31, or a time such as 2009-12-31T16:00:00Z",
            fields={option.removeprefix("--"): "not a date"},
        ) from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def parse_bar_time(text: str) -> int:
    """Epoch seconds of a bar: the first second of a date, or an RFC 3339 time."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
