"""ratchet doctor, checks of the log: the caller's role, the length of the log, its checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ratchet.cli.connect import command_line
from ratchet.client import Client
from ratchet.client.credentials import TOKEN_VARIABLE
from ratchet.errors import InvalidInput, NotAllowed, RatchetError, Unauthenticated
from ratchet.eventlog.v1 import eventlog_pb2
from services.local.doctor_check import CheckResult, check_result


def log(home: str | None, folder: Path, client: Client) -> Iterator[CheckResult]:
    """`folder`: the home, for its public key and remembered checkpoints, if any."""
    verify = command_line(home, "log", "verify")
    try:
        head = client.get_head()
    except (Unauthenticated, NotAllowed) as error:
        new = command_line(home, "tokens", "add", client.actor.partition("@")[0] or "me", "--role", "viewer")
        yield check_result("token", False, error.message.partition(";")[0], new)
        return
    except RatchetError as error:
        yield check_result("log", False, error.message.partition(";")[0], command_line(home, "up"))
        return
    yield from _caller(client)
    size = sum(file.stat().st_size for file in folder.glob("log.sqlite*"))
    yield check_result("log", True, f"{head.position} events{f', {size / 2**20:.1f} MiB' if size else ''}", "")
    try:
        yield check_result("checkpoint", True, _checked(folder, client, head), "")
    except RatchetError as error:
        yield check_result("checkpoint", False, error.message.partition(";")[0], verify)


def _caller(client: Client) -> Iterator[CheckResult]:
    """The role of the token, from the answer to an empty append, which only services may request."""
    try:
        client.append(eventlog_pb2.AppendRequest())
    except NotAllowed as error:
        known = error.metadata
        yield check_result(
            "token", True, f"{known['caller']}, {known['role']}" if "caller" in known else "accepted", ""
        )
    except InvalidInput:
        if os.environ.get(TOKEN_VARIABLE):
            yield check_result("token", True, "a service's, or one that nobody asks for", "")


def _checked(folder: Path, client: Client, head: eventlog_pb2.GetHeadResponse) -> str:
    from ratchet.cli.checkpoint_file import check_consistency, newest_remembered
    from ratchet.cli.log_proofs import PUBLIC_NAME
    from ratchet.cli.log_verify import CHECKPOINTS_NAME
    from ratchet.errors import CorruptData
    from ratchet.transparency import checkpoints
    from ratchet.transparency.keys import load_trusted

    if not head.checkpoint:
        return "this log is not signed yet"
    checkpoint = checkpoints.received(head.checkpoint)
    key = folder / PUBLIC_NAME
    if not key.exists():
        return f"signed at {checkpoint.signed_at.isoformat()}; not checked, for there is no {key}"
    if not checkpoints.verify(checkpoint, load_trusted(key).public_key) or checkpoint.root != head.root:
        raise CorruptData(f"the signature of the log's end is not that of {key}")
    remembered = newest_remembered(folder / CHECKPOINTS_NAME)
    if remembered is None:
        return f"signed at {checkpoint.signed_at.isoformat()} by the key of {key}"
    check_consistency(client, remembered, checkpoint)
    return f"signed by the key of {key}, and goes on from the {remembered.size} events remembered in {CHECKPOINTS_NAME}"
