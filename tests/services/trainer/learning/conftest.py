"""Sessions that are run once."""

from __future__ import annotations

import pytest

from ratchet.scoring.data.bars import Bars
from services.trainer.learning.inputs import ReferenceModel, SessionInputs, SessionOptions
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.learning.session import run

QUICK = SessionOptions(suggestions=1)
"""A study with one suggestion: a session like any other, in half of the time."""


@pytest.fixture(scope="session")
def first_inputs(aapl: Bars) -> SessionInputs:
    return SessionInputs("AAPL", "range", 1, "random-forest", aapl.head(1720), seed=7, options=QUICK)


@pytest.fixture(scope="session")
def first(first_inputs: SessionInputs) -> SessionOutcome:
    return run(first_inputs, lambda phase, fraction: None)


@pytest.fixture(scope="session")
def champion(first: SessionOutcome) -> ReferenceModel:
    return ReferenceModel(
        "AAPL/range/random-forest/v1", first.artifact, first.fit_end_label_time, first.complexity_step, first.params
    )
