"""Validated one-dimensional arrays: the input types of the statistics."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ratchet.errors import InvalidInput

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Times: TypeAlias = NDArray[np.int64]


def floats(name: str, values: ArrayLike) -> Floats:
    """`values` as finite float64 of shape (n,); otherwise InvalidInput."""
    column = np.ascontiguousarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise InvalidInput(f"{name} has {column.ndim} dimensions; pass one value for each bar")
    finite = np.isfinite(column)
    if not finite.all():
        at = int(np.argmin(finite))
        raise InvalidInput(f"{name}[{at}] is {column[at]}; every value must be finite", fields={name: "not finite"})
    return column


def probabilities(name: str, values: ArrayLike) -> Floats:
    """`values` as float64 of shape (n,) within [0, 1]; otherwise InvalidInput."""
    column = np.ascontiguousarray(values, dtype=np.float64)
    inside = (column >= 0.0) & (column <= 1.0)
    if column.ndim != 1 or not inside.all():
        column = floats(name, column)
        at = int(np.argmin(inside))
        raise InvalidInput(
            f"{name}[{at}] is {column[at]}; a probability lies in 0 to 1", fields={name: "not a probability"}
        )
    return column


def outcomes(name: str, values: ArrayLike) -> Flags:
    """`values` (booleans, or numbers 0 and 1) as bool of shape (n,); otherwise InvalidInput."""
    column = floats(name, values)
    binary = (column == 0.0) | (column == 1.0)
    if not binary.all():
        at = int(np.argmin(binary))
        raise InvalidInput(f"{name}[{at}] is {column[at]}; an outcome is 0 or 1", fields={name: "not an outcome"})
    return column.astype(np.bool_)


def bar_times(name: str, values: ArrayLike) -> Times:
    """`values` as strictly increasing int64 of shape (n,), epoch seconds UTC; otherwise InvalidInput."""
    column = np.asarray(values)
    if column.size and column.dtype.kind not in "iu":
        raise InvalidInput(f"{name} has type {column.dtype}; pass epoch seconds UTC as integers")
    column = np.ascontiguousarray(column, dtype=np.int64)
    if column.ndim != 1:
        raise InvalidInput(f"{name} has {column.ndim} dimensions; pass one value for each bar")
    later = column[1:] > column[:-1]
    if not later.all():
        at = int(np.argmin(later)) + 1
        raise InvalidInput(
            f"{name}[{at}] is {column[at]}, not after {column[at - 1]}; bar times must strictly increase",
            fields={name: "not increasing"},
        )
    return column


def same_length(**columns: Floats | Flags | Times) -> int:
    """The common length of the named columns; InvalidInput when they differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InvalidInput(f"columns of different length: {described}; every bar needs a value in each")
    return next(iter(lengths.values()))
