"""The Merkle tree of the log, after RFC 6962 (section 2.1); verification as in RFC 9162 (sections 2.1.3.2, 2.1.4.2).

A complete subtree is named (level, index) and covers leaves [index * 2^level, (index + 1) * 2^level); level 0 are the
leaves. The hash of a complete subtree never changes, so a database keeps one row for each, and proofs read those rows
through a node getter. The leaf of the event at log position p has index p - 1.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ratchet.errors import InvalidInput

NodeGetter: TypeAlias = Callable[[int, int], bytes]
Node: TypeAlias = tuple[int, int, bytes]

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_LARGEST_LENGTH = 2**32 - 1
_LARGEST_NUMBER = 2**64 - 1


def canonical_leaf(position: int, stream: str, version: int, topic: str, state: bytes) -> bytes:
    """The bytes of an event that its leaf covers; no two events share them.

    uint64 position, uint32 length and stream (UTF-8), uint64 version, uint32 length and topic (UTF-8),
    uint32 length and state; all big-endian. InvalidInput for a number or length that does not fit.
    """
    for name, number in (("position", position), ("version", version)):
        if not 0 <= number <= _LARGEST_NUMBER:
            raise InvalidInput(f"{name} {number} does not fit 64 bits without sign", fields={name: "out of range"})
    return b"".join(
        (
            struct.pack(">Q", position),
            _sized(stream.encode()),
            struct.pack(">Q", version),
            _sized(topic.encode()),
            _sized(state),
        )
    )


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data), 32 bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, by the RFC's definition; for tests, the log itself uses `Frontier`."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return node_hash(root(leaves[:split]), root(leaves[split:]))


class Frontier:
    """The right edge of a growing tree: as many hashes as `size` has one-bits, enough for appending.

    `peaks` are the roots of the complete subtrees of `peak_positions(size)`, largest first.
    """

    __slots__ = ("_peaks", "_size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count():
            raise InvalidInput(f"a tree of {size} leaves has {max(size, 0).bit_count()} peaks; {len(peaks)} given")
        self._size = size
        self._peaks = list(peaks)

    @classmethod
    def load(cls, get: NodeGetter, size: int) -> Frontier:
        """The frontier of the first `size` leaves, from stored nodes."""
        return cls(size, [get(level, index) for level, index in peak_positions(size)])

    @property
    def size(self) -> int:
        return self._size

    @property
    def peaks(self) -> tuple[bytes, ...]:
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> list[Node]:
        """Adds a leaf hash; returns the complete subtrees that it finishes, (level, index, hash), the leaf first."""
        level, index, node = 0, self._size, leaf
        created = [(level, index, node)]
        while index & 1:
            level, index, node = level + 1, index >> 1, node_hash(self._peaks.pop(), node)
            created.append((level, index, node))
        self._peaks.append(node)
        self._size += 1
        return created

    def root(self) -> bytes:
        """The root of the current tree."""
        return _fold(self._peaks) if self._peaks else EMPTY_ROOT


def peak_positions(size: int) -> list[tuple[int, int]]:
    """The (level, index) of the complete subtrees that make up a tree of `size` leaves, largest first."""
    return list(_cover(0, size))


def inclusion_proof(get: NodeGetter, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of the first `size` leaves, lowest sibling first.

    InvalidInput unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise InvalidInput(f"leaf {index} is not in a tree of {size} leaves; use 0 to {size - 1}")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(get, middle, end))
            end = middle
        else:
            path.append(_range_root(get, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(get: NodeGetter, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of the tree of `new` leaves.

    Empty for equal sizes and for `old` 0. InvalidInput unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise InvalidInput(f"no consistency proof from {old} to {new} leaves; the first must not be larger")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(get, middle, end))
            end = middle
        else:
            path.append(_range_root(get, start, middle))
            start = middle
    if start > 0:
        path.append(_range_root(get, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether `proof` shows that the leaf hash `leaf` is at `index` of the tree of `size` leaves with that root."""
    if not 0 <= index < size or not _are_hashes([leaf, *proof]):
        return False
    at, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            at, last = _skip_right_edge(at, last)
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == expected_root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `old` leaves with `old_root` begins the tree of `new` with `new_root`.

    Every tree begins with the empty one.
    """
    if not 0 <= old <= new or not _are_hashes([old_root, new_root, *proof]):
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and (new > 0 or new_root == EMPTY_ROOT)
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_node, new_node = node_hash(sibling, old_node), node_hash(sibling, new_node)
            at, last = _skip_right_edge(at, last)
        else:
            new_node = node_hash(new_node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old_node == old_root and new_node == new_root


def _sized(data: bytes) -> bytes:
    if len(data) > _LARGEST_LENGTH:
        raise InvalidInput(f"a field of {len(data)} bytes; a leaf holds at most {_LARGEST_LENGTH} in each")
    return struct.pack(">I", len(data)) + data


def _split(size: int) -> int:
    """The largest power of two smaller than `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _cover(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees of leaves [start, end), largest first; `start` is a multiple of the largest."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _fold(peaks: Sequence[bytes]) -> bytes:
    node = peaks[-1]
    for peak in reversed(peaks[:-1]):
        node = node_hash(peak, node)
    return node


def _range_root(get: NodeGetter, start: int, end: int) -> bytes:
    return _fold([get(level, index) for level, index in _cover(start, end)])


def _skip_right_edge(at: int, last: int) -> tuple[int, int]:
    """Climbs to the level at which the node has a sibling.

    Levels of the right edge without a sibling add nothing to a proof.
    """
    while at and not at & 1:
        at, last = at >> 1, last >> 1
    return at, last


def _are_hashes(nodes: Sequence[bytes]) -> bool:
    return all(len(node) == HASH_SIZE for node in nodes)
