"""ratchet log verify: verification of the whole log against a trusted public key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli.checkpoint_file import newest_remembered, remember, remember_option
from ratchet.cli.connect import DEFAULT_HOME, connect
from ratchet.cli.log_proofs import FILE, key_option, trusted_key
from ratchet.cli.output import format_time, home_option, output_option, show, table
from ratchet.errors import CorruptData, Internal

if TYPE_CHECKING:
    from ratchet.client import Client
    from ratchet.transparency.checkpoints import Checkpoint
    from ratchet.transparency.keys import Key, TrustedKey
    from ratchet.transparency.verification import VerificationReport

CHECKPOINTS_NAME = "checkpoints.txt"


@dataclass(frozen=True)
class VerificationResult:
    """Result of a verification; `checked`: number of checked items by kind."""

    findings: tuple[str, ...]
    checked: Mapping[str, int]
    notes: tuple[str, ...]
    checkpoint: Checkpoint | None
    key: Key | None
    orphans: tuple[str, ...] = ()
    collected: tuple[str, ...] = ()

    @classmethod
    def of(cls, report: VerificationReport) -> VerificationResult:
        return cls(report.findings, dict(report.checked), report.notes, report.checkpoint, report.key)

    def to_json(self) -> dict[str, object]:
        return {
            "verified": not self.findings,
            "findings": list(self.findings),
            "checked": dict(self.checked),
            "orphans": list(self.orphans),
            "collected": list(self.collected),
            "notes": list(self.notes),
            "checkpoint": self._checkpoint(),
        }

    def _checkpoint(self) -> dict[str, object] | None:
        if self.checkpoint is None or self.key is None:
            return None
        return {
            "origin": self.checkpoint.origin,
            "size": self.checkpoint.size,
            "root": self.checkpoint.root.hex(),
            "signed_at": format_time(Timestamp(seconds=self.checkpoint.time)),
            "key_id": self.key.id,
        }


@click.command("verify")
@click.option("--export", "file", type=FILE, default=None, help="Verify this file of ratchet log export: no service.")
@key_option
@click.option("--checkpoints", type=FILE, default=None, help="A file of checkpoints; the log must continue them.")
@remember_option
@click.option("--gc", is_flag=True, help="Remove artifacts that nothing refers to and that are older than a day.")
@home_option
@output_option
def verify_(
    file: Path | None,
    key: str | None,
    checkpoints: Path | None,
    remember_in: Path | None,
    gc: bool,
    home: str | None,
    output: str,
) -> None:
    """Verify the whole log: bytes, signatures, and every decision from its evidence.

    On a running home the log is read and replayed here, and the registry checks what lies beside it: read tables,
    Merkle nodes, artifacts. Exit 7 when something does not verify.
    """
    if file is not None and (key is None or home is not None or gc):
        raise click.UsageError("--export FILE goes with --key KEY, and without --home and --gc")
    known = newest_remembered(remember_in)
    remembered = [*_read_checkpoints(checkpoints), *([known] if known else [])]
    if file is not None:
        from ratchet.transparency.export import verify_export

        result = VerificationResult.of(verify_export(file, trusted_key(None, key), remembered))
    else:
        result = _verify_served(home, trusted_key(home, key), remembered, gc)
    show(result.to_json(), output, lambda _: _render(result))
    if result.findings:
        raise CorruptData(f"the log does not verify: {_count(len(result.findings))}\n  " + "\n  ".join(result.findings))
    if remember_in is not None and result.checkpoint is not None:
        remember(remember_in, result.checkpoint, known)


def _count(findings: int) -> str:
    return "1 finding" if findings == 1 else f"{findings} findings"


def _read_checkpoints(file: Path | None) -> list[Checkpoint]:
    from ratchet.transparency.checkpoint_files import read_checkpoints

    return read_checkpoints(file) if file is not None else []


def _verify_served(
    home: str | None, trusted: TrustedKey, remembered: Sequence[Checkpoint], gc: bool
) -> VerificationResult:
    """Replays the events of the registry, and adds the registry's own verification."""
    kept = Path(home or DEFAULT_HOME) / CHECKPOINTS_NAME
    file_checkpoints = _read_checkpoints(kept if kept.exists() else None)
    with connect(home) as client:
        replayed = _replayed(client, trusted, file_checkpoints, remembered)
        response = client.verify(remembered, collect_garbage=gc)
    return VerificationResult(
        tuple(dict.fromkeys((*replayed.findings, *response.findings))),
        {**{each.what: each.count for each in response.checked}, **dict(replayed.checked)},
        tuple(dict.fromkeys((*replayed.notes, *response.notes))),
        replayed.checkpoint,
        replayed.key,
        tuple(response.orphans),
        tuple(response.collected),
    )


def _replayed(
    client: Client, trusted: TrustedKey, file_checkpoints: Sequence[Checkpoint], remembered: Sequence[Checkpoint]
) -> VerificationReport:
    from ratchet.transparency.checkpoints import received
    from ratchet.transparency.verification import LogVerifier

    answer = client.get_head()
    newest, malformed = [], ""
    try:
        newest = [received(answer.checkpoint)] if answer.checkpoint else []
    except CorruptData as error:
        malformed = f"the checkpoint of the log's end: {error.message}"
    replay = LogVerifier(_ordered([*file_checkpoints, *newest]), _ordered(remembered), [trusted])
    if malformed:
        replay.add_finding(malformed)
    try:
        for event in client.read_log(1, answer.position) if answer.position else ():
            replay.add(event.position, event.stream, event.version, event.topic, event.state)
    except (CorruptData, Internal) as error:
        replay.add_finding(f"the events after position {replay.size} can't be read: {error.message}")
    return replay.finish()


def _ordered(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    return sorted(checkpoints, key=lambda checkpoint: checkpoint.size)


def _render(result: VerificationResult) -> None:
    table("", ("checked", ">count"), [(what, f"{count:,}") for what, count in result.checked.items()])
    for line in _lines(result):
        click.echo(line)


def _lines(result: VerificationResult) -> Iterator[str]:
    for digest in result.orphans:
        yield f"orphan: artifact {digest}, which no event refers to; --gc removes those older than a day"
    for digest in result.collected:
        yield f"removed: artifact {digest}, which no event referred to"
    for note in result.notes:
        yield f"note: {note}"
    checkpoint, key = result.checkpoint, result.key
    if not result.findings and checkpoint is not None and key is not None:
        yield f"verified: {checkpoint.size} events with root {checkpoint.root.hex()}, signed with the key {key.id}"
