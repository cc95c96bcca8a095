"""Text output for models and decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

import click

from ratchet.cli.as_of import PRESENT, TimePoint
from ratchet.cli.connect import command_line
from ratchet.cli.output import format_day, format_measure, format_time, interval, lines, newest, print_omitted, table
from ratchet.cli.record_views import complexity, render_record
from ratchet.cli.verdict import decision_fact, decision_lines, evidence_lines, verdict_of, verdict_of_model
from ratchet.events.v1 import decision_pb2, model_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.render import sessions
from ratchet.render.decisions import reason


def render_versions(
    found: Sequence[registry_pb2.Model],
    limit: int,
    series: str,
    home: str | None,
    stale: Collection[str] = (),
    as_of: TimePoint = PRESENT,
) -> None:
    """Prints a table per lineage with its `limit` newest versions in order; `series`: the requested one.

    `stale`: names of stale champions.
    """
    if not found:
        step = command_line(home, "train", series or "SERIES", "--model", "TYPE")
        click.echo(f"no models{f' of {series}' if series else ''} yet; train one with {step}")
        return
    ordered = sorted(found, key=lambda model: (model.lineage, model.version))
    columns = ("model", "parent", ">accuracy", ">Brier", ">over its parent", "verdict", "")
    for lineage, versions in groupby(ordered, key=lambda model: model.lineage):
        known = list(versions)
        shown = newest(known, limit)
        table(lineage, columns, [_version(model, model.name in stale) for model in shown])
        asked = command_line(home, "models", "list", *([series] if series else []), *as_of.arguments)
        print_omitted(len(known) - len(shown), "older versions are left out", asked)


def _version(model: registry_pb2.Model, stale: bool) -> tuple[str, ...]:
    improvement = f"{interval(model.improvement_over_parent, 1, signed=True)} %"
    return (
        f"v{model.version}",
        model.parent.rpartition("/")[2] or "-",
        format_measure(model, "accuracy"),
        format_measure(model, "brier", 4),
        improvement if model.HasField("improvement_over_parent") else "-",
        verdict_of_model(model),
        flag_text(model, stale),
    )


def flag_text(model: registry_pb2.Model, stale: bool = False) -> str:
    flags = (
        (model.lineage_champion, "★ champion"),
        (model.symbol_best, "★★ best of its symbol"),
        (stale, "stale"),
        (model.contender, "contender"),
        (not model.skill_shown, "no skill shown"),
    )
    return ", ".join(text for holds, text in flags if holds)


def render_model(model: registry_pb2.Model, wordings: Mapping[str, str], home: str | None) -> None:
    record, windows = model.record, model.record.windows
    patterns = [feature for feature in record.features if feature.source == model_pb2.FEATURE_SOURCE_PATTERN]
    lines(
        [
            f"{model.name}   {verdict_of_model(model)}   {flag_text(model)}".rstrip(),
            f"recorded    {format_time(model.recorded_at)}, log position {model.position}, session {model.session_id}",
            f"parent      {model.parent or 'none: the first of its lineage'}",
            f"data        {record.dataset_digest[:12]}",
            *(
                f"{name:<11} {window.rows} rows, {format_day(window.first_bar)} to {format_day(window.last_bar)}"
                for name, window in (
                    ("training", windows.training),
                    ("tune", windows.tune),
                    ("choose", windows.choose),
                    ("holdout", windows.holdout),
                )
            ),
            f"features    {len(record.features)}, of these {len(patterns)} from patterns",
            f"artifact    {record.artifact.digest[:12]}, {record.artifact.size_bytes} bytes, {record.artifact.format}",
            f"history     {_history(record.history)}",
            f"seed        {record.seed}, {record.cpu_seconds:.1f} s of CPU",
            *(f"complexity  {steps}" for steps in complexity(record)),
            "parameters  " + ", ".join(f"{p.name}={p.value}" for p in record.hyperparameters),
        ]
    )
    render_record(record)
    ranked = [
        (str(f.rank), wordings.get(f.name, f.name), interval(f.share, 2), "useless" if f.useless else "")
        for f in record.importance
    ]
    table("Importance", (">rank", "feature", ">share", ""), ranked)
    for left_out in record.patterns_left_out:
        named = wordings.get(left_out.pattern_id, left_out.pattern_id)
        click.echo(f"pattern left out: {named}: {sessions.left_out(left_out)}")
    click.echo("next: " + command_line(home, "models", "history", model.lineage))


def _history(bars: int) -> str:
    return f"{bars:,} bars: a forecast needs as many" if bars else "whole: a forecast needs all bars of the series"


def render_comparison(found: registry_pb2.CompareModelsResponse, wordings: Mapping[str, str]) -> None:
    first, second = found.model, found.other
    rows = [
        ("Brier on its own holdout", format_measure(first, "brier", 4), format_measure(second, "brier", 4)),
        ("accuracy on its own holdout", format_measure(first, "accuracy"), format_measure(second, "accuracy")),
        ("features", str(first.features), str(second.features)),
        ("patterns", str(first.patterns), str(second.patterns)),
        ("verdict", verdict_of_model(first), verdict_of_model(second)),
    ]
    table("", ("", first.name, second.name), rows)
    click.echo("Scores from different windows do not compare models; paired evidence does:")
    for evidence in found.evidence:
        lines(f"  {line}" for line in evidence_lines(evidence))
    if not found.evidence:
        click.echo("  none on record for this pair")
    for title, names in (
        ("features added", found.features_added),
        ("features removed", found.features_removed),
        ("patterns added", found.patterns_added),
        ("patterns removed", found.patterns_removed),
    ):
        shown = [wordings.get(name, name) for name in names if not name.startswith("rule:")]
        if shown:
            click.echo(f"{title}:")
            lines(f"  {name}" for name in shown)


def render_champion(found: registry_pb2.GetChampionResponse) -> None:
    click.echo(f"{found.model.name}   {flag_text(found.model, found.stale)}")
    click.echo(f"  recorded {format_time(found.model.recorded_at)}, one of {found.versions} versions")
    click.echo(f"  last labelled bar {format_day(found.last_labelled_bar)}")
    sessions, bars = (_counted(found.sessions_since, "session"), _counted(found.bars_since, "labelled bar"))
    click.echo(f"  since its own session: {sessions}, {bars}")
    click.echo(f"  contenders: {', '.join(found.contenders) or 'none'}")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def render_best(found: registry_pb2.GetSymbolBestResponse) -> None:
    click.echo(f"{found.model.name}   {flag_text(found.model)}")
    click.echo(f"  {reason(decision_fact(found.decision))}")


def render_decisions(
    found: Sequence[registry_pb2.Decision],
    first: registry_pb2.Model,
    limit: int,
    home: str | None,
    as_of: TimePoint = PRESENT,
) -> None:
    """Prints the `limit` newest decisions on a lineage, oldest first; `first` is its first model."""
    already_shown: Sequence[decision_pb2.Evidence] = ()
    shown = newest(found, limit)
    for decision in shown:
        click.echo(
            f"{format_time(decision.recorded_at)}   position {decision.position}   {verdict_of(decision, first)}"
        )
        lines(f"  {line}" for line in decision_lines(decision, home, already_shown, first))
        already_shown = decision_fact(decision).evidence
        click.echo()
    asked = command_line(home, "models", "history", first.lineage, *as_of.arguments)
    print_omitted(len(found) - len(shown), "older decisions are left out", asked)
