"""The page around the charts: findings, table, decisions, how it was made."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

from ratchet.backtest.compare import Finding, Score
from ratchet.backtest.moments import day
from ratchet.backtest.report.figure import Figure, Panel
from ratchet.backtest.report.script import script
from ratchet.backtest.report.style import DARK, LIGHT, css
from ratchet.backtest.result import ArmName, Result
from ratchet.backtest.words import Sentence, estimate, headline, history, percent
from ratchet.proof.scores import Interval

MARKS: dict[Finding, str] = {"better": "better", "worse": "worse", "not shown": "neutral"}
VERDICT_MARKS = {"PROMOTED": "better", "REJECTED": "worse"}
MEANING: dict[ArmName, str] = {
    "ratchet": "the champion that the gate left in force",
    "never retrained": "v1 for ever",
    "always replaced": "the newest version, whatever the gate said",
    "plain": "promoted on a better mean, in a loop of its own",
    "from scratch": "trained anew at each date on the base features",
    "logistic": "logistic regression, fitted anew at each date",
    "persistence": "the last known label repeated",
    "majority": "the frequency of the label so far",
}
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'"
)
SIDE_BY_SIDE = ("calibration", "cost")
GAIN_WIDTH, GAIN_HEIGHT = 170, 18


def html(
    result: Result, scores: Sequence[Score], sentences: Sequence[Sentence], figures: Sequence[Figure], library: str
) -> str:
    """The whole page; `library` is the script that gives it vegaEmbed."""
    setting = result.setting
    title = f"Backtest of {setting.series} {setting.task}, {setting.model_type}"
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta name="theme-color" content="{LIGHT["page"]}" media="(prefers-color-scheme: light)">',
            f'<meta name="theme-color" content="{DARK["page"]}" media="(prefers-color-scheme: dark)">',
            f"<title>{escape(title)}</title><style>{css()}</style></head><body><main>",
            _head(result, sentences),
            _table(scores, len(result.times)),
            *_figures(figures),
            _decisions(result),
            _made(result),
            "</main>",
            *(_spec(name, panel) for name, panel in _named(figures)),
            f"<script>{_inline(library)}</script>",
            f"<script>{script()}</script>",
            "</body></html>",
        )
    )


def _head(result: Result, sentences: Sequence[Sentence]) -> str:
    setting = result.setting
    findings = "".join(
        f'<li><span class="mark {MARKS[one.finding]}">{one.finding}</span><span>against {escape(one.against)}</span>'
        f'<span class="range">{escape(one.measured)}</span></li>'
        for one in sentences
    )
    return (
        f"<header><h1>{escape(setting.series)} {escape(setting.task)}, {escape(setting.model_type)}</h1>"
        f'<p class="quiet">The whole loop replayed over history: {len(result.times):,} bars scored,'
        f" {day(result.times[0])} to {day(result.times[-1])}, nothing after each date visible.</p>"
        f'<p class="lead">{escape(headline(result, sentences))}</p><p>{escape(history(result))}</p></header>'
        f'<ul class="findings" aria-label="What is gained, and what is not">{findings}</ul>'
    )


def _table(scores: Sequence[Score], bars: int) -> str:
    limits = [
        abs(value) for score in scores if score.gain for value in (score.gain.percent.low, score.gain.percent.high)
    ]
    reach = max([1.0, *(value for value in limits if not math.isnan(value))])
    rows = "".join(_row(score, reach) for score in scores)
    return (
        '<section><h2>The same bars, eight ways</h2><div class="scroll" tabindex="0" role="region"'
        ' aria-label="Scores of all arms">'
        f"<table><caption>{bars:,} bars, the same for all. A smaller Brier score is better; the gain is ratchet’s,"
        " paired bar by bar, with 95 % intervals.</caption><thead><tr>"
        '<th scope="col">arm</th><th scope="col">Brier</th><th scope="col">accuracy</th><th scope="col">AUC</th>'
        '<th scope="col" colspan="2">ratchet’s Brier gain over it, %</th><th scope="col" class="number">CPU s</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(score: Score, reach: float) -> str:
    gain = "<td></td><td></td>"
    if score.gain is not None:
        said = percent(score.gain.percent).replace(" %", "", 1)
        gain = (
            f"<td>{_gain(score.gain.percent, score.gain.finding, reach)}</td>"
            f'<td class="{MARKS[score.gain.finding]}">{said}</td>'
        )
    return (
        f'<tr><th scope="row" title="{MEANING[score.arm]}">{score.arm}</th>'
        f"<td>{_estimate(score.brier, 4)}</td><td>{_estimate(score.accuracy, 3)}</td><td>{_estimate(score.auc, 3)}</td>"
        f'{gain}<td class="number">{score.cpu_seconds:,.1f}</td></tr>'
    )


def _estimate(interval: Interval, digits: int) -> str:
    value, _, limits = estimate(interval, digits).partition(" ")
    return f'{value} <span class="range">{limits}</span>' if limits else value


def _gain(gain: Interval, found: Finding, reach: float) -> str:
    """An interval as a line with a dot, beside zero."""

    def at(value: float) -> float:
        return round(GAIN_WIDTH / 2 * (1 + 0.96 * value / reach), 1)

    middle = GAIN_HEIGHT / 2
    limits = (
        ""
        if math.isnan(gain.low)
        else f'<line class="limits" x1="{at(gain.low)}" x2="{at(gain.high)}" y1="{middle}" y2="{middle}"/>'
    )
    return (
        f'<svg class="gain {MARKS[found]}" viewBox="0 0 {GAIN_WIDTH} {GAIN_HEIGHT}" aria-hidden="true">'
        f'<line class="zero" x1="{at(0)}" x2="{at(0)}" y1="0" y2="{GAIN_HEIGHT}"/>{limits}'
        f'<circle cx="{at(gain.value)}" cy="{middle}" r="4"/></svg>'
    )


def _figures(figures: Sequence[Figure]) -> list[str]:
    """Each figure as a section; those that go side by side share a row."""
    apart = [figure for figure in figures if figure.name in SIDE_BY_SIDE]
    made: list[str] = []
    for figure in figures:
        if figure not in apart:
            made.append(_figure(figure))
        elif figure == apart[0]:
            made.append(f'<div class="pair">{"".join(_figure(one) for one in apart)}</div>')
    return made


def _figure(figure: Figure) -> str:
    panels = "".join(_panel(_id(figure, number), panel) for number, panel in enumerate(figure.panels))
    inside = f'<div class="panels">{panels}</div>' if len(figure.panels) > 1 else panels
    return (
        f'<section id="{figure.name}"><h2>{escape(figure.title)}</h2>'
        f'<p class="reading">{escape(figure.reading)}</p>{inside}</section>'
    )


def _panel(name: str, panel: Panel) -> str:
    title = f"<h3>{escape(panel.title)}</h3>" if panel.title else ""
    said = escape(f"{panel.title}: {panel.alternative}" if panel.title else panel.alternative)
    return (
        f'<figure>{title}<div class="chart" data-chart="{name}" data-said="{said}"></div>'
        f"<figcaption>{escape(panel.alternative)}</figcaption></figure>"
    )


def _id(figure: Figure, number: int) -> str:
    return f"spec-{figure.name}" if len(figure.panels) == 1 else f"spec-{figure.name}-{number}"


def _named(figures: Sequence[Figure]) -> list[tuple[str, Panel]]:
    return [(_id(figure, number), panel) for figure in figures for number, panel in enumerate(figure.panels)]


def _spec(name: str, panel: Panel) -> str:
    spec = panel.chart.properties(width="container").to_dict()
    wanted = {key: value for key, value in spec.items() if key not in ("$schema", "config")}
    wanted |= {"autosize": {"type": "fit-x", "contains": "padding"}, "description": panel.alternative}
    text = json.dumps(wanted, separators=(",", ":"), ensure_ascii=False)
    return f'<script type="application/json" id="{name}">{_inline(text)}</script>'


def _inline(text: str) -> str:
    """Script text that can't end its element; inside a string, where alone that stands, `<\\/` is the same."""
    return text.replace("</script", "<\\/script")


def _decisions(result: Result) -> str:
    items = "".join(
        f'<li><time datetime="{day(session.date)}">{day(session.date)}</time><span>v{session.version}</span>'
        f'<span class="mark {VERDICT_MARKS.get(session.verdict, "neutral")}">'
        f"{session.ended}</span>"
        f"<div>{''.join(f'<p>{escape(said)}</p>' for said in (session.reason, *session.diagnosis))}</div></li>"
        for session in result.gated.sessions
    )
    return (
        '<section><h2>The decisions, in the registry’s words</h2><p class="reading">One for each session of the'
        f" {escape(result.setting.policy)} loop. What was not promoted says why.</p>"
        f'<ol class="decisions">{items}</ol></section>'
    )


def _made(result: Result) -> str:
    setting = result.setting
    facts = {
        "series": f"{setting.series}, {setting.bars:,} bars, {day(setting.first_bar)} to {day(setting.last_bar)},"
        f" from {setting.source}",
        "task": f"{setting.task}, {setting.horizon} bar{'s' if setting.horizon > 1 else ''} ahead",
        "sessions": f"{len(result.segments)}, every {setting.every} bars from {day(result.segments[0].date)} on; each"
        " saw the bars up to its date and nothing later",
        "policy": f"{setting.policy}; beside it, a loop of its own that promotes on a better mean",
        "forecasts": "each bar is scored once, by models whose last known label lies before what they forecast",
        "intervals": "95 %, each for itself, robust to the overlap of forecasts; where no arm differs from another,"
        " about one table in three still shows a difference",
        "time": f"{setting.seconds:,.0f} s",
        "version": f"ratchet {setting.version}",
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return (
        f"<section><h2>How it was made</h2><dl>{listed}<dt>command</dt><dd><code>{escape(setting.command)}</code></dd>"
        "</dl></section>"
    )
