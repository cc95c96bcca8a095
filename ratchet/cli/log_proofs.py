"""ratchet log prove and ratchet log key: inclusion proofs, and the keys of the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli.checkpoint_file import check_consistency, newest_remembered, remember, remember_option
from ratchet.cli.command_group import CommandGroup
from ratchet.cli.connect import DEFAULT_HOME, connect
from ratchet.cli.facts import read_fact
from ratchet.cli.output import POSITION, format_time, home_option, output_option, show, table
from ratchet.errors import CorruptData, InvalidInput, PreconditionFailed

if TYPE_CHECKING:
    from ratchet.client import Client
    from ratchet.eventlog.v1 import eventlog_pb2
    from ratchet.events.v1 import facts_pb2
    from ratchet.transparency.checkpoints import Checkpoint
    from ratchet.transparency.keys import TrustedKey

PUBLIC_NAME = "signing.pub"

FILE = click.Path(dir_okay=False, path_type=Path)


key_option = click.option(
    "--key",
    metavar="KEY",
    default=None,
    help="The public key to trust, a file or a vkey  [default: signing.pub in the home]",
)


def trusted_key(home: str | None, key: str | None) -> TrustedKey:
    """The trusted public key: of `key`, a file or vkey, or of the home folder."""
    from ratchet.transparency.keys import load_trusted

    return load_trusted(key or Path(home or DEFAULT_HOME) / PUBLIC_NAME)


def signed_checkpoint(client: Client, trusted: TrustedKey) -> Checkpoint:
    """The newest checkpoint, with verified signatures; CorruptData for missing or wrong ones."""
    from ratchet.transparency import checkpoints
    from ratchet.transparency.keys import ED25519, key_hash

    answer = client.get_head()
    if not answer.checkpoint:
        raise CorruptData(f"the log ends at position {answer.position}, which nobody signed; start a newer registry")
    checkpoint = checkpoints.received(answer.checkpoint)
    if checkpoint.size != answer.position:
        raise CorruptData(
            f"the log ends at position {answer.position}, and its checkpoint is of size {checkpoint.size}: somebody"
            " changed the registry's database; ratchet log verify says where"
        )
    if not trusted.admits(checkpoint.origin):
        raise CorruptData(
            f"the log is {checkpoint.origin}, and the key to trust is one of {trusted.origin}; name the vkey of this"
            " log with --key, or the other registry"
        )
    if not checkpoints.verify(checkpoint, trusted.public_key):
        own, found = key_hash(checkpoint.origin, ED25519, trusted.public_key), checkpoint.key_hash
        why = "a signature is wrong" if own == found else f"it bears the key of hash {found.hex()}, not {own.hex()}"
        raise CorruptData(
            f"the checkpoint of size {checkpoint.size} is not signed by the key {trusted.id}: {why}; ratchet log key"
            " show lists the log's keys, and --key names the one to trust"
        )
    return checkpoint


@click.command()
@click.argument("position", type=POSITION)
@click.option("--size", type=POSITION, default=None, help="Among how many events  [default: all]")
@key_option
@remember_option
@home_option
@output_option
def prove(
    position: int, size: int | None, key: str | None, remember_in: Path | None, home: str | None, output: str
) -> None:
    """Prove that the event at POSITION is in the log: event, path and signature are checked here.

    Exit 7 when something does not verify.
    """
    trusted = trusted_key(home, key)
    known = newest_remembered(remember_in)
    with connect(home) as client:
        checkpoint = signed_checkpoint(client, trusted)
        if size is not None and size > checkpoint.size:
            raise InvalidInput(f"only {checkpoint.size} events are signed; use --size 1 to {checkpoint.size}")
        if known is not None:
            check_consistency(client, known, checkpoint)
        proof = client.prove_inclusion(position, size or checkpoint.size)
        leaf = _check_inclusion(proof, position, size or checkpoint.size)
        _check_root(client, proof, checkpoint)
    if remember_in is not None:
        remember(remember_in, checkpoint, known)
    show(_proof_json(proof, leaf, checkpoint, trusted, known), output, lambda found: _render(found, remember_in))


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


def _check_root(client: Client, proof: eventlog_pb2.ProveInclusionResponse, checkpoint: Checkpoint) -> None:
    """Verifies that the proof's root is consistent with the signed checkpoint."""
    from ratchet.transparency import merkle

    size = checkpoint.size
    hashes = client.prove_consistency(proof.size, size).hashes if proof.size < size else ()
    if not merkle.verify_consistency(proof.size, size, hashes, proof.root, checkpoint.root):
        raise CorruptData(
            f"the first {proof.size} events, with root {proof.root.hex()}, are not the beginning of the {size} that are"
            " signed"
        )


def _proof_json(
    proof: eventlog_pb2.ProveInclusionResponse,
    leaf: bytes,
    checkpoint: Checkpoint,
    trusted: TrustedKey,
    known: Checkpoint | None,
) -> dict[str, object]:
    event = proof.event
    envelope, _ = read_fact(event)
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
        "signed_size": checkpoint.size,
        "signed_root": checkpoint.root.hex(),
        "signed_at": format_time(Timestamp(seconds=checkpoint.time)),
        "key_id": trusted.id,
        "checkpoint": checkpoint.note,
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
        click.echo(f"The log continues the checkpoint of size {found['remembered_size']} that {file} remembered.")
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
    from ratchet.events.v1 import facts_pb2
    from ratchet.transparency.keys import KEYS_STREAM, origin_of

    with connect(home) as client:
        events = list(client.read_log(stream=KEYS_STREAM))
    facts = [fact for _, fact in map(read_fact, events) if isinstance(fact, facts_pb2.KeyIntroduced)]
    found = [_key(event, fact, origin_of(facts[0].public_key)) for event, fact in zip(events, facts, strict=True)]
    show(found, output, _render_keys)


def _key(event: eventlog_pb2.StoredEvent, fact: facts_pb2.KeyIntroduced, origin: str) -> dict[str, object]:
    from ratchet.transparency.keys import vkey

    envelope, _ = read_fact(event)
    return {
        "key_id": fact.key_id,
        "public_key": fact.public_key.hex(),
        "vkey": vkey(origin, fact.public_key),
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
    if found:
        click.echo(f"The last one for --key and other verifiers: {found[-1]['vkey']}")


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
