"""Filter options for events: by stream, type, actor and time."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli.as_of import parse_known_before
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import facts_pb2

Command = TypeVar("Command", bound=Callable[..., Any])

FACTS = {name: message.full_name for name, message in facts_pb2.DESCRIPTOR.message_types_by_name.items()}
_TIME = "a date such as 2026-03-03, or a time such as 2026-03-03T16:00:00Z"


def filter_options(command: Command) -> Callable[..., Any]:
    """--stream, --type, --actor, --since and --before: passes one Filter as `where`."""

    @click.option("--stream", "streams", multiple=True, metavar="PREFIX", help="Streams that begin so, e.g. lineage/.")
    @click.option("--type", "types", multiple=True, metavar="FACT", callback=_topics, help="E.g. ModelPromoted.")
    @click.option("--actor", default="", help="Of this actor.")
    @click.option("--since", metavar="TIME", callback=_moment, help="Recorded at this time or later; a day: its start.")
    @click.option("--before", metavar="TIME", callback=_moment, help="Recorded before this time; a day: its start.")
    @wraps(command)
    def wrapped(
        *args: Any,
        streams: tuple[str, ...],
        types: tuple[str, ...],
        actor: str,
        since: Timestamp | None,
        before: Timestamp | None,
        **options: Any,
    ) -> Any:
        where = eventlog_pb2.Filter(
            stream_prefixes=streams, topics=types, actor=actor, recorded_from=since, recorded_to=before
        )
        return command(*args, where=where, **options)

    return wrapped


def _topics(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in FACTS:
            near = difflib.get_close_matches(name, FACTS, 1)
            raise click.BadParameter(f"{name!r} is no fact; {f'did you mean {near[0]}?' if near else ', '.join(FACTS)}")
    return tuple(FACTS[name] for name in names)


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> Timestamp | None:
    if text is None:
        return None
    try:
        return parse_known_before(text).time
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{text!r}: {error}; write {_TIME}") from error
