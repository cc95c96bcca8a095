"""Declaration of a feature: columns with a joint computation from bars, and their display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from ratchet.patterns.rule_text import Op
from ratchet.scoring.data.bars import Bars, Floats
from ratchet.scoring.features.units import Unit

Kind = Literal["level", "cross", "calendar", "volume", "candle"]
Columns: TypeAlias = Callable[[Bars], tuple[Floats, ...]]
Phrase: TypeAlias = Callable[[Op, float], str | None]
"""Words for a condition on a column: above, at most or exactly a stored value; None without suitable words."""


@dataclass(frozen=True)
class Column:
    """A named column; without a phrase a condition on it is its name, the operator and the number in its unit."""

    name: str
    unit: Unit = "plain"
    phrase: Phrase | None = None


@dataclass(frozen=True)
class Feature:
    """One or several columns of a kind.

    `compute` maps bars to one float64[n] per column, in their order. A value at bar t uses bars up to and including t,
    is NaN if undefined, and does not depend on the unit of price or volume.
    """

    columns: tuple[Column, ...]
    kind: Kind
    compute: Columns

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def reads_volume(self) -> bool:
        """Whether the feature needs volume."""
        return self.kind == "volume" or any(word in name for name in self.names for word in ("vwma", "mfi"))


def feature(
    name: str, kind: Kind, compute: Callable[[Bars], Floats], unit: Unit = "plain", phrase: Phrase | None = None
) -> Feature:
    """A feature of a single column."""
    return Feature((Column(name, unit, phrase),), kind, lambda bars: (compute(bars),))


def columns(*names: str, unit: Unit = "plain") -> tuple[Column, ...]:
    """Columns with the same display unit."""
    return tuple(Column(name, unit) for name in names)
