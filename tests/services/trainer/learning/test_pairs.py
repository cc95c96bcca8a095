"""No bar that a model knows, by its fits or by the patterns that it uses, scores it."""

from __future__ import annotations

from dataclasses import replace

from ratchet.decisions import evidence
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.models.artifact import load
from ratchet.scoring.rule import Condition, Rule, pattern_id
from services.trainer.learning.inputs import KnownPattern, ReferenceModel, SessionInputs
from services.trainer.learning.pairs import NEW_MODEL, paired_evidence
from services.trainer.learning.session import build_context, plan, run

WIDE = Rule((Condition("range_regime_5", ">", 0.2),), 1)


def test_a_pattern_with_later_evidence_than_the_fit_spends_its_bars_too(aapl: Bars) -> None:
    """As in a version trained with an earlier --until than its parent, which inherits the parent's patterns."""
    bars = aapl.head(1700)
    known = KnownPattern(pattern_id(WIDE, "AAPL", "range"), WIDE, 0.7, int(bars.time[1600]), "kept")
    inputs = SessionInputs("AAPL", "range", 1, "logistic", bars, seed=1, patterns=(known,))
    outcome = run(replace(inputs, bars=aapl.head(1500)), lambda phase, fraction: None)
    plain = run(replace(inputs, bars=aapl.head(1400), patterns=()), lambda phase, fraction: None)
    best = ReferenceModel("AAPL/range/logistic/v1", plain.artifact, plain.fit_end_label_time, 1, plain.params)
    context = build_context(replace(inputs, symbol_best=best), plan(bars, "range", 1, None))
    _, (pair,) = paired_evidence(context, load(outcome.artifact), outcome.fit_end_label_time)
    times = evidence.unpack(pair.evidence).times
    assert outcome.fit_end_label_time < known.evidence_end
    assert (times[0], times[-1]) == (bars.time[1601], bars.time[1698])


def test_the_champion_that_may_stay_meets_the_best_of_the_symbol_too(aapl: Bars) -> None:
    """Unless it is the best itself: then all were compared with it already."""
    bars = aapl.head(1500)
    inputs = SessionInputs("AAPL", "range", 1, "logistic", bars, seed=1)
    trained = [run(replace(inputs, bars=aapl.head(end)), lambda phase, fraction: None) for end in (1100, 1200, 1300)]
    parent, contender, best = (
        ReferenceModel(name, each.artifact, each.fit_end_label_time, 1, each.params)
        for name, each in zip(
            ("AAPL/range/logistic/v1", "AAPL/range/logistic/v2", "AAPL/range/lstm/v1"), trained, strict=True
        )
    )
    planned = plan(bars, "range", 1, None)
    raced = replace(inputs, champion=parent, contenders=(contender,), symbol_best=best)
    new = load(trained[0].artifact)

    def told(inputs: SessionInputs) -> list[list[tuple[str, str]]]:
        found = paired_evidence(build_context(inputs, planned), new, trained[0].fit_end_label_time)
        return [[(pair.champion, pair.contender) for pair in side] for side in found]

    own = [(parent.name, NEW_MODEL), (parent.name, contender.name)]
    assert told(raced) == [own, [(best.name, NEW_MODEL), (best.name, contender.name), (best.name, parent.name)]]
    assert told(replace(raced, symbol_best=parent)) == [own, []]
    _, (*_, standing) = paired_evidence(build_context(raced, planned), new, trained[0].fit_end_label_time)
    assert evidence.unpack(standing.evidence).times[0] > best.fit_end_label_time
