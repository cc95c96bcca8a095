"""The event log: append-only, one writer, tamper-evident, with read tables in the same transaction."""

from services.registry.log.append import Append, Committed, NewEvent, Origin, Recorded
from services.registry.log.application import LogApplication
from services.registry.log.log import Log, open_log
from services.registry.log.reading import Filter, Head, Query
from services.registry.log.rebuild import Rebuilt
from services.registry.log.tables import Statement, Table

__all__ = [
    "Append",
    "Committed",
    "Filter",
    "Head",
    "Log",
    "LogApplication",
    "NewEvent",
    "Origin",
    "Query",
    "Rebuilt",
    "Recorded",
    "Statement",
    "Table",
    "open_log",
]
