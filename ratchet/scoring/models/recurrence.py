"""Inference of an LSTM in numpy, and its extension by columns. `lstm` trains it.

Inference needs no Keras and no compiler, and gives the same bits in every process. The weights follow Keras: gates in
the order input, forget, cell, output. Source: Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ratchet.errors import CorruptData, InvalidInput
from ratchet.scoring.models.port import Floats, Rows

BARS = 20
"""Bars of a row's input sequence, ending with its own."""

CLIP = 5.0
"""Standardised columns are clipped to ± this many standard deviations."""

_FLAT = 1e-9
Weights: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Network:
    """One LSTM layer of u units over k standardised columns, and a dense margin of its last output.

    `mean` and `scale` are float64[k]; `kernel` float32[k, 4u], `recurrent` float32[u, 4u], `bias` float32[4u],
    `dense` float32[u, 1], `offset` float32[1].
    """

    mean: Floats
    scale: Floats
    kernel: Weights
    recurrent: Weights
    bias: Weights
    dense: Weights
    offset: Weights

    @property
    def width(self) -> int:
        return len(self.mean)

    @property
    def units(self) -> int:
        return len(self.dense)

    @property
    def weights(self) -> list[Weights]:
        """The trainable weights, in Keras' order."""
        return [self.kernel, self.recurrent, self.bias, self.dense, self.offset]

    def with_weights(self, weights: list[Weights]) -> Network:
        """This network with the five arrays of `weights`."""
        kernel, recurrent, bias, dense, offset = weights
        return replace(self, kernel=kernel, recurrent=recurrent, bias=bias, dense=dense, offset=offset)

    def standardised(self, X: Floats, bars: Rows) -> Floats:
        """float64[b, k]: the columns at `bars`; 0 for unknown values and bars before the series' begin."""
        values = (X[bars] - self.mean) / self.scale
        values[bars < 0] = 0.0
        return np.nan_to_num(np.clip(values, -CLIP, CLIP), copy=False)

    def margin(self, X: Floats, rows: Rows) -> Floats:
        """Log-odds of label 1 at `rows`, float64[m], not clipped; X float64[n, k] holds every bar."""
        bars, at = look_back(rows)
        inputs = self.standardised(X, bars) @ self.kernel.astype(np.float64) + self.bias
        recurrent = self.recurrent.astype(np.float64)
        output = cell = np.zeros((len(rows), self.units))
        for bar in range(BARS):
            enter, keep, new, show = np.split(inputs[at[:, bar]] + output @ recurrent, 4, axis=1)
            cell = expit(keep) * cell + expit(enter) * np.tanh(new)
            output = expit(show) * np.tanh(cell)
        margin: Floats = (output @ self.dense.astype(np.float64))[:, 0] + float(self.offset[0])
        return margin

    def widened(self, reads: tuple[int, ...], features: Floats) -> Network:
        """The same function over the columns of `features`, float64[m, k']; `reads`: indices of this network's columns.

        The weights of the other columns are 0, and those columns are standardised by `features`.
        """
        if len(reads) != self.width:
            raise InvalidInput(f"{len(reads)} columns for a network that reads {self.width}")
        mean, scale = moments(features)
        kernel = np.zeros((features.shape[1], 4 * self.units), np.float32)
        own = list(reads)
        mean[own], scale[own], kernel[own] = self.mean, self.scale, self.kernel
        return replace(self, mean=mean, scale=scale, kernel=kernel)

    def state(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def look_back(rows: Rows) -> tuple[Rows, Rows]:
    """The input bars of all rows, int64[b], and the indices into them for each row, oldest first, int64[m, BARS].

    Bar -1 stands for all bars before the series' begin.
    """
    needed = np.maximum(rows[:, None] + np.arange(1 - BARS, 1), -1)
    bars, at = np.unique(needed, return_inverse=True)
    return bars, at.reshape(needed.shape)


def moments(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the known values of each column, float64[k]; 0 and 1 if undefined."""
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, features, 0.0).sum(axis=0) / count
    scale = np.sqrt((np.where(known, features - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(scale > _FLAT * np.maximum(np.abs(mean), _FLAT), scale, 1.0)


def initial_network(features: Floats, units: int, offset: float, generator: np.random.Generator) -> Network:
    """An untrained network over the columns of `features`, float64[m, k], with the constant answer `offset`.

    Kernels are drawn as in Keras (Glorot & Bengio 2010; recurrent: orthogonal, Saxe et al. 2014; forget gates start
    open), but from `generator`; the dense weights start at 0.
    """
    mean, scale = moments(features)
    limit = np.sqrt(6.0 / (len(mean) + 4 * units))
    rotation, triangle = np.linalg.qr(generator.normal(size=(4 * units, units)))
    bias = np.zeros(4 * units, np.float32)
    bias[units : 2 * units] = 1.0
    return Network(
        mean=mean,
        scale=scale,
        kernel=generator.uniform(-limit, limit, (len(mean), 4 * units)).astype(np.float32),
        recurrent=np.ascontiguousarray((rotation * np.sign(np.diag(triangle))).T, dtype=np.float32),
        bias=bias,
        dense=np.zeros((units, 1), np.float32),
        offset=np.array([offset], np.float32),
    )


def restored(state: Mapping[str, object]) -> Network:
    """The network of this state; CorruptData for a malformed state."""
    found = {field.name: state.get(field.name) for field in fields(Network)}
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    missing = ", ".join(sorted(found.keys() - arrays.keys()))
    if missing:
        raise CorruptData(f"the model's state has no arrays {missing}; fetch the artifact again")
    width, units = arrays["mean"].size, arrays["dense"].size
    wanted = {
        "mean": (np.float64, (width,)),
        "scale": (np.float64, (width,)),
        "kernel": (np.float32, (width, 4 * units)),
        "recurrent": (np.float32, (units, 4 * units)),
        "bias": (np.float32, (4 * units,)),
        "dense": (np.float32, (units, 1)),
        "offset": (np.float32, (1,)),
    }
    for name, (dtype, shape) in wanted.items():
        array = arrays[name]
        if array.dtype != dtype or array.shape != shape or not np.isfinite(array).all():
            raise CorruptData(
                f"the model's {name} are {array.dtype}{list(array.shape)}, "
                f"not finite {np.dtype(dtype)}{list(shape)}; fetch the artifact again"
            )
    if units == 0 or not (arrays["scale"] > 0).all():
        raise CorruptData("the model has no units, or divides a column by nothing; fetch the artifact again")
    return Network(**arrays)
