"""Compact indexes of names for uniqueness and referential checks: 16 bytes per name.

A name is kept as its 64-bit hash, salted anew in each process (PEP 456), so that nobody can prepare a collision; by
chance any two of a million names collide with a probability of 3e-8.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_DIGEST_SIZE = 32
LARGEST = 2**62


class NamePositions:
    """Names with their positions, in order of position."""

    __slots__ = ("_hashes", "_positions")

    def __init__(self) -> None:
        self._hashes, self._positions = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, name: str, position: int) -> None:
        self._hashes.append(hash(name))
        self._positions.append(position)

    def order(self) -> NDArray[np.int64]:
        """The order of `arrays`."""
        return np.argsort(np.array(self._hashes, dtype=np.int64), kind="stable")

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hashes and positions, in order of hash, then of position."""
        order = self.order()
        return np.array(self._hashes, dtype=np.int64)[order], np.array(self._positions, dtype=np.int64)[order]

    def repeated(self) -> Iterator[tuple[int, int]]:
        """The positions of the first and the repeated occurrence of a name, in order of the latter."""
        hashes, positions = self.arrays()
        at = np.flatnonzero(hashes[1:] == hashes[:-1])
        found = zip(positions[at].tolist(), positions[at + 1].tolist(), strict=True)
        yield from sorted(found, key=lambda pair: pair[1])


class StreamVersions:
    """Versions of streams that mostly have a single event; their sequence 1, 2, 3 … is checked at the end."""

    __slots__ = ("_names", "_versions")

    def __init__(self) -> None:
        self._names, self._versions = NamePositions(), array("q")

    def add(self, stream: str, version: int, position: int) -> None:
        self._names.add(stream, position)
        self._versions.append(min(max(version, 0), LARGEST))

    def violations(self) -> Iterator[tuple[int, int, int]]:
        """Position, version and expected version of each event out of sequence."""
        order = self._names.order()
        hashes, positions = self._names.arrays()
        versions = np.array(self._versions, dtype=np.int64)[order]
        index = np.arange(len(hashes))
        begins = np.concatenate([[True], hashes[1:] != hashes[:-1]]) if len(hashes) else np.zeros(0, dtype=bool)
        expected = index - np.maximum.accumulate(np.where(begins, index, 0)) + 1
        at = np.flatnonzero(versions != expected)
        found = zip(positions[at].tolist(), versions[at].tolist(), expected[at].tolist(), strict=True)
        yield from sorted(found)


class ArtifactReferences:
    """Digests that facts refer to, each with the position of the fact and the stated size: 48 bytes each."""

    __slots__ = ("_digests", "_malformed", "_positions", "_sizes")

    def __init__(self) -> None:
        self._digests, self._positions, self._sizes = bytearray(), array("q"), array("q")
        self._malformed: dict[str, tuple[int, int]] = {}

    def add(self, digest: str, position: int, size: int) -> None:
        """Adds a reference; `size` 0: not stated. A malformed digest is kept as text."""
        try:
            packed = bytes.fromhex(digest)
        except ValueError:
            packed = b""
        if len(packed) != _DIGEST_SIZE or packed.hex() != digest:
            self._malformed.setdefault(digest, (position, size))
            return
        self._digests += packed
        self._positions.append(position)
        self._sizes.append(size)

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Each digest once, with the position and the size of its first mention."""
        packed = np.frombuffer(bytes(self._digests), dtype=f"V{_DIGEST_SIZE}")
        _, first = np.unique(packed, return_index=True)
        for at in np.sort(first).tolist():
            yield packed[at].tobytes().hex(), self._positions[at], self._sizes[at]
        for digest, (position, size) in self._malformed.items():
            yield digest, position, size


def unresolved(wanted: NamePositions, *known: NamePositions) -> Iterator[int]:
    """The positions of names in `wanted` without an earlier occurrence in any of `known`."""
    hashes, positions = wanted.arrays()
    found = np.zeros(len(hashes), dtype=bool)
    for names in known:
        given, since = names.arrays()
        if len(given):
            first = np.searchsorted(given, hashes).clip(max=len(given) - 1)
            found |= (given[first] == hashes) & (since[first] < positions)
    yield from sorted(positions[~found].tolist())
