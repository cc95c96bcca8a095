"""Ways to change a log behind its back, in its SQLite file: by hand, and by someone who makes everything fit again."""

from __future__ import annotations

import random
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.events.v1 import envelope_pb2, facts_pb2
from ratchet.transparency import checkpoints
from ratchet.transparency.keys import introduce, origin_of, public_bytes
from ratchet.transparency.merkle import Frontier, canonical_leaf, leaf_hash
from services.registry.eventlog import open_log
from services.registry.projections import TABLES

KEYS = facts_pb2.KeyIntroduced.DESCRIPTOR.full_name
COLUMNS = "originator_id, originator_version, topic, state"


class Stored(NamedTuple):
    """An event without its position."""

    stream: str
    version: int
    topic: str
    state: bytes

    @property
    def envelope(self) -> envelope_pb2.Envelope:
        return envelope_pb2.Envelope.FromString(self.state)


Change = Callable[[sqlite3.Connection, random.Random], None]


def events_of(path: Path) -> list[Stored]:
    with closing(sqlite3.connect(path)) as db:
        return [Stored(*row) for row in db.execute(f"SELECT {COLUMNS} FROM stored_events ORDER BY position")]


def rewrite(path: Path, events: Sequence[Stored], key: Ed25519PrivateKey, keep_signatures: bool = False) -> None:
    """Make the log hold these events with everything that follows from them: nodes, requests, checkpoints, read
    tables.

    Checkpoints are signed with `key`, which the log is made to introduce where its own is another one; with
    `keep_signatures` they bear the new roots under the old signatures.
    """
    own = [number for number, event in enumerate(events) if event.topic == KEYS]
    events, tree, nodes = list(events), Frontier(), []
    runs: list[tuple[str, bytes, int, int]] = []
    with closing(sqlite3.connect(path)) as db:
        old = dict(db.execute("SELECT size, note FROM checkpoints"))
        signed: list[tuple[int, str]] = []
        for number, event in enumerate(events):
            if number in own and not keep_signatures:
                events[number] = event = _introduced(event, key, tree)
            nodes += tree.append(leaf_hash(canonical_leaf(number + 1, *event)))
            request = event.envelope.request_id
            first = runs.pop()[2] if runs and runs[-1][0] == request else number + 1
            runs.append((request, bytes(32), first, number + 1))
            ended = number + 1 == len(events) or events[number + 1].envelope.request_id != request
            if ended and keep_signatures and number + 1 in old:
                signed.append((number + 1, _with_root(old[number + 1], tree.root())))
            elif ended and not keep_signatures:
                origin, time = origin_of(public_bytes(key)), event.envelope.recorded_at.seconds
                signed.append((tree.size, checkpoints.sign(key, origin, tree.size, tree.root(), time).note))
        for table in ("stored_events", "merkle_nodes", "requests", "checkpoints", "read_tables"):
            db.execute(f"DELETE FROM {table}")
        db.executemany(
            f"INSERT INTO stored_events (position, {COLUMNS}) VALUES (?, ?, ?, ?, ?)",
            [(number, *event) for number, event in enumerate(events, 1)],
        )
        db.executemany("INSERT INTO merkle_nodes (level, idx, hash) VALUES (?, ?, ?)", nodes)
        db.executemany("INSERT INTO requests VALUES (?, ?, ?, ?)", runs)
        db.executemany("INSERT INTO checkpoints (size, note) VALUES (?, ?)", signed)
        db.commit()
    open_log(f"sqlite://{path}", TABLES, clock=lambda: datetime.now(UTC)).close()


def _with_root(note: str, root: bytes) -> str:
    origin, size, _, rest = note.split("\n", 3)
    return "\n".join((origin, size, b64encode(root).decode(), rest))


def _introduced(event: Stored, key: Ed25519PrivateKey, tree: Frontier) -> Stored:
    """The introduction of `key` in the place of another key's; its own where it is that key's already."""
    envelope = event.envelope
    fact = facts_pb2.KeyIntroduced.FromString(envelope.payload)
    if fact.public_key == public_bytes(key):
        return event
    envelope.payload = introduce(key, None, tree.size, tree.root(), fact.reason).SerializeToString(deterministic=True)
    return event._replace(state=envelope.SerializeToString(deterministic=True))


# Changes by hand: each leaves something that does not fit.


def _position(db: sqlite3.Connection, rng: random.Random) -> int:
    [last] = db.execute("SELECT MAX(position) FROM stored_events").fetchone()
    return rng.randint(1, last)


def _flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _flip(db: sqlite3.Connection, rng: random.Random, table: str, column: str, where: str, *key: object) -> None:
    [value] = db.execute(f"SELECT CAST({column} AS BLOB) FROM {table} WHERE {where}", key).fetchone()
    kind = "TEXT" if column in ("originator_id", "topic", "note") else "BLOB"
    db.execute(f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE {where}", (_flipped(value, rng), *key))


def flip_a_byte_of_an_event(db: sqlite3.Connection, rng: random.Random) -> None:
    column = rng.choice(["state", "state", "state", "state", "originator_id", "topic"])
    _flip(db, rng, "stored_events", column, "position = ?", _position(db, rng))


def change_a_number_of_an_event(db: sqlite3.Connection, rng: random.Random) -> None:
    column, by = rng.choice([("originator_version", 1000), ("originator_version", -1000), ("position", 1000)])
    db.execute(f"UPDATE stored_events SET {column} = {column} + ? WHERE position = ?", (by, _position(db, rng)))


def delete_an_event(db: sqlite3.Connection, rng: random.Random) -> None:
    db.execute("DELETE FROM stored_events WHERE position = ?", (_position(db, rng),))


def swap_two_events(db: sqlite3.Connection, rng: random.Random) -> None:
    one = other = _position(db, rng)
    while other == one:
        other = _position(db, rng)
    db.execute("UPDATE stored_events SET position = -1 WHERE position = ?", (one,))
    db.execute("UPDATE stored_events SET position = ? WHERE position = ?", (one, other))
    db.execute("UPDATE stored_events SET position = ? WHERE position = -1", (other,))


def insert_an_event(db: sqlite3.Connection, rng: random.Random) -> None:
    """A copy of one, as the next version of its stream, somewhere; what comes after it moves on."""
    at, of = _position(db, rng), _position(db, rng)
    stream, _, topic, state = db.execute(f"SELECT {COLUMNS} FROM stored_events WHERE position = ?", (of,)).fetchone()
    [version] = db.execute(
        "SELECT MAX(originator_version) FROM stored_events WHERE originator_id = ?", (stream,)
    ).fetchone()
    db.execute("UPDATE stored_events SET position = -position - 1 WHERE position >= ?", (at,))
    db.execute("UPDATE stored_events SET position = -position WHERE position < 0")
    row = (at, stream, version + 1, topic, state)
    db.execute(f"INSERT INTO stored_events (position, {COLUMNS}) VALUES (?, ?, ?, ?, ?)", row)


def edit_nodes(db: sqlite3.Connection, rng: random.Random) -> None:
    nodes = db.execute("SELECT level, idx FROM merkle_nodes").fetchall()
    level, index = rng.choice(nodes)
    match rng.randrange(4):
        case 0:
            _flip(db, rng, "merkle_nodes", "hash", "level = ? AND idx = ?", level, index)
        case 1:
            db.execute("DELETE FROM merkle_nodes WHERE level = ? AND idx = ?", (level, index))
        case 2:
            spare = (rng.choice([level, 63, -1]), 10_000 + index, rng.randbytes(32))
            db.execute("INSERT INTO merkle_nodes (level, idx, hash) VALUES (?, ?, ?)", spare)
        case _:
            db.execute("UPDATE merkle_nodes SET idx = -idx - 1 WHERE level = ? AND idx = ?", (level, index))


def edit_requests(db: sqlite3.Connection, rng: random.Random) -> None:
    [request] = rng.choice(db.execute("SELECT request_id FROM requests").fetchall())
    match rng.randrange(4):
        case 0:
            db.execute("DELETE FROM requests WHERE request_id = ?", (request,))
        case 1:
            db.execute("UPDATE requests SET last_position = last_position + 1 WHERE request_id = ?", (request,))
        case 2:
            db.execute("INSERT INTO requests VALUES ('another', x'00', ?, ?)", (_position(db, rng),) * 2)
        case _:
            db.execute("UPDATE requests SET request_id = request_id || 'x' WHERE request_id = ?", (request,))


def edit_checkpoints(db: sqlite3.Connection, rng: random.Random) -> None:
    [size] = rng.choice(db.execute("SELECT size FROM checkpoints").fetchall())
    match rng.randrange(4):
        case 0:
            _flip(db, rng, "checkpoints", "note", "size = ?", size)
        case 1:
            db.execute("UPDATE checkpoints SET size = size + 1000 WHERE size = ?", (size,))
        case 2:
            db.execute("DELETE FROM checkpoints WHERE size = (SELECT MAX(size) FROM checkpoints)")
        case _:
            db.execute("DELETE FROM checkpoints")


def edit_a_read_table(db: sqlite3.Connection, rng: random.Random) -> None:
    filled = [t.name for t in TABLES if db.execute(f"SELECT COUNT(*) FROM {t.name}").fetchone()[0]]
    table = rng.choice(filled)
    [row] = rng.choice(db.execute(f"SELECT rowid FROM {table}").fetchall())
    if rng.random() < 0.2:
        db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
        return
    column = rng.choice([info[1] for info in db.execute(f"PRAGMA table_info({table})")])
    [value] = db.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", (row,)).fetchone()
    # A million is beyond the position of every other row: a key stays one.
    new = "edited" if value is None or isinstance(value, str) else value + 1_000_000
    db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row))


BY_HAND: tuple[Change, ...] = (
    flip_a_byte_of_an_event,
    flip_a_byte_of_an_event,
    change_a_number_of_an_event,
    delete_an_event,
    swap_two_events,
    insert_an_event,
    edit_nodes,
    edit_requests,
    edit_checkpoints,
    edit_a_read_table,
)

# Other histories: each is a list of events that someone would like to have been the log.


def with_an_event_changed(events: list[Stored], rng: random.Random) -> list[Stored]:
    """Somebody else did it, or did it for another reason."""
    at = rng.randrange(1, len(events))
    envelope = events[at].envelope
    envelope.actor = "somebody else"
    events[at] = events[at]._replace(state=envelope.SerializeToString(deterministic=True))
    return events


def without_an_event(events: list[Stored], rng: random.Random) -> list[Stored]:
    gone = events.pop(rng.randrange(1, len(events)))
    return [
        event._replace(version=event.version - (event.stream == gone.stream and event.version > gone.version))
        for event in events
    ]


def without_the_end(events: list[Stored], rng: random.Random) -> list[Stored]:
    """What is left are whole requests."""
    requests = [event.envelope.request_id for event in events]
    ends = [number for number in range(2, len(events)) if requests[number] != requests[number - 1]]
    return events[: rng.choice(ends)]


def with_an_event_more(events: list[Stored], rng: random.Random) -> list[Stored]:
    """What was said last is said again, in a request of its own."""
    event = events[rng.randrange(1, len(events))]
    envelope = event.envelope
    envelope.event_id = envelope.request_id = f"another-{len(events)}"
    envelope.recorded_at.CopyFrom(events[-1].envelope.recorded_at)
    version = max(other.version for other in events if other.stream == event.stream) + 1
    return [*events, Stored(event.stream, version, event.topic, envelope.SerializeToString(deterministic=True))]
