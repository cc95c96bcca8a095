"""How a feature is declared: columns that are computed together from bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from services.trainer.data.bars import Bars, Floats

Kind = Literal["level", "calendar", "volume", "candle"]
Columns: TypeAlias = Callable[[Bars], tuple[Floats, ...]]


@dataclass(frozen=True)
class Feature:
    """One or several named columns of a kind.

    `compute` takes bars and gives one float64[n] for each name, in their order. A value at bar t uses bars up to
    and including t, is NaN where too little is known, and does not depend on the unit of price or volume.
    """

    names: tuple[str, ...]
    kind: Kind
    compute: Columns


def feature(name: str, kind: Kind, compute: Callable[[Bars], Floats]) -> Feature:
    """A feature of a single column."""
    return Feature((name,), kind, lambda bars: (compute(bars),))
