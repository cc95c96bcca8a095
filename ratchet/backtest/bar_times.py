"""Bar times in words: epoch seconds UTC to and from dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from ratchet.errors import InvalidInput


def written(moment: int) -> str:
    """RFC 3339 UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def day(moment: int) -> str:
    """The date, with the time of day where there is one."""
    return written(moment).removesuffix("T00:00:00Z")


def parsed(option: str, text: str) -> int:
    """Epoch seconds of a date, which means its last second, or of a time in RFC 3339. InvalidInput otherwise."""
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


def bar_time(text: str) -> int:
    """Epoch seconds of a bar: of a date its first second, or of a time in RFC 3339."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
