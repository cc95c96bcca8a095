"""Verification of a log's signatures: its chain of keys, and its checkpoints against the Merkle tree."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ratchet.errors import CorruptData
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.checkpoints import Checkpoint, verify
from ratchet.transparency.keys import Key, TrustedKey, check_introduction, key_in_force, origin_of
from ratchet.transparency.merkle import Frontier


class _PendingCheckpoint(NamedTuple):
    size: int
    remembered: bool
    checkpoint: Checkpoint


class SignatureVerifier:
    """Takes the growing tree and the KeyIntroduced facts, and yields findings as text.

    `checkpoints`: those of the log, `remembered`: those kept elsewhere; both in order of size, read as the tree grows.
    `trusted`: the keys that the verifier trusts; the log's chain of keys must contain one of them, under its origin.
    """

    def __init__(
        self,
        checkpoints: Iterable[Checkpoint],
        remembered: Iterable[Checkpoint],
        trusted: Iterable[TrustedKey],
        signed_from: int = 0,
    ) -> None:
        listed = (
            _PendingCheckpoint(checkpoint.size, False, checkpoint) for checkpoint in checkpoints if checkpoint.size
        )
        remembered_checkpoints = (
            _PendingCheckpoint(checkpoint.size, True, checkpoint) for checkpoint in remembered if checkpoint.size
        )
        self._pending: Iterator[_PendingCheckpoint] = heapq.merge(
            listed, remembered_checkpoints, key=lambda pending: pending.size
        )
        self._next = next(self._pending, None)
        self._trusted, self._signed_from = tuple(trusted), signed_from
        self.keys: list[Key] = []
        self.checked = self.remembered = self.superseded = 0
        self.newest: Checkpoint | None = None
        self.newest_key: Key | None = None

    def add_key(self, fact: facts_pb2.KeyIntroduced, size: int, root: bytes) -> Iterator[str]:
        """Checks the fact at position `size` + 1, on the tree before it."""
        replaced = self.keys[-1].public_key if self.keys else None
        try:
            self.keys.append(check_introduction(fact, size, root, replaced))
        except CorruptData as error:
            yield f"position {size + 1}: {error.message}"

    def is_due(self, size: int) -> bool:
        """Whether a checkpoint of this size waits for its check."""
        return self._next is not None and self._next.size <= size

    def check_due(self, tree: Frontier) -> Iterator[str]:
        """Checks the checkpoints of the tree's current size."""
        while self._next is not None and self._next.size <= tree.size:
            yield from self._check(self._next, tree)
            self._next = next(self._pending, None)

    def finish(self, tree: Frontier) -> Iterator[str]:
        """The findings at the end of the log."""
        yield from self.check_due(tree)
        while self._next is not None:
            size, description = self._next.size, self._describe(self._next)
            self._count(self._next)
            yield f"{description} was signed, but the log ends at position {tree.size}: its end was cut off"
            self._next = next(self._pending, None)
        if not self.keys:
            yield "the log introduces no key: nothing in it is signed"
        elif self._trusted:
            yield from self._check_trust(origin_of(self.keys[0].public_key))
        if (size := self.newest.size if self.newest else 0) < tree.size:
            yield f"events after position {size} are signed by nobody"

    def _check_trust(self, origin: str) -> Iterator[str]:
        public_keys = {key.public_key for key in self.keys}
        of_the_log = [trusted for trusted in self._trusted if trusted.public_key in public_keys]
        if not of_the_log:
            yield "the key that is trusted is none of the log's: another log, or one that was signed anew by another"
        elif not any(trusted.admits(origin) for trusted in of_the_log):
            yield f"the log is {origin}, and the key that is trusted is one of {of_the_log[0].origin}: another log"

    def _check(self, pending: _PendingCheckpoint, tree: Frontier) -> Iterator[str]:
        checkpoint, description = pending.checkpoint, self._describe(pending)
        self._count(pending)
        if checkpoint.size != tree.size:
            yield f"{description} is out of order"
            return
        key = key_in_force(self.keys, checkpoint.size)
        if checkpoint.root != tree.root():
            yield (
                f"{description} has another root than the events up to position {checkpoint.size}:"
                " they are not what was signed"
            )
        elif key is not None and checkpoint.origin != (origin := origin_of(self.keys[0].public_key)):
            yield f"{description} is one of the log {checkpoint.origin}, and this log is {origin}"
        elif checkpoint.size < self._signed_from and not pending.remembered:
            self.superseded += 1
        elif key is None or not verify(checkpoint, key.public_key):
            yield f"{description} is not signed by the key in force, {key.id if key else 'of which there is none'}"
        else:
            self.newest, self.newest_key = checkpoint, key

    def _count(self, pending: _PendingCheckpoint) -> None:
        self.checked += 1
        self.remembered += pending.remembered

    @staticmethod
    def _describe(pending: _PendingCheckpoint) -> str:
        return f"the {'remembered ' if pending.remembered else ''}checkpoint of size {pending.size}"
