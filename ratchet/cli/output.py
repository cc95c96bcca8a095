"""Output of commands: tables and lines of text, or JSON; on stdout only."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from ratchet.events.v1.model_pb2 import Interval

JsonValue = Any
Value = TypeVar("Value")

PIPE_WIDTH = 240
GAP = 3
SHORT_CELL = 12
LARGEST = 2**63 - 1

POSITION = click.IntRange(1, LARGEST)
HORIZON = click.IntRange(min=1)
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="How to print."
)
home_option = click.option(
    "--home", type=click.Path(file_okay=False), default=None, help="Home folder of the services  [default: ./.ratchet]"
)


def limit_option(default: int, of: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--limit: number of rows in text output; JSON has all."""
    text = f"How many {of} to show; 0: all."
    return click.option("--limit", type=click.IntRange(0, LARGEST), default=default, show_default=True, help=text)


def newest(found: Sequence[Value], limit: int) -> Sequence[Value]:
    """The last `limit` items of a list in ascending order; 0: all."""
    return found[-limit:] if limit else found


def print_omitted(count: int, what: str, command: str) -> None:
    """Prints the number of omitted items, and the command that shows all."""
    if count > 0:
        click.echo(f"{count:,} {what}; all of them: {command} --limit 0")


def show(value: Value, output: str, render: Callable[[Value], None]) -> None:
    """Prints `value`, a message, a list of messages or plain data: as JSON, or by `render`."""
    if output == "json":
        click.echo(json.dumps(to_json(value), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        render(value)


def to_json(value: object) -> JsonValue:
    """Plain data for json.dumps: messages as in `ratchet.transparency.event_json`, with times to the second."""
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from ratchet.transparency.event_json import json_scalar, message_to_json

    if isinstance(value, Timestamp):
        return _time(value)
    if isinstance(value, Message):
        return message_to_json(value, _time)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return json_scalar(value)


def _time(time: Timestamp) -> str | None:
    return format_time(time) or None


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table; a `>` before a column name aligns it right. Nothing is truncated.

    On a terminal too narrow for whole words, each row is a block of lines instead.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [tuple(row) for row in rows]
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(PIPE_WIDTH, _width(columns, rows, str.splitlines))
    elif _width(columns, rows, str.split) > console.width:
        lines(_blocks(title, columns, rows))
        return
    table_ = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        whole = all(" " not in cell or len(cell) <= SHORT_CELL for cell in (name, *(row[number] for row in rows)))
        side: Literal["left", "right"] = "right" if name.startswith(">") else "left"
        table_.add_column(name.removeprefix(">"), justify=side, overflow="fold", no_wrap=whole)
    for row in rows:
        table_.add_row(*(Text(cell) for cell in row))
    console.print(table_)


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]], parts: Callable[[str], list[str]]) -> int:
    """Width of a table with unbroken `parts` of its cells, in characters."""
    from rich.cells import cell_len

    cells = zip(*([name.removeprefix(">") for name in columns], *rows), strict=True)
    return GAP + sum(
        GAP + max((cell_len(part) for cell in column for part in parts(cell)), default=0) for column in cells
    )


def _blocks(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each row as lines of name and value, without empty values."""
    names = [name.removeprefix(">") for name in columns]
    indent = max(map(len, names), default=0) + 2
    if title:
        yield title
    for row in rows:
        yield from (f"{name:<{indent}}{cell}" for name, cell in zip(names, row, strict=True) if cell)
        yield ""


def lines(texts: Iterable[str], err: bool = False) -> None:
    for text in texts:
        click.echo(text, err=err)


def format_time(time: Timestamp) -> str:
    """RFC 3339 UTC; empty for an unset time."""
    if not time.seconds and not time.nanos:
        return ""
    return _utc(time).isoformat(timespec="seconds").replace("+00:00", "Z")


def format_day(time: Timestamp) -> str:
    """The date of a bar, with the time of day unless it is midnight UTC."""
    text = format_time(time)
    return text.removesuffix("T00:00:00Z")


def _utc(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` decimals; very large and very small ones in scientific notation."""
    if math.isfinite(value) and value and (abs(value) >= 1e6 or abs(value) < 10**-digits):
        return f"{value:.2g}"
    return fixed(value, 0 if abs(value) >= 1000 else digits)


def fixed(value: float, digits: int) -> str:
    """A number with exactly `digits` decimals, and no minus before a zero."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "?"
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def interval(found: Interval, digits: int = 3, signed: bool = False) -> str:
    """`0.251 [0.240, 0.262]`, without bounds if undefined."""
    sign = "+" if signed and found.value > 0 else ""
    if not (found.HasField("low") and found.HasField("high")):
        return f"{sign}{fixed(found.value, digits)}"
    low, high = fixed(found.low, digits), fixed(found.high, digits)
    return f"{sign}{fixed(found.value, digits)} [{low}, {high}]"


def format_measure(message: Message, field: str, digits: int = 3, signed: bool = False) -> str:
    """A numeric or Interval field as text; `not defined` if unset."""
    if not message.HasField(field):
        return "not defined"
    value = getattr(message, field)
    return number(value, digits) if isinstance(value, float) else interval(value, digits, signed)


def enum_word(enum_name: str, prefix: str) -> str:
    """`VERDICT_NO_NEW_EVIDENCE` without its prefix, or `-` when unspecified."""
    text = enum_name.removeprefix(prefix)
    return "-" if text == "UNSPECIFIED" else text
