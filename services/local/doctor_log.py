"""ratchet doctor on the log: who this caller is to it, how long it is, and whether its end is what was signed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ratchet.cli.connect import command_line
from ratchet.client import Client
from ratchet.client.credentials import TOKEN_VARIABLE
from ratchet.errors import InvalidInput, NotAllowed, RatchetError, Unauthenticated
from ratchet.eventlog.v1 import eventlog_pb2
from services.local.doctor_finding import Finding, finding


def log(home: str | None, folder: Path, client: Client) -> Iterator[Finding]:
    """`folder`: the home, whose public key and remembered heads are used where they are there."""
    verify = command_line(home, "log", "verify")
    try:
        head = client.get_head()
    except (Unauthenticated, NotAllowed) as error:
        new = command_line(home, "tokens", "add", client.actor.partition("@")[0] or "me", "--role", "viewer")
        yield finding("token", False, error.message.partition(";")[0], new)
        return
    except RatchetError as error:
        yield finding("log", False, error.message.partition(";")[0], command_line(home, "up"))
        return
    yield from _caller(client)
    size = sum(file.stat().st_size for file in folder.glob("log.sqlite*"))
    yield finding("log", True, f"{head.position} events{f', {size / 2**20:.1f} MiB' if size else ''}", "")
    try:
        yield finding("signed head", True, _checked(folder, client, head), "")
    except RatchetError as error:
        yield finding("signed head", False, error.message.partition(";")[0], verify)


def _caller(client: Client) -> Iterator[Finding]:
    """The role of the token, by asking for what only services may do and what nobody gets: an append of nothing."""
    try:
        client.append(eventlog_pb2.AppendRequest())
    except NotAllowed as error:
        known = error.metadata
        yield finding("token", True, f"{known['caller']}, {known['role']}" if "caller" in known else "accepted", "")
    except InvalidInput:
        if os.environ.get(TOKEN_VARIABLE):
            yield finding("token", True, "a service's, or one that nobody asks for", "")


def _checked(folder: Path, client: Client, head: eventlog_pb2.GetHeadResponse) -> str:
    from ratchet.cli.checkpoint_file import check_consistency, newest_remembered
    from ratchet.cli.log_proofs import PUBLIC_NAME
    from ratchet.cli.log_verify import CHECKPOINTS_NAME
    from ratchet.errors import CorruptData
    from ratchet.transparency import checkpoints

    if not head.HasField("signed"):
        return "this log is not signed yet"
    signed = checkpoints.Checkpoint.from_message(head.signed)
    key = folder / PUBLIC_NAME
    if not key.exists():
        return f"signed at {signed.time.isoformat()}; not checked, for there is no {key}"
    if not checkpoints.verify(signed, checkpoints.load_public(key)) or signed.root != head.root:
        raise CorruptData(f"the signature of the log's end is not that of {key}")
    remembered = newest_remembered(folder / CHECKPOINTS_NAME)
    if remembered is None:
        return f"signed at {signed.time.isoformat()} by the key of {key}"
    check_consistency(client, remembered, signed)
    return f"signed by the key of {key}, and goes on from the {remembered.size} events remembered in {CHECKPOINTS_NAME}"
