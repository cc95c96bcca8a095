"""Shared data of a session's steps: inputs, windows, labels and all features."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.scoring import features
from ratchet.scoring.columns import FeatureTable, probabilities
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.port import Floats
from services.trainer.learning.inputs import ReferenceModel, SessionInputs
from services.trainer.learning.windows import Windows


@dataclass(frozen=True, eq=False)
class Context:
    """`y` is float64[n], NaN where unknown; `table` holds the whole feature library; rows are bar indices."""

    inputs: SessionInputs
    windows: Windows
    y: Floats
    table: FeatureTable
    _models: dict[str, ModelFile] = field(default_factory=dict)
    _forecasts: dict[ModelFile, Floats] = field(default_factory=dict)

    @cached_property
    def library(self) -> FeatureTable:
        """The features available for the series: the columns that mining searches."""
        return self.table.select(features.available(self.inputs.bars))

    @property
    def times(self) -> NDArray[np.int64]:
        return self.inputs.bars.time

    def label_time(self, row: int) -> int:
        """The label time of a row."""
        return int(self.times[row + self.inputs.horizon])

    def probabilities(self, model: ModelFile) -> Floats:
        """The model's probability for every bar, float64[n]; cached."""
        if model not in self._forecasts:
            self._forecasts[model] = probabilities(model, self.table)
        return self._forecasts[model]

    def open(self, scored: ReferenceModel) -> ModelFile:
        """The model of an artifact; CorruptData for a malformed one, InvalidInput for another series, target or
        horizon."""
        if scored.name in self._models:
            return self._models[scored.name]
        model, inputs = artifact.load(scored.artifact), self.inputs
        if (model.series, model.target, model.horizon) != (inputs.series, inputs.target, inputs.horizon):
            raise InvalidInput(
                f"{scored.name} predicts {model.target} of {model.series} {model.horizon} bars ahead,"
                f" not {inputs.target} of {inputs.series} {inputs.horizon} bars ahead"
            )
        self._models[scored.name] = model
        return model
