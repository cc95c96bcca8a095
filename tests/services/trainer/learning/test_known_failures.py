"""Ways in which retraining tools fool themselves. Each is a failure that others have shipped, and has a test here."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ratchet.decisions import evidence
from ratchet.decisions.comparison import GateSettings, KnowledgeCutoff, compare
from ratchet.errors import PreconditionFailed
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.targets import labels
from services.trainer.learning.inputs import ReferenceModel, SessionInputs
from services.trainer.learning.outcome import SessionOutcome
from services.trainer.learning.session import plan, run


def quiet(phase: str, fraction: float) -> None:
    pass


@pytest.fixture(scope="module")
def parent(aapl: Bars) -> SessionOutcome:
    return run(SessionInputs("AAPL", "range", 1, "logistic", aapl.head(2000), seed=1), quiet)


def scored(outcome: SessionOutcome, name: str = "AAPL/range/logistic/v1") -> ReferenceModel:
    return ReferenceModel(name, outcome.artifact, outcome.fit_end_label_time, outcome.complexity_step, outcome.params)


def trained(outcome: SessionOutcome, name: str) -> KnowledgeCutoff:
    windows = model_pb2.Windows()
    windows.fit_label_end.seconds = outcome.fit_end_label_time
    return KnowledgeCutoff.of(name, model_pb2.ModelRecord(windows=windows))


def test_a_parent_trained_on_part_of_the_holdout_is_compared_only_after_it(aapl: Bars, parent: SessionOutcome) -> None:
    """Elsewhere (freqai-strategies #132) a parent that knew a part of the holdout won on it.

    Here the child's bars end earlier than the parent's training, as with an earlier --until: no bar is left to score,
    and the registry refuses bars that the parent knew, whoever sends them.
    """
    early = aapl.head(1700)
    inputs = SessionInputs(
        "AAPL", "range", 1, "logistic", early, seed=2, sessions=1, parent=scored(parent), champion=scored(parent)
    )
    child = run(inputs, quiet)
    (pair,) = child.pairs
    assert pair.bars == 0
    known = early.time[early.time <= parent.fit_end_label_time][-200:]
    y = np.arange(len(known)) % 2 == 0
    packed = evidence.pack(np.full(len(known), 0.5), np.where(y, 0.9, 0.1), y, known)
    scoring = GateSettings(1, "balanced", int(known[-1]))
    with pytest.raises(PreconditionFailed, match="its training window knows labels up to"):
        compare(trained(parent, "AAPL/range/logistic/v1"), trained(child, "AAPL/range/logistic/v2"), packed, scoring)


def test_a_newer_model_that_is_worse_replaces_nothing(aapl: Bars, parent: SessionOutcome) -> None:
    """Elsewhere (FreqAI) the newest model is the one that serves. Here one that got worse is rejected."""
    bars = aapl.head(2600)
    times = bars.time[bars.time > parent.fit_end_label_time][:-1]
    y = labels("range", bars, 1)[np.searchsorted(bars.time, times)] == 1.0
    champion = np.where(y, 0.6, 0.4)
    newest = trained(replace(parent, fit_end_label_time=int(times[0]) - 1), "AAPL/range/logistic/v2")
    packed = evidence.pack(champion, 1.0 - champion, y, times)
    judged = compare(
        trained(parent, "AAPL/range/logistic/v1"), newest, packed, GateSettings(1, "balanced", int(times[-1]))
    ).judgement
    assert judged.verdict == decision_pb2.VERDICT_REJECTED


@pytest.mark.parametrize("horizon", [1, pytest.param(5, marks=pytest.mark.slow), 20])
def test_no_label_reaches_over_the_edge_of_a_window(aapl: Bars, horizon: int) -> None:
    """Elsewhere (FreqAI; Qlib with trunc_days=None) the last labels of a fold lie in the next one."""
    bars = aapl.head(2400)
    windows = plan(bars, "volatility", horizon, None).windows
    spans = (windows.training, windows.tune, windows.choose, windows.holdout)
    for earlier, later in pairwise(spans):
        assert earlier.stop - 1 + horizon < later.start
        assert later.start - earlier.stop == horizon
    assert windows.fit_end + horizon < windows.holdout.start
    outcome = run(SessionInputs("AAPL", "volatility", horizon, "logistic", bars, seed=3), quiet)
    for before, after in pairwise(outcome.windows):
        assert before.label_end < after.first_time
    assert outcome.fit_end_label_time < outcome.windows[-1].first_time
