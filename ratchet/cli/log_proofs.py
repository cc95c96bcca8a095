"""ratchet log prove and ratchet log key: inclusion proofs, and the keys of the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratchet.cli.checkpoint_file import check_consistency, newest_remembered, remember, remember_option
from ratchet.cli.command_group import CommandGroup
from ratchet.cli.connect import DEFAULT_HOME, connect
from ratchet.cli.facts import read_fact
from ratchet.cli.output import POSITION, format_time, home_option, output_option, show, table
from ratchet.errors import CorruptData, InvalidInput, PreconditionFailed

if TYPE_CHECKING:
    from ratchet.client import Client
    from ratchet.eventlog.v1 import eventlog_pb2
    from ratchet.transparency.checkpoints import Checkpoint

PUBLIC_NAME = "signing.pub"

FILE = click.Path(dir_okay=False, path_type=Path)


def trusted_key(home: str | None, key: Path | None) -> bytes:
    """The trusted public key: of `key`, or of the home folder."""
    from ratchet.transparency.keys import load_public

    return load_public(key or Path(home or DEFAULT_HOME) / PUBLIC_NAME)


def signed_checkpoint(client: Client, public_key: bytes) -> Checkpoint:
    """The newest checkpoint, with a verified signature; CorruptData for a missing or wrong signature."""
    from ratchet.transparency import checkpoints
    from ratchet.transparency.keys import key_id

    answer = client.get_head()
    if not answer.HasField("signed"):
        raise CorruptData(f"the log ends at position {answer.position}, which nobody signed; start a newer registry")
    head = checkpoints.Checkpoint.from_message(answer.signed)
    if not checkpoints.verify(head, public_key):
        trusted = key_id(public_key)
        why = "the signature is wrong" if head.key_id == trusted else f"it bears the key {head.key_id}"
        raise CorruptData(
            f"the head of size {head.size} is not signed by the key {trusted}: {why}; ratchet log key show lists the"
            " log's keys, and --key names the file of the one to trust"
        )
    return head


@click.command()
@click.argument("position", type=POSITION)
@click.option("--size", type=POSITION, default=None, help="Among how many events  [default: all]")
@click.option("--key", type=FILE, default=None, help="The public key to trust  [default: signing.pub in the home]")
@remember_option
@home_option
@output_option
def prove(
    position: int, size: int | None, key: Path | None, remember_in: Path | None, home: str | None, output: str
) -> None:
    """Prove that the event at POSITION is in the log: event, path and signature are checked here.

    Exit 7 when something does not verify.
    """
    public_key = trusted_key(home, key)
    known = newest_remembered(remember_in)
    with connect(home) as client:
        head = signed_checkpoint(client, public_key)
        if size is not None and size > head.size:
            raise InvalidInput(f"only {head.size} events are signed; use --size 1 to {head.size}")
        if known is not None:
            check_consistency(client, known, head)
        proof = client.prove_inclusion(position, size or head.size)
        leaf = _check_inclusion(proof, position, size or head.size)
        _check_root(client, proof, head)
    if remember_in is not None:
        remember(remember_in, head, known)
    show(_proof_json(proof, leaf, head, known), output, lambda found: _render(found, remember_in))


def _check_inclusion(proof: eventlog_pb2.ProveInclusionResponse, position: int, size: int) -> bytes:
    """The leaf hash of the event, after verification of its inclusion proof."""
    from ratchet.transparency import merkle

    event = proof.event
    leaf = merkle.leaf_hash(
        merkle.canonical_leaf(event.position, event.stream, event.version, event.topic, event.state)
    )
    if (event.position, proof.size) != (position, size) or not merkle.verify_inclusion(
        leaf, position - 1, size, proof.hashes, proof.root
    ):
        raise CorruptData(f"the event at position {position} is not proven to be among the first {size} of the log")
    return leaf


def _check_root(client: Client, proof: eventlog_pb2.ProveInclusionResponse, head: Checkpoint) -> None:
    """Verifies that the proof's root is consistent with the signed checkpoint."""
    from ratchet.transparency import merkle

    grown = client.prove_consistency(proof.size, head.size) if proof.size < head.size else None
    if not merkle.verify_consistency(proof.size, head.size, grown.hashes if grown else (), proof.root, head.root):
        raise CorruptData(
            f"the first {proof.size} events, with root {proof.root.hex()}, are not the beginning of the {head.size}"
            " that are signed"
        )


def _proof_json(
    proof: eventlog_pb2.ProveInclusionResponse, leaf: bytes, head: Checkpoint, known: Checkpoint | None
) -> dict[str, object]:
    event = proof.event
    envelope, _ = read_fact(event)
    signed = head.to_message()
    return {
        "verified": True,
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "topic": event.topic,
        "recorded_at": format_time(envelope.recorded_at),
        "actor": envelope.actor,
        "leaf": leaf.hex(),
        "size": proof.size,
        "root": proof.root.hex(),
        "hashes": [node.hex() for node in proof.hashes],
        "signed_size": head.size,
        "signed_root": head.root.hex(),
        "signed_at": format_time(signed.signed_at),
        "key_id": head.key_id,
        "signature": head.signature.hex(),
        "remembered_size": known.size if known else None,
    }


def _render(found: dict[str, object], file: Path | None) -> None:
    fact = str(found["topic"]).rpartition(".")[2]
    hashes, size, signed = found["hashes"], found["size"], found["signed_size"]
    assert isinstance(hashes, list)
    click.echo(f"position {found['position']}: {fact}, {found['stream']} version {found['version']}")
    click.echo(f"recorded {found['recorded_at']} by {found['actor']}; its hash is {found['leaf']}")
    click.echo(f"It is among the first {size} events with root {found['root']}: {len(hashes)} hashes lead there.")
    if size != signed:
        click.echo(f"These are the beginning of {signed} events with root {found['signed_root']}.")
    click.echo(f"That root was signed at {found['signed_at']} with the key {found['key_id']}.")
    if found["remembered_size"] is not None:
        click.echo(f"The log continues the head of size {found['remembered_size']} that {file} remembered.")
    elif file is not None:
        click.echo(f"Nothing was remembered before: the next call compares with what {file} holds now.")


@click.group(
    cls=CommandGroup,
    entry_points="ratchet.commands.log.key",
    summaries={"rotate": "Replace the log's key, on the registry's machine."},
)
def key() -> None:
    """The keys that sign the log."""


@key.command("show")
@home_option
@output_option
def show_(home: str | None, output: str) -> None:
    """Every key of the log, and since when; the last one signs."""
    from ratchet.transparency.keys import KEYS_STREAM

    with connect(home) as client:
        found = [_key(event) for event in client.read_log(stream=KEYS_STREAM)]
    show(found, output, _render_keys)


def _key(event: eventlog_pb2.StoredEvent) -> dict[str, object]:
    from ratchet.events.v1 import facts_pb2

    envelope, fact = read_fact(event)
    assert isinstance(fact, facts_pb2.KeyIntroduced)
    return {
        "key_id": fact.key_id,
        "public_key": fact.public_key.hex(),
        "since_position": event.position,
        "since": format_time(envelope.recorded_at),
        "replaces": fact.replaces,
        "by": envelope.actor,
        "reason": fact.reason,
    }


def _render_keys(found: list[dict[str, object]]) -> None:
    names = ("since_position", "since", "key_id", "by", "reason")
    columns = (">position", "since", "key", "by", "reason")
    table("", columns, [tuple(str(each[name]) for name in names) for each in found])


@key.command()
@click.argument("file", type=FILE)
@output_option
def new(file: Path, output: str) -> None:
    """Make a signing key in FILE, which its owner alone may read, and the public key in FILE.pub."""
    from ratchet.transparency.keys import create_private, key_id, public_bytes, write_public

    public = file.with_name(file.name + ".pub")
    try:
        public_key = public_bytes(create_private(file))
        write_public(public, public_key)
    except OSError as error:
        raise PreconditionFailed(
            f"the key {file} can't be made: {error.strerror}; name a file that is not there"
        ) from error
    made = {"private": str(file), "public": str(public), "key_id": key_id(public_key)}
    show(made, output, lambda found: click.echo(f"{found['private']} holds the key {found['key_id']}"))
