"""LSTM: a recurrent network over the last bars of a row, trained by Keras on JAX, an optional extra.

Keras is imported for the first training, on one thread of the CPU; forecasts do not need it. XLA takes longer to
compile a training step for its shapes than the training takes: columns and units are padded with zeros, with weights
fixed at 0, to sizes that many networks share, and a process caches the compiled steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from ratchet.errors import PreconditionFailed
from ratchet.scoring.features import BASE
from ratchet.scoring.models.constant import constant_of, params_of, restored_constant
from ratchet.scoring.models.port import (
    MAX_MARGIN,
    Fitted,
    Floats,
    Hyperparameter,
    Params,
    Rows,
    Sample,
    TransferStart,
    check_step,
    logit,
)
from ratchet.scoring.models.recurrence import BARS, Network, Weights, initial_network, look_back, restored

BATCH = 64
PATIENCE = 8
"""Early stopping: epochs without a better log-loss."""

FINE_EPOCHS = 10
FINE_RATE = 0.3
"""Fine-tuning in a transfer: maximum number of epochs, and share of the learning rate."""

_MODULES = ("keras", "jax")
_ENVIRONMENT = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}
_BLOCK = 16

_Arrays: TypeAlias = list[Weights]
_Step: TypeAlias = Callable[[_Arrays, _Arrays, Weights, Weights, Weights, Weights, np.float32], tuple[_Arrays, _Arrays]]


def require() -> None:
    """PreconditionFailed if the optional extra is missing; imports nothing."""
    missing = [name for name in _MODULES if find_spec(name) is None]
    if missing:
        raise PreconditionFailed(
            "model type lstm needs the optional extra lstm "
            f"(not installed where the trainer runs: {', '.join(missing)}); "
            "install it there with: pip install 'ratchet-models[lstm]' "
            "(in a checkout: .venv/bin/pip install -c constraints.txt -e '.[lstm]')"
        )


@dataclass(frozen=True, eq=False)
class LstmFitted:
    """A network trained for `params["epochs"]` epochs."""

    network: Network
    params: Params

    def margin(self, X: Floats, rows: Rows) -> Floats:
        if len(rows) == 0:
            return np.empty(0)
        return np.clip(self.network.margin(X, rows), -MAX_MARGIN, MAX_MARGIN)

    def state(self) -> dict[str, object]:
        return {**self.network.state(), "params": dict(self.params)}


@dataclass(frozen=True)
class Lstm:
    """Adam on the log-loss, with dropout of columns and an L2 penalty; transfer fine-tunes the parent's network."""

    name: str = "lstm"
    features: tuple[str, ...] = BASE
    hyperparameters: tuple[Hyperparameter, ...] = (
        Hyperparameter("learning_rate", 1e-3, 0.03, log=True),
        Hyperparameter("l2", 1e-4, 0.03, log=True),
        Hyperparameter("dropout", 0.0, 0.5),
    )

    def params(self, step: int) -> dict[str, float]:
        """Units 8, 12, 16, …; `epochs` is the maximum before early stopping."""
        units = 4.0 + 4.0 * check_step(step)
        return {"units": units, "epochs": 40.0, "learning_rate": 0.005, "l2": 0.005, "dropout": 0.2}

    def fit(
        self,
        sample: Sample,
        params: Params,
        seed: int,
        *,
        start: TransferStart | None = None,
        stop: Sample | None = None,
    ) -> Fitted:
        require()
        constant = constant_of(sample, params)
        if constant is not None:
            return constant
        generator = np.random.default_rng(seed)
        units, epochs, rate = int(params["units"]), int(params["epochs"]), params["learning_rate"]
        parent = None if start is None else start.fitted
        if start is not None and isinstance(parent, LstmFitted):
            network = parent.network.widened(start.reads, sample.features)
            epochs, rate = min(epochs, FINE_EPOCHS), FINE_RATE * rate
        else:
            network = initial_network(sample.features, units, _offset(sample), generator)
        training = _Training(network, sample, {**params, "learning_rate": rate}, generator)
        network, best_epoch = _train(training, epochs, stop)
        return LstmFitted(network, {**params, "units": float(network.units), "epochs": float(best_epoch)})

    def restore(self, state: Mapping[str, object]) -> Fitted:
        return restored_constant(state) or LstmFitted(restored(state), params_of(state))


def keras_model(columns: int, units: int) -> Any:
    """The Keras model of a `Network`, all weights 0: standardised float32[m, BARS, columns] to log-odds."""
    keras = _keras()
    lstm = keras.layers.LSTM(units, kernel_initializer="zeros", recurrent_initializer="zeros", seed=0, dtype="float32")
    dense = keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")
    return keras.Sequential([keras.Input((BARS, columns)), lstm, dense])


def _train(training: _Training, epochs: int, stop: Sample | None) -> tuple[Network, int]:
    """The network after all epochs, or after the best epoch on `stop`; and the number of kept epochs."""
    if stop is None or len(stop.rows) == 0:
        for _ in range(epochs):
            training.epoch()
        return training.network(), epochs
    best, best_epoch = training.network(), 0
    lowest = _log_loss(best, stop)
    for epoch in range(1, epochs + 1):
        training.epoch()
        network = training.network()
        loss = _log_loss(network, stop)
        if loss < lowest:
            best, best_epoch, lowest = network, epoch, loss
        elif epoch - best_epoch >= PATIENCE:
            break
    return best, best_epoch


def _offset(sample: Sample) -> float:
    """The initial log-odds of a network: those of the base rate, or 0 on a margin."""
    if sample.margin is not None:
        return 0.0
    return float(logit(np.array([np.average(sample.labels, weights=sample.weight)]))[0])


def _log_loss(network: Network, sample: Sample) -> float:
    z = network.margin(sample.X, sample.rows)
    if sample.margin is not None:
        z = z + sample.margin
    return float(np.average(np.logaddexp(0.0, z) - sample.labels * z, weights=sample.weight))


class _Training:
    """The training of a network on a sample."""

    def __init__(self, network: Network, sample: Sample, params: Params, generator: np.random.Generator) -> None:
        self._network, self._generator = network, generator
        self._l2, self._keep_probability = np.float32(params["l2"]), 1.0 - params["dropout"]
        columns, units = _rounded_up(network.width), _rounded_up(network.units)
        self._weights = _resized(network.weights, columns, units)
        self._adam = _adam(columns, units)
        self._moments = self._adam.begin(params["learning_rate"])
        bars, self._at = look_back(sample.rows)
        self._inputs = _cut_or_padded(network.standardised(sample.X, bars), (len(bars), columns))
        self._labels = sample.labels.astype(np.float32)
        weight = np.ones(len(sample.rows)) if sample.weight is None else sample.weight / np.mean(sample.weight)
        self._weight = weight.astype(np.float32)
        self._margin = np.zeros(len(weight), np.float32) if sample.margin is None else sample.margin.astype(np.float32)

    def epoch(self) -> None:
        """Each row once, in random order; the first rows fill the last batch."""
        order = self._generator.permutation(len(self._labels))
        for batch in np.resize(order, (-(-len(order) // BATCH), BATCH)):
            kept_columns = self._generator.random((BATCH, 1, self._network.width)) < self._keep_probability
            mask = _cut_or_padded(kept_columns / self._keep_probability, (BATCH, 1, self._inputs.shape[1]))
            inputs = self._inputs[self._at[batch]] * mask
            self._weights, self._moments = self._adam.step(
                self._weights,
                self._moments,
                inputs,
                self._margin[batch],
                self._labels[batch],
                self._weight[batch],
                self._l2,
            )

    def network(self) -> Network:
        """The network with the current weights."""
        weights = [np.asarray(array) for array in self._weights]
        return self._network.with_weights(_resized(weights, self._network.width, self._network.units))


@dataclass(frozen=True, eq=False)
class _Adam:
    """Optimizer step of a batch; `blank`: the optimizer's initial variables, all 0, by name."""

    step: _Step
    blank: dict[str, Weights]

    def begin(self, rate: float) -> _Arrays:
        return [np.array(rate, np.float32) if name == "learning_rate" else array for name, array in self.blank.items()]


@lru_cache(maxsize=32)
def _adam(columns: int, units: int) -> _Adam:
    """Pure functions: no state is shared between fits. XLA compiles the step at its first use."""
    keras = _keras()
    import jax

    model = keras_model(columns, units)
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    fixed = [np.zeros(variable.shape, variable.dtype) for variable in model.non_trainable_variables]

    def loss(weights: Any, inputs: Any, margin: Any, labels: Any, weight: Any, l2: Any) -> Any:
        z = margin + model.stateless_call(weights, fixed, inputs)[0][:, 0]
        kernel, recurrent, _, dense, _ = weights
        penalty = sum((array**2).sum() for array in (kernel, recurrent, dense))
        return (weight * (jax.nn.softplus(z) - labels * z)).mean() + l2 * penalty

    def step(weights: Any, moments: Any, inputs: Any, margin: Any, labels: Any, weight: Any, l2: Any) -> Any:
        gradient = jax.grad(loss)(weights, inputs, margin, labels, weight, l2)
        return optimizer.stateless_apply(moments, gradient, weights)

    blank = {variable.name: np.zeros(variable.shape, variable.dtype) for variable in optimizer.variables}
    return _Adam(jax.jit(step), blank)


def _keras() -> Any:
    """Keras on JAX, on one thread of the CPU; the user's environment variables take precedence."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    backend = os.environ["KERAS_BACKEND"]
    if backend != "jax":
        raise PreconditionFailed(
            f"KERAS_BACKEND is {backend} where the trainer runs, and model type lstm is trained on jax; unset it there"
        )
    import keras

    return keras


def _rounded_up(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _resized(weights: _Arrays, columns: int, units: int) -> _Arrays:
    """The weights resized to the given columns and units, cut or padded with zeros."""
    kernel, recurrent, bias, dense, offset = weights

    def gates(array: Weights, rows: int) -> Weights:
        apart = array.reshape(-1, 4, array.shape[-1] // 4)
        return _cut_or_padded(apart, (rows, 4, units)).reshape(rows, 4 * units)

    return [
        gates(kernel, columns),
        gates(recurrent, units),
        gates(bias, 1)[0],
        _cut_or_padded(dense, (units, 1)),
        offset,
    ]


def _cut_or_padded(array: Floats | Weights, shape: tuple[int, ...]) -> Weights:
    common = tuple(slice(min(sizes)) for sizes in zip(array.shape, shape, strict=True))
    sized = np.zeros(shape, np.float32)
    sized[common] = array[common]
    return sized
