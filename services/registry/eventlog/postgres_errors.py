"""Error mapping of PostgreSQL to RatchetErrors. No message repeats a URL, which may hold a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ratchet.errors import CorruptData, InvalidInput, LogFull, NotAllowed, RatchetError, Unreachable
from services.registry.eventlog.database import ConstraintBroken

WAIT_SECONDS = 30
"""For the one writer, and for a free connection."""

_RETRY_HINT = "try again"

_BY_STATE: dict[str, tuple[type[RatchetError], str]] = {
    "53100": (LogFull, "nothing of this request was written: free disk space and send it again"),
    "53200": (Unreachable, "the server has no memory left: try again"),
    "53300": (Unreachable, "allow more connections (max_connections), or try again"),
    "25006": (NotAllowed, "name the primary server, and a database that may be written"),
    "42501": (NotAllowed, "let this user own the database, or its schema"),
    "55P03": (Unreachable, f"another process has held it for {WAIT_SECONDS} s: stop it, or try again"),
    "25P03": (Unreachable, "this process stood still inside a transaction: send the request again"),
    "40001": (Unreachable, _RETRY_HINT),
    "40P01": (Unreachable, _RETRY_HINT),
    "57014": (Unreachable, "the server cancelled it: check its statement_timeout, or try again"),
    "54000": (InvalidInput, "send shorter names"),
    "58030": (Unreachable, "its disk does not answer as it should: check it and send the request again"),
    "XX001": (CorruptData, "the database is damaged: restore it from a backup"),
    "XX002": (CorruptData, "an index of the database is damaged: restore it from a backup"),
}

_BY_WORDS: tuple[tuple[str, type[RatchetError], str], ...] = (
    ("password", NotAllowed, "put the right one into RATCHET_LOG or PGPASSWORD"),
    ("pg_hba.conf", NotAllowed, "let this user and host in, in the server's pg_hba.conf"),
    ("role ", NotAllowed, "name a user of the server in RATCHET_LOG"),
    ("database ", Unreachable, "make it with createdb --encoding=UTF8, or name another one in RATCHET_LOG"),
    ("", Unreachable, "check that the server runs and that RATCHET_LOG names its host and port"),
)
"""Hints for refused connections, which have no SQLSTATE. The last entry always matches."""


def connection_error(name: str, error: psycopg.Error) -> RatchetError:
    """The RatchetError of a failed connection to the log `name`."""
    message = " ".join(str(error).split())
    reason = message.rpartition("failed: ")[2].removeprefix("FATAL: ").strip() or message
    kind, hint = next((kind, hint) for part, kind, hint in _BY_WORDS if part in reason)
    return kind(f"{name} can't be opened: {reason}; {hint}")


@contextmanager
def mapped_errors(name: str) -> Iterator[None]:
    """Maps errors of psycopg to those of database.py, about the log `name`."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise ConstraintBroken(_message(error)) from error
    except psycopg.DataError as error:
        raise InvalidInput(f"{name} can't hold this: {_message(error)}; send another value") from error
    except psycopg.Error as error:
        known = _BY_STATE.get(error.sqlstate or "")
        if known is None and not isinstance(error, psycopg.OperationalError):
            raise
        kind, hint = known or (Unreachable, "the server has gone, or can't answer now: try again")
        raise kind(f"{name}: {_message(error)}; {hint}") from error


def _message(error: psycopg.Error) -> str:
    """The primary message alone: details may quote parameters."""
    return error.diag.message_primary or " ".join(str(error).split())
