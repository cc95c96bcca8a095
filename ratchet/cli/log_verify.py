"""ratchet log verify: the log checked by someone who trusts a public key and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratchet.cli.checkpoint_file import newest_remembered, remember, remember_option
from ratchet.cli.connect import DEFAULT_HOME, connect
from ratchet.cli.log_proofs import FILE, trusted_key
from ratchet.cli.output import home_option, output_option, show, table
from ratchet.errors import CorruptData, Internal

if TYPE_CHECKING:
    from ratchet.client import Client
    from ratchet.transparency.checkpoints import Checkpoint
    from ratchet.transparency.verification import VerificationReport

HEADS_NAME = "heads.jsonl"


@dataclass(frozen=True)
class Outcome:
    """What a verification says; `checked`: what was looked at, and how much of it."""

    findings: tuple[str, ...]
    checked: Mapping[str, int]
    notes: tuple[str, ...]
    head: Checkpoint | None
    orphans: tuple[str, ...] = ()
    collected: tuple[str, ...] = ()

    @classmethod
    def of(cls, report: VerificationReport) -> Outcome:
        return cls(report.findings, dict(report.checked), report.notes, report.checkpoint)

    def to_json(self) -> dict[str, object]:
        head = self.head
        return {
            "verified": not self.findings,
            "findings": list(self.findings),
            "checked": dict(self.checked),
            "orphans": list(self.orphans),
            "collected": list(self.collected),
            "notes": list(self.notes),
            "head": {"size": head.size, "root": head.root.hex(), "key_id": head.key_id} if head else None,
        }


@click.command("verify")
@click.option("--export", "file", type=FILE, default=None, help="Verify this file of ratchet log export: no service.")
@click.option("--key", type=FILE, default=None, help="The public key to trust  [default: signing.pub in the home]")
@click.option("--heads", type=FILE, default=None, help="Signed heads that were remembered; the log must continue them.")
@remember_option
@click.option("--gc", is_flag=True, help="Remove artifacts that nothing refers to and that are older than a day.")
@home_option
@output_option
def verify_(
    file: Path | None,
    key: Path | None,
    heads: Path | None,
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
        raise click.UsageError("--export FILE goes with --key PUB, and without --home and --gc")
    known = newest_remembered(remember_in)
    remembered = [*_heads_of(heads), *([known] if known else [])]
    if file is not None:
        from ratchet.transparency.export import verify_export

        outcome = Outcome.of(verify_export(file, trusted_key(None, key), remembered))
    else:
        outcome = _verify_served(home, trusted_key(home, key), remembered, gc)
    show(outcome.to_json(), output, lambda _: _render(outcome))
    if outcome.findings:
        raise CorruptData(
            f"the log does not verify: {_count(len(outcome.findings))}\n  " + "\n  ".join(outcome.findings)
        )
    if remember_in is not None and outcome.head is not None:
        remember(remember_in, outcome.head, known)


def _count(findings: int) -> str:
    return "1 finding" if findings == 1 else f"{findings} findings"


def _heads_of(file: Path | None) -> list[Checkpoint]:
    from ratchet.transparency.checkpoints import read_checkpoints

    return read_checkpoints(file) if file is not None else []


def _verify_served(home: str | None, public_key: bytes, remembered: Sequence[Checkpoint], gc: bool) -> Outcome:
    """The replay of what the registry sends, and what the registry says of the rest."""
    kept = Path(home or DEFAULT_HOME) / HEADS_NAME
    written_down = _heads_of(kept if kept.exists() else None)
    with connect(home) as client:
        replayed = _replayed(client, public_key, written_down, remembered)
        said = client.verify([head.to_message() for head in remembered], collect_garbage=gc)
    return Outcome(
        tuple(dict.fromkeys((*replayed.findings, *said.findings))),
        {**{each.what: each.count for each in said.checked}, **dict(replayed.checked)},
        tuple(dict.fromkeys((*replayed.notes, *said.notes))),
        replayed.checkpoint,
        tuple(said.orphans),
        tuple(said.collected),
    )


def _replayed(
    client: Client, public_key: bytes, written_down: Sequence[Checkpoint], remembered: Sequence[Checkpoint]
) -> VerificationReport:
    from ratchet.transparency.checkpoints import Checkpoint
    from ratchet.transparency.verification import LogVerifier

    answer = client.get_head()
    newest = [Checkpoint.from_message(answer.signed)] if answer.HasField("signed") else []
    replay = LogVerifier(_ordered([*written_down, *newest]), _ordered(remembered), [public_key])
    try:
        for event in client.read_log(1, answer.position) if answer.position else ():
            replay.add(event.position, event.stream, event.version, event.topic, event.state)
    except (CorruptData, Internal) as error:
        replay.add_finding(f"the events after position {replay.size} can't be read: {error.message}")
    return replay.finish()


def _ordered(heads: Sequence[Checkpoint]) -> list[Checkpoint]:
    return sorted(heads, key=lambda head: head.size)


def _render(outcome: Outcome) -> None:
    table("", ("checked", ">count"), [(what, f"{count:,}") for what, count in outcome.checked.items()])
    for line in _lines(outcome):
        click.echo(line)


def _lines(outcome: Outcome) -> Iterator[str]:
    for digest in outcome.orphans:
        yield f"orphan: artifact {digest}, which no event refers to; --gc removes those older than a day"
    for digest in outcome.collected:
        yield f"removed: artifact {digest}, which no event referred to"
    for note in outcome.notes:
        yield f"note: {note}"
    if not outcome.findings and outcome.head is not None:
        head = outcome.head
        yield f"verified: {head.size} events with root {head.root.hex()}, signed with the key {head.key_id}"
