"""Values that grow with a lineage, and cost the same however long it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
State = TypeVar("State")

SMALL = 16
"""Entries of the newest layer, which is copied for each new entry."""
CHUNK = 32
"""Values of a chunk; the newest is copied for each new value, the list of the full ones for each CHUNK values."""


class Growing(Mapping[K, V]):
    """A mapping that never changes; `with_entry` gives the next one, which shares all but its newest entries with it.

    It is a few plain dicts, oldest first, each at least twice as large as the one after it. So n entries lie in about
    log2(n / SMALL) of them, a new entry costs O(log n) amortised, and whoever holds an older value still has it.
    """

    __slots__ = ("_layers",)

    def __init__(self, entries: Mapping[K, V] | None = None) -> None:
        self._layers: tuple[dict[K, V], ...] = (dict(entries),) if entries else ()

    def with_entry(self, key: K, value: V) -> Growing[K, V]:
        """This mapping with one more entry, or with another value of one."""
        layers = self._layers
        made: Growing[K, V] = Growing.__new__(Growing)
        if layers and (len(newest := layers[-1]) < SMALL or key in newest):
            newest = newest.copy()
            newest[key] = value
            made._layers = (*layers[:-1], newest)
            return made
        while len(layers) > 1 and len(layers[-2]) < 2 * len(layers[-1]):
            layers = (*layers[:-2], {**layers[-2], **layers[-1]})
        made._layers = (*layers, {key: value})
        return made

    def __getitem__(self, key: K) -> V:
        for layer in reversed(self._layers):
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        for layer in self._layers:  # noqa: SIM110 any() with a generator takes twice as long
            if key in layer:
                return True
        return False

    def __iter__(self) -> Iterator[K]:
        return iter(dict.fromkeys(chain.from_iterable(self._layers)))

    def __len__(self) -> int:
        """Counts the entries: O(n)."""
        return len(dict.fromkeys(chain.from_iterable(self._layers)))

    def __bool__(self) -> bool:
        return bool(self._layers)

    def __repr__(self) -> str:
        return f"Growing({dict(self)!r})"


class Appended(Generic[V]):
    """A list that never changes; `with_value` gives the next one, which shares all but its newest values with it.

    It lies in tuples of CHUNK values: a new one copies less than CHUNK references, and n / CHUNK² on average.
    """

    __slots__ = ("_chunks", "_newest")

    def __init__(self) -> None:
        self._chunks: tuple[tuple[V, ...], ...] = ()
        self._newest: tuple[V, ...] = ()

    def with_value(self, value: V) -> Appended[V]:
        """This list with one more value at its end."""
        made: Appended[V] = Appended.__new__(Appended)
        newest = (*self._newest, value)
        if len(newest) < CHUNK:
            made._chunks, made._newest = self._chunks, newest
        else:
            made._chunks, made._newest = (*self._chunks, newest), ()
        return made

    def __getitem__(self, index: int) -> V:
        """The value at `index`, counted from 0."""
        chunk, place = divmod(index, CHUNK)
        return self._chunks[chunk][place] if chunk < len(self._chunks) else self._newest[place]

    def __len__(self) -> int:
        return len(self._chunks) * CHUNK + len(self._newest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Appended) and (self._chunks, self._newest) == (other._chunks, other._newest)

    __hash__ = None  # type: ignore[assignment]  # its values need not be hashable

    def __repr__(self) -> str:
        return f"Appended({[self[index] for index in range(len(self))]!r})"


def changed(state: State, **fields: Any) -> State:
    """A frozen dataclass with some fields changed: `dataclasses.replace` for values whose fields need no checking.

    A log of a million facts is folded in seconds, of which `replace` alone would take half.
    """
    made: State = object.__new__(type(state))
    object.__setattr__(made, "__dict__", state.__dict__ | fields)
    return made
