"""Persistent (immutable, structure-sharing) collections with an update cost independent of a lineage's length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
State = TypeVar("State")

SMALL = 16
"""Entries of the newest level, which is copied for each new entry."""
CHUNK = 32
"""Values of a chunk; the newest is copied for each new value, the list of the full ones for each CHUNK values."""


class PersistentMap(Mapping[K, V]):
    """An immutable mapping; `with_entry` returns an updated one, which shares all but its newest entries.

    It consists of a few plain dicts, oldest first, each at least twice as large as the next one. So n entries lie in
    about log2(n / SMALL) dicts, a new entry costs O(log n) amortised, and older values stay valid.
    """

    __slots__ = ("_levels",)

    def __init__(self, entries: Mapping[K, V] | None = None) -> None:
        self._levels: tuple[dict[K, V], ...] = (dict(entries),) if entries else ()

    def with_entry(self, key: K, value: V) -> PersistentMap[K, V]:
        """This mapping with one added or replaced entry."""
        levels = self._levels
        copy: PersistentMap[K, V] = PersistentMap.__new__(PersistentMap)
        if levels and (len(newest := levels[-1]) < SMALL or key in newest):
            newest = newest.copy()
            newest[key] = value
            copy._levels = (*levels[:-1], newest)
            return copy
        while len(levels) > 1 and len(levels[-2]) < 2 * len(levels[-1]):
            levels = (*levels[:-2], {**levels[-2], **levels[-1]})
        copy._levels = (*levels, {key: value})
        return copy

    def __getitem__(self, key: K) -> V:
        for level in reversed(self._levels):
            if key in level:
                return level[key]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        for level in self._levels:  # noqa: SIM110 any() with a generator takes twice as long
            if key in level:
                return True
        return False

    def __iter__(self) -> Iterator[K]:
        return iter(dict.fromkeys(chain.from_iterable(self._levels)))

    def __len__(self) -> int:
        """Counts the entries: O(n)."""
        return len(dict.fromkeys(chain.from_iterable(self._levels)))

    def __bool__(self) -> bool:
        return bool(self._levels)

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self)!r})"


class PersistentList(Generic[V]):
    """An immutable list; `with_value` returns an extended one, which shares all but its newest values.

    It consists of tuples of CHUNK values: a new one copies less than CHUNK references, and n / CHUNK² on average.
    """

    __slots__ = ("_chunks", "_newest")

    def __init__(self) -> None:
        self._chunks: tuple[tuple[V, ...], ...] = ()
        self._newest: tuple[V, ...] = ()

    def with_value(self, value: V) -> PersistentList[V]:
        """This list with one more value at its end."""
        copy: PersistentList[V] = PersistentList.__new__(PersistentList)
        newest = (*self._newest, value)
        if len(newest) < CHUNK:
            copy._chunks, copy._newest = self._chunks, newest
        else:
            copy._chunks, copy._newest = (*self._chunks, newest), ()
        return copy

    def __getitem__(self, index: int) -> V:
        """The value at `index`, counted from 0."""
        chunk, place = divmod(index, CHUNK)
        return self._chunks[chunk][place] if chunk < len(self._chunks) else self._newest[place]

    def __len__(self) -> int:
        return len(self._chunks) * CHUNK + len(self._newest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PersistentList) and (self._chunks, self._newest) == (other._chunks, other._newest)

    __hash__ = None  # type: ignore[assignment]  # its values need not be hashable

    def __repr__(self) -> str:
        return f"PersistentList({[self[index] for index in range(len(self))]!r})"


def fast_replace(state: State, **fields: Any) -> State:
    """A frozen dataclass with some fields replaced: `dataclasses.replace` for values whose fields need no checking.

    A log of a million facts is folded in seconds; `replace` alone would take half of that time.
    """
    copy: State = object.__new__(type(state))
    object.__setattr__(copy, "__dict__", state.__dict__ | fields)
    return copy
