"""Text output for a model record: scores, candidates and measurements of its session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ratchet.cli.output import enum_word, format_day, format_measure, interval, lines, number, table
from ratchet.events.v1 import model_pb2
from ratchet.render import sessions

METRICS = ("brier", "accuracy", "auc")
SIZES = {"trees": "{} trees", "rounds": "{} rounds", "units": "{} units", "depth": "depth {}"}
"""Texts of the hyperparameters that grow with the complexity step."""


def render_record(record: model_pb2.ModelRecord) -> None:
    _scores(record)
    _candidates(record)
    lines(_session_lines(record))


def complexity(record: model_pb2.ModelRecord) -> Iterator[str]:
    """The offered and the selected complexity step; empty for a model type of one size."""
    offered, taken = record.complexity_step_offered, record.complexity_step
    if not offered:
        return
    if taken == offered:
        params = {param.name: param.value for param in record.hyperparameters}
        sizes = ", ".join(words.format(params[name]) for name, words in SIZES.items() if name in params)
        yield f"step {taken} of {offered} offered{f' ({sizes})' if sizes else ''}"
    elif not record.HasField("smaller_step_gain"):
        yield f"step {taken} of {offered} offered: the parent is recalibrated, with too few unseen bars for a new part"
    else:
        gain = format_measure(record, "smaller_step_gain", 4, signed=True)
        yield f"step {taken} taken of {offered} offered: better on tune by {gain}"


def _scores(record: model_pb2.ModelRecord) -> None:
    """The model beside the baselines on the holdout."""
    holdout = record.windows.holdout
    title = f"Holdout: {holdout.rows} bars, {format_day(holdout.first_bar)} to {format_day(holdout.last_bar)}"
    gains = {base.name: format_measure(base, "gain", 4, signed=True) for base in record.baselines}
    named = [("this model", record.metrics), *((base.name, base.metrics) for base in record.baselines)]
    scores = [(name, {metric.name: metric for metric in metrics}) for name, metrics in named]
    shown = [metric for metric in METRICS if any(metric in found for _, found in scores)]
    rows = [
        [name, *(format_measure(found[m], "interval") if m in found else "-" for m in shown), gains.get(name, "")]
        for name, found in scores
    ]
    table(title, ("", *(f">{metric}" for metric in shown), ">Brier gain of the model"), rows)


def _candidates(record: model_pb2.ModelRecord) -> None:
    rows = [
        (
            enum_word(model_pb2.CandidateKind.Name(candidate.kind), "CANDIDATE_KIND_").lower(),
            "chosen" if candidate.chosen else "",
            number(candidate.choose_score, 4) if candidate.HasField("choose_score") else "-",
            str(candidate.choose_bars) if candidate.HasField("choose_score") else "-",
            f"{candidate.cpu_seconds:.1f}",
            sessions.candidate(candidate, record.parent),
        )
        for candidate in record.candidates
    ]
    table("Candidates", ("kind", "", ">Brier (choose)", ">bars", ">CPU s", "what"), rows)


def _setting(step: int, hyperparameters: Iterable[model_pb2.Parameter]) -> str:
    return f"step {step}: {', '.join(f'{each.name}={float(each.value):.3g}' for each in hyperparameters)}"


def _session_lines(record: model_pb2.ModelRecord) -> Iterator[str]:
    """The study, the corrections with and without, the value of patterns, and the excluded features."""
    if record.trials:
        best = min(record.trials, key=lambda trial: trial.tune_score)
        best_of_tune = _setting(best.complexity_step, best.hyperparameters)
        taken = _setting(record.complexity_step, record.hyperparameters)
        yield f"study: {len(record.trials)} settings, the best at {best_of_tune}" + (
            f"; taken: {taken}" if record.hyperparameters and taken != best_of_tune else ""
        )
    for each in record.corrections:
        use = "applied" if each.applied else "not applied"
        scores = f"Brier {number(each.score_with, 4)} with, {number(each.score_without, 4)} without"
        yield f"correction by {sessions.correction(each)}: {scores}, on {each.bars} bars: {use}"
    if record.HasField("patterns_worth"):
        yield f"patterns as features are worth {interval(record.patterns_worth, 4, signed=True)} of Brier score"
    if record.features_left_out:
        reasons = {sessions.left_out(left) for left in record.features_left_out}
        names = ", ".join(left.name for left in record.features_left_out)
        yield f"left out of the new model ({'; '.join(sorted(reasons))}): {names}"
