"""Group commit, the only write path of the log.

Callers queue; one of them becomes the leader and writes the whole queue in one transaction, each append in a savepoint,
so a conflict fails only its own append. Everything is decided from reads of that transaction; the cached tip is used
only if the database still ends at the same position. Callers are answered after the transaction is durable.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ratchet.errors import AlreadyExists, CorruptData, PreconditionFailed, StreamConflict
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.keys import Key, origin_of
from ratchet.transparency.merkle import Frontier, Node, canonical_leaf, leaf_hash
from services.platform.facts import Fact
from services.registry.eventlog.append import Append, CommitResult, Origin, RecordedEvent
from services.registry.eventlog.checkpoints import Signer, require_signed, store_checkpoint
from services.registry.eventlog.database import ConstraintBroken, Database, Reader, Writer, savepoint
from services.registry.eventlog.keys import FIRST_REASON, introduction, keys, require_in_force
from services.registry.eventlog.read_tables import Table, TableNames, project
from services.registry.eventlog.reading import events_between, frontier, head_position, recorded_at, stream_version

GROUP = 256

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of the log, as input of the next append."""

    position: int
    recorded_at: datetime
    size: int
    peaks: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        return Frontier(self.size, self.peaks).root()


@dataclass(frozen=True, slots=True, eq=False)
class _Pending:
    append: Append
    answer: Future[CommitResult]


class Commit:
    """Appends to one log; any number of threads call it, and other processes may write the same database.

    `clock` returns aware UTC time, `new_id` event ids; `committed` is called after each transaction. Nothing is signed
    before `sign_with`; from then on each appending transaction signs a checkpoint, and nothing is appended to a log
    with another key in force.
    """

    def __init__(
        self,
        database: Database,
        tables: Sequence[Table],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        committed: Callable[[], None],
    ) -> None:
        self._database, self._tables, self._names = database, tuple(tables), TableNames(tables)
        self._clock, self._new_id, self._committed = clock, new_id, committed
        self._condition = threading.Condition()
        self._queue: deque[_Pending] = deque()
        self._has_leader = False
        self._tip: Tip | None = None
        self._signer: Signer | None = None
        self._origin = ""
        self._on_checkpoint: Callable[[Checkpoint], None] = lambda _: None

    def __call__(self, append: Append) -> CommitResult:
        """Appends all events or none; durable when it returns.

        The same request again gets its first answer. StreamConflict unless each event's version is the next one of its
        stream; AlreadyExists for a used request id with another fingerprint; InvalidInput for an invalid append; the
        database's errors (see database.py), after which nothing was written and later appends work.
        """
        append.check()
        pending = _Pending(append, Future())
        with self._condition:
            self._queue.append(pending)
        while not pending.answer.done():
            if group := self._become_leader(pending):
                try:
                    self._write(group)
                finally:
                    self._release_leader()
        return pending.answer.result()

    def replayed(self, origin: Origin) -> CommitResult | None:
        """The first answer to a request that was accepted before; AlreadyExists if it was another request."""
        with self._database.read() as reader:
            return _first_answer(reader, origin)

    def sign_with(self, signer: Signer, on_checkpoint: Callable[[Checkpoint], None], actor: str) -> None:
        """Signs from here on, and passes each checkpoint to `on_checkpoint`.

        A log without a key gets this one, introduced by `actor`. PreconditionFailed when the log's key is another one;
        CorruptData when that key did not sign the log's end.
        """
        with self._database.write() as writer:
            known = keys(writer)
            if known:
                _signed_tip(writer, signer)
            else:
                checkpoint = self._introduce(writer, _tip(writer), signer, None, actor, FIRST_REASON)
        self._signer, self._on_checkpoint = signer, on_checkpoint
        self._origin = _origin(known, signer)
        if not known:
            self._announce(checkpoint)

    def rotate(self, new: Signer, actor: str, reason: str) -> int:
        """Replaces the key of `sign_with` by `new`; returns the position of the fact. PreconditionFailed as there."""
        if self._signer is None:
            raise PreconditionFailed("a key is replaced with the one in force; call sign_with before")
        with self._database.write() as writer:
            checkpoint = self._introduce(writer, _signed_tip(writer, self._signer), new, self._signer, actor, reason)
        self._signer = new
        self._announce(checkpoint)
        return checkpoint.size

    def _introduce(
        self, writer: Writer, tip: Tip, new: Signer, replaced: Signer | None, actor: str, reason: str
    ) -> Checkpoint:
        """Appends the KeyIntroduced fact, and signs its checkpoint with the new key."""
        known = keys(writer)
        append = introduction(known, new, replaced, tip.position, tip.root, actor, reason)
        tip, _ = self._apply(writer, tip, append)
        return _sign(writer, new, _origin(known, new), tip)

    def _announce(self, checkpoint: Checkpoint) -> None:
        self._committed()
        self._on_checkpoint(checkpoint)

    def _become_leader(self, pending: _Pending) -> list[_Pending]:
        """Waits for an answer (then empty), or for this caller's turn to write the queue."""
        with self._condition:
            self._condition.wait_for(lambda: pending.answer.done() or not self._has_leader)
            if pending.answer.done():
                return []
            self._has_leader = True
            return [self._queue[i] for i in range(min(GROUP, len(self._queue)))]

    def _release_leader(self) -> None:
        """Unanswered appends stay in the queue, so an interrupted leader loses no append."""
        with self._condition:
            while self._queue and self._queue[0].answer.done():
                self._queue.popleft()
            self._has_leader = False
            self._condition.notify_all()

    def _write(self, group: Sequence[_Pending]) -> None:
        outcomes: list[CommitResult | Exception] = []
        checkpoint: Checkpoint | None = None
        try:
            with self._database.write() as writer:
                tip = before = self._read_tip(writer)
                # One alone fails with its transaction: a savepoint would have SQLite write pages to a temporary file.
                attempt = self._apply if len(group) == 1 else self._attempt
                for pending in group:
                    tip, outcome = attempt(writer, tip, pending.append)
                    outcomes.append(outcome)
                if self._signer is not None and tip.position > before.position:
                    checkpoint = _sign(writer, self._signer, self._origin, tip)
        except Exception as error:  # noqa: BLE001 it belongs to every caller of the group
            outcomes = [error] * len(group)
        else:
            self._tip = tip
            self._committed()
            if checkpoint is not None:
                self._on_checkpoint(checkpoint)
        for pending, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, CommitResult):
                pending.answer.set_result(outcome)
            else:
                pending.answer.set_exception(outcome)

    def _read_tip(self, reader: Reader) -> Tip:
        position = head_position(reader)
        if self._tip is not None and self._tip.position == position:
            return self._tip
        return _tip(reader) if self._signer is None else _signed_tip(reader, self._signer)

    def _attempt(self, writer: Writer, tip: Tip, append: Append) -> tuple[Tip, CommitResult | Exception]:
        try:
            with savepoint(writer):
                return self._apply(writer, tip, append)
        except Exception as error:
            if not writer.alive:
                raise
            return tip, error

    def _apply(self, writer: Writer, tip: Tip, append: Append) -> tuple[Tip, CommitResult]:
        first_answer = _first_answer(writer, append.origin)
        if first_answer is not None:
            return tip, first_answer
        _check_versions(writer, append.facts)
        now = max(self._clock(), tip.recorded_at)
        events = tuple(
            RecordedEvent.of(position, fact, append.origin, self._new_id(), now)
            for position, fact in enumerate(append.facts, tip.position + 1)
        )
        tree = Frontier(tip.size, tip.peaks)
        nodes = [node for event in events for node in tree.append(leaf(event))]
        try:
            _insert(writer, append.origin, events, nodes)
            writer.flush()
        except ConstraintBroken as error:
            raise CorruptData(
                f"the log ends at position {tip.position}, but its tables hold more: {error};"
                " somebody changed them: stop the registry and restore the database from a backup"
            ) from error
        project(writer, self._tables, self._names, events)
        return Tip(events[-1].position, now, tree.size, tree.peaks), CommitResult(events)


def leaf(event: RecordedEvent) -> bytes:
    """The Merkle leaf hash of an event."""
    return leaf_hash(canonical_leaf(event.position, event.stream, event.version, event.topic, event.state))


def _tip(reader: Reader) -> Tip:
    position = head_position(reader)
    return Tip(position, recorded_at(reader, position), position, frontier(reader, position).peaks)


def _signed_tip(reader: Reader, signer: Signer) -> Tip:
    """The end of the log; CorruptData unless this signer has signed it."""
    known = keys(reader)
    require_in_force(known, signer)
    tip = _tip(reader)
    require_signed(reader, _origin(known, signer), tip.size, tip.root, signer.public_key)
    return tip


def _origin(known: Sequence[Key], signer: Signer) -> str:
    """The origin of the log with the `known` keys; without any, that of a log that begins with this signer's."""
    return origin_of(known[0].public_key if known else signer.public_key)


def _sign(writer: Writer, signer: Signer, origin: str, tip: Tip) -> Checkpoint:
    """The checkpoint of the log at `tip`, signed at the second of its last event, and stored."""
    checkpoint = signer.sign(origin, tip.size, tip.root, (tip.recorded_at - _EPOCH) // _SECOND)
    store_checkpoint(writer, checkpoint)
    return checkpoint


def _first_answer(reader: Reader, origin: Origin) -> CommitResult | None:
    found = list(reader.rows("SELECT * FROM requests WHERE request_id = ?", (origin.request_id,)))
    if not found:
        return None
    if bytes(found[0]["fingerprint"]) != origin.fingerprint:
        raise AlreadyExists(
            f"request id {origin.request_id} was used for another request; send a new id with a new request",
            fields={"request_id": "used before"},
        )
    first, last = found[0]["first_position"], found[0]["last_position"]
    return CommitResult(tuple(events_between(reader, first, last)), replayed=True)


def _check_versions(reader: Reader, facts: Sequence[Fact]) -> None:
    current: dict[str, int] = {}
    for fact in facts:
        if fact.stream not in current:
            current[fact.stream] = stream_version(reader, fact.stream)
        if fact.version != current[fact.stream] + 1:
            expected, actual = fact.version - 1, current[fact.stream]
            raise StreamConflict(
                f"{fact.stream} is at version {actual}, not {expected}; read it again and decide again",
                metadata={"stream": fact.stream, "expected": str(expected), "actual": str(actual)},
            )
        current[fact.stream] = fact.version


def _insert(writer: Writer, origin: Origin, events: Sequence[RecordedEvent], nodes: Sequence[Node]) -> None:
    writer.execute_many(
        "INSERT INTO stored_events (position, originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?, ?)",
        [(event.position, event.stream, event.version, event.topic, event.state) for event in events],
    )
    writer.execute_many("INSERT INTO merkle_nodes (level, idx, hash) VALUES (?, ?, ?)", nodes)
    writer.execute(
        "INSERT INTO requests (request_id, fingerprint, first_position, last_position) VALUES (?, ?, ?, ?)",
        (origin.request_id, origin.fingerprint, events[0].position, events[-1].position),
    )
