"""What the steps of one session share: its inputs, its windows, the labels and all features."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratchet.errors import InvalidInput
from ratchet.scoring import features
from ratchet.scoring.columns import Table, probabilities
from ratchet.scoring.models import artifact
from ratchet.scoring.models.artifact import ModelFile
from ratchet.scoring.models.port import Floats
from services.trainer.learning.inputs import ScoredModel, SessionInputs
from services.trainer.learning.windows import Windows


@dataclass(frozen=True, eq=False)
class Context:
    """`y` is float64[n], NaN where unknown; `table` holds the whole feature library; rows are bar indices."""

    inputs: SessionInputs
    windows: Windows
    y: Floats
    table: Table
    _opened: dict[str, ModelFile] = field(default_factory=dict)
    _said: dict[ModelFile, Floats] = field(default_factory=dict)

    @cached_property
    def library(self) -> Table:
        """The features that the series has: the columns that mining searches."""
        return self.table.part(features.available(self.inputs.bars))

    @property
    def times(self) -> NDArray[np.int64]:
        return self.inputs.bars.time

    def label_time(self, row: int) -> int:
        """When the label of a row became known."""
        return int(self.times[row + self.inputs.horizon])

    def probabilities(self, model: ModelFile) -> Floats:
        """What `model` says of every bar, float64[n]."""
        if model not in self._said:
            self._said[model] = probabilities(model, self.table)
        return self._said[model]

    def open(self, scored: ScoredModel) -> ModelFile:
        """The model of an artifact; CorruptData if it is none, InvalidInput if it predicts something else."""
        if scored.name in self._opened:
            return self._opened[scored.name]
        model, inputs = artifact.load(scored.artifact), self.inputs
        if (model.series, model.target, model.horizon) != (inputs.series, inputs.target, inputs.horizon):
            raise InvalidInput(
                f"{scored.name} predicts {model.target} of {model.series} {model.horizon} bars ahead,"
                f" not {inputs.target} of {inputs.series} {inputs.horizon} bars ahead"
            )
        self._opened[scored.name] = model
        return model
