"""What commands print: tables and lines for people, JSON for programs; always on stdout alone."""

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
Shown = TypeVar("Shown")

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
    """--limit: how many are shown to people; JSON has them all."""
    text = f"How many {of} to show; 0: all."
    return click.option("--limit", type=click.IntRange(0, LARGEST), default=default, show_default=True, help=text)


def newest(found: Sequence[Shown], limit: int) -> Sequence[Shown]:
    """The last `limit` of what is listed oldest first; 0: all."""
    return found[-limit:] if limit else found


def say_left_out(count: int, what: str, command: str) -> None:
    """The line after a list that was cut short: how many there are besides, and the command that shows all."""
    if count > 0:
        click.echo(f"{count:,} {what}; all of them: {command} --limit 0")


def show(value: Shown, output: str, render: Callable[[Shown], None]) -> None:
    """Print `value`, a message, a list of messages or plain data: as JSON, or by `render`."""
    if output == "json":
        click.echo(json.dumps(to_json(value), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        render(value)


def to_json(value: object) -> JsonValue:
    """Plain data for json.dumps: messages as `ratchet.transparency.event_json` has them, their times to the second."""
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
    return when(time) or None


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; a column whose name begins with > is right-aligned. Nothing is cut off.

    On a terminal too narrow to keep its words whole, each row is a block of lines instead.
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
    made = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        whole = all(" " not in cell or len(cell) <= SHORT_CELL for cell in (name, *(row[number] for row in rows)))
        side: Literal["left", "right"] = "right" if name.startswith(">") else "left"
        made.add_column(name.removeprefix(">"), justify=side, overflow="fold", no_wrap=whole)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)


def _width(columns: Sequence[str], rows: Sequence[Sequence[str]], parts: Callable[[str], list[str]]) -> int:
    """The characters that a table takes when the `parts` of its cells stay whole."""
    from rich.cells import cell_len

    cells = zip(*([name.removeprefix(">") for name in columns], *rows), strict=True)
    return GAP + sum(
        GAP + max((cell_len(part) for cell in column for part in parts(cell)), default=0) for column in cells
    )


def _blocks(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A row as lines of name and value, the empty ones left out."""
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


def when(time: Timestamp) -> str:
    """RFC 3339 UTC; empty for a time that is not set."""
    if not time.seconds and not time.nanos:
        return ""
    return _utc(time).isoformat(timespec="seconds").replace("+00:00", "Z")


def day(time: Timestamp) -> str:
    """The date of a bar, with the time of day where it has one."""
    text = when(time)
    return text.removesuffix("T00:00:00Z")


def _utc(time: Timestamp) -> datetime:
    return time.ToDatetime(tzinfo=UTC)


def number(value: float, digits: int = 3) -> str:
    """A number with as many decimals; very large and very small ones, such as a p, in scientific notation."""
    if math.isfinite(value) and value and (abs(value) >= 1e6 or abs(value) < 10**-digits):
        return f"{value:.2g}"
    return fixed(value, 0 if abs(value) >= 1000 else digits)


def fixed(value: float, digits: int) -> str:
    """A number with exactly as many decimals, and no minus before a zero."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "?"
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def interval(found: Interval, digits: int = 3, signed: bool = False) -> str:
    """`0.251 [0.240, 0.262]`, without the bounds where there are none."""
    sign = "+" if signed and found.value > 0 else ""
    if not (found.HasField("low") and found.HasField("high")):
        return f"{sign}{fixed(found.value, digits)}"
    low, high = fixed(found.low, digits), fixed(found.high, digits)
    return f"{sign}{fixed(found.value, digits)} [{low}, {high}]"


def measured(message: Message, field: str, digits: int = 3, signed: bool = False) -> str:
    """A field that holds a number or an Interval; `not defined` where it is not set."""
    if not message.HasField(field):
        return "not defined"
    value = getattr(message, field)
    return number(value, digits) if isinstance(value, float) else interval(value, digits, signed)


def word(enum_name: str, prefix: str) -> str:
    """`VERDICT_NO_NEW_EVIDENCE` without its prefix, or `-` when unspecified."""
    text = enum_name.removeprefix(prefix)
    return "-" if text == "UNSPECIFIED" else text
