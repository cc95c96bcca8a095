"""Who signed a log: its keys as they follow each other, and heads held against the tree at their size."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ratchet.errors import CorruptData
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.checkpoints import Head, Key, check_introduction, key_in_force, verify
from ratchet.transparency.merkle import Frontier


class _Due(NamedTuple):
    size: int
    remembered: bool
    head: Head


class Signatures:
    """Feed it the tree and the KeyIntroduced facts as they come; findings come back in words.

    `heads`: those that the log shows, `remembered`: those that somebody kept elsewhere; both in order of size, read as
    the tree grows. `trusted`: the public keys that the reader trusts; a key is believed that one of them introduced, or
    that introduced one of them.
    """

    def __init__(
        self, heads: Iterable[Head], remembered: Iterable[Head], trusted: Iterable[bytes], signed_from: int = 0
    ) -> None:
        shown = (_Due(head.size, False, head) for head in heads if head.size)
        kept = (_Due(head.size, True, head) for head in remembered if head.size)
        self._due: Iterator[_Due] = heapq.merge(shown, kept, key=lambda due: due.size)
        self._next = next(self._due, None)
        self._trusted, self._signed_from = tuple(trusted), signed_from
        self.keys: list[Key] = []
        self.checked = self.remembered = self.superseded = 0
        self.newest: Head | None = None

    def introduced(self, fact: facts_pb2.KeyIntroduced, size: int, root: bytes) -> Iterator[str]:
        """The fact at position `size` + 1, on the tree before it."""
        replaced = self.keys[-1].public_key if self.keys else None
        try:
            self.keys.append(check_introduction(fact, size, root, replaced))
        except CorruptData as error:
            yield f"position {size + 1}: {error.message}"

    def due(self, size: int) -> bool:
        """Whether a head of this size waits to be held against the tree."""
        return self._next is not None and self._next.size <= size

    def grown(self, tree: Frontier) -> Iterator[str]:
        """The tree has reached a size at which a head is due."""
        while self._next is not None and self._next.size <= tree.size:
            yield from self._check(self._next, tree)
            self._next = next(self._due, None)

    def finish(self, tree: Frontier) -> Iterator[str]:
        """What is left to say at the end of the log."""
        yield from self.grown(tree)
        while self._next is not None:
            size, what = self._next.size, self._what(self._next)
            self._count(self._next)
            yield f"{what} was signed, but the log ends at position {tree.size}: its end was cut off"
            self._next = next(self._due, None)
        if not self.keys:
            yield "the log introduces no key: nothing in it is signed"
        elif self._trusted and not any(key.public_key in self._trusted for key in self.keys):
            yield "the key that is trusted is none of the log's: another log, or one that was signed anew by another"
        if (size := self.newest.size if self.newest else 0) < tree.size:
            yield f"events after position {size} are signed by nobody"

    def _check(self, due: _Due, tree: Frontier) -> Iterator[str]:
        head, what = due.head, self._what(due)
        self._count(due)
        if head.size != tree.size:
            yield f"{what} is out of order"
            return
        key = key_in_force(self.keys, head.size)
        if head.root != tree.root():
            yield f"{what} has another root than the events up to position {head.size}: they are not what was signed"
        elif head.size < self._signed_from and not due.remembered:
            self.superseded += 1
        elif key is None or not verify(head, key.public_key):
            yield f"{what} is not signed by the key in force, {key.id if key else 'of which there is none'}"
        else:
            self.newest = head

    def _count(self, due: _Due) -> None:
        self.checked += 1
        self.remembered += due.remembered

    @staticmethod
    def _what(due: _Due) -> str:
        return f"the {'remembered ' if due.remembered else ''}head of size {due.size}"
