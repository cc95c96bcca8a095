"""Numbers and days inside sentences."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.message import Message

from ratchet.events.v1 import model_pb2


def day(message: Message, field: str) -> str:
    """A bar's time: 2006-12-29, or 2006-12-29T15:30Z for a time within a day; an unset one is the beginning."""
    if not message.HasField(field):
        return "the beginning"
    seconds: int = getattr(message, field).seconds
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d}" if seconds % 86_400 == 0 else f"{moment:%Y-%m-%dT%H:%MZ}"


def e_value(value: float) -> str:
    """Three digits, thousands with separators, from a million on scientific."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}" if value < 1e6 else f"{value:.1e}"


def p_value(value: float) -> str:
    """Three decimals, or `below 0.001`."""
    return f"{value:.3f}" if value >= 0.001 else "below 0.001"


def percent(interval: model_pb2.Interval) -> str:
    """`+3.1 % [+1.0, +5.2]`; without bounds if undefined."""
    if not (interval.HasField("low") and interval.HasField("high")):
        return f"{_signed(interval.value)} %"
    return f"{_signed(interval.value)} % [{_signed(interval.low)}, {_signed(interval.high)}]"


def gain(interval: model_pb2.Interval) -> str:
    """A difference of Brier scores: `-0.0110 [-0.0300, +0.0080]`; without bounds if undefined."""
    known = interval.HasField("low") and interval.HasField("high")
    return f"{interval.value:+.4f}{f' [{interval.low:+.4f}, {interval.high:+.4f}]' if known else ''}"


def _signed(value: float) -> str:
    """One decimal with its sign, and no minus before a zero."""
    return f"{round(value, 1) + 0.0:+.1f}"
