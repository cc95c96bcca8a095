"""The event log: append-only, one writer, tamper-evident, with read tables in the same transaction."""

from services.registry.eventlog.append import Append, CommitResult, Origin, RecordedEvent
from services.registry.eventlog.application import LogApplication
from services.registry.eventlog.log import Log, open_log
from services.registry.eventlog.read_tables import Statement, Table
from services.registry.eventlog.reading import Filter, Head, Query
from services.registry.eventlog.rebuild import RebuildResult

__all__ = [
    "Append",
    "CommitResult",
    "Filter",
    "Head",
    "Log",
    "LogApplication",
    "Origin",
    "Query",
    "RebuildResult",
    "RecordedEvent",
    "Statement",
    "Table",
    "open_log",
]
