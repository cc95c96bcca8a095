"""Names that may be given once, and names that must have been given before: 16 bytes a name, whatever its length.

A name is kept as its 64-bit hash, salted anew in each process (PEP 456), so that nobody can prepare two that collide;
by chance any two of a million do with a probability of 3e-8.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_DIGEST_SIZE = 32
_LARGEST = 2**62


class Names:
    """Names with the position at which each was given, in order of position."""

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
        """The positions of a name and of the same name given again, by the later one."""
        hashes, positions = self.arrays()
        at = np.flatnonzero(hashes[1:] == hashes[:-1])
        found = zip(positions[at].tolist(), positions[at + 1].tolist(), strict=True)
        yield from sorted(found, key=lambda pair: pair[1])


class Versions:
    """Streams of which few have more than one event: that each has versions 1, 2, 3 … in order is known at the end."""

    __slots__ = ("_names", "_versions")

    def __init__(self) -> None:
        self._names, self._versions = Names(), array("q")

    def add(self, stream: str, version: int, position: int) -> None:
        self._names.add(stream, position)
        self._versions.append(min(max(version, 0), _LARGEST))

    def wrong(self) -> Iterator[tuple[int, int, int]]:
        """Position, version and expected version of each event that is not the next of its stream."""
        order = self._names.order()
        hashes, positions = self._names.arrays()
        versions = np.array(self._versions, dtype=np.int64)[order]
        index = np.arange(len(hashes))
        begins = np.concatenate([[True], hashes[1:] != hashes[:-1]]) if len(hashes) else np.zeros(0, dtype=bool)
        expected = index - np.maximum.accumulate(np.where(begins, index, 0)) + 1
        at = np.flatnonzero(versions != expected)
        found = zip(positions[at].tolist(), versions[at].tolist(), expected[at].tolist(), strict=True)
        yield from sorted(found)


class References:
    """Digests that facts refer to, each with the position of the fact and the size that it names: 48 bytes each."""

    __slots__ = ("_digests", "_odd", "_positions", "_sizes")

    def __init__(self) -> None:
        self._digests, self._positions, self._sizes = bytearray(), array("q"), array("q")
        self._odd: dict[str, tuple[int, int]] = {}

    def add(self, digest: str, position: int, size: int) -> None:
        """`size` 0: not said. What is no digest of SHA-256 is kept as it is."""
        try:
            packed = bytes.fromhex(digest)
        except ValueError:
            packed = b""
        if len(packed) != _DIGEST_SIZE or packed.hex() != digest:
            self._odd.setdefault(digest, (position, size))
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
        for digest, (position, size) in self._odd.items():
            yield digest, position, size


def missing(wanted: Names, *known: Names) -> Iterator[int]:
    """The positions at which a name was wanted that none of `known` gave at an earlier one."""
    hashes, positions = wanted.arrays()
    found = np.zeros(len(hashes), dtype=bool)
    for names in known:
        given, since = names.arrays()
        if len(given):
            first = np.searchsorted(given, hashes).clip(max=len(given) - 1)
            found |= (given[first] == hashes) & (since[first] < positions)
    yield from sorted(positions[~found].tolist())
