"""The table of `make bench-learning`: what planted and null series showed, held against what is promised."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.units import Gain, Part, Result, Unit
from ratchet.names import MODEL_TYPES, ModelType

PROMOTED_SHARE: Mapping[ModelType, float] = dict.fromkeys(MODEL_TYPES, 0.6) | {"lstm": 0.4}
"""Of ten planted series, so many lineages promote after the first model."""
NULL_RATE = {"balanced": 0.10, "strict": 0.05}
"""Of null lineages, no more promote anything after the first model."""
LEVEL = 0.01

Results = Mapping[Unit, Result]


@dataclass(frozen=True)
class Table:
    """Markdown; `failed` says in words what did not hold."""

    text: str
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Range:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def table(results: Results) -> Table:
    """Both parts, a row a model type."""
    failed: list[str] = []
    lines: list[str] = []
    planted = [_planted_row(each, _of(results, "planted", each), failed) for each in MODEL_TYPES]
    null = [_null_row(each, _of(results, "null", each), failed) for each in MODEL_TYPES]
    for title, head, rows in (
        (_PLANTED_TITLE, _PLANTED_HEAD, planted),
        (_NULL_TITLE, _NULL_HEAD, null),
    ):
        known = [cells for cells in rows if cells]
        if known:
            lines += ["", title, "", _line(head), _line(["---"] * len(head)), *map(_line, known)]
    spent = sum(result.cpu_seconds for result in results.values())
    lines += ["", f"CPU: {spent / 60:.0f} minutes in {sum(result.sessions for result in results.values())} sessions."]
    verdict = "Everything holds." if not failed else "Does not hold: " + "; ".join(failed) + "."
    return Table("\n".join([*lines, "", verdict, ""]).lstrip(), tuple(failed))


_PLANTED_TITLE = (
    "**Planted**: three rules of strength .8. Gains: paired Brier loss of v1 less the champion's on the last session's"
    " holdout, 95 % intervals; *before*: of the champion in force when that session began."
)
_PLANTED_HEAD = (
    *("model type", "series", "promoted after v1", "gain, over series", "gain, over bars", "before, over series"),
    *("rules found", "CPU s a session", "holds"),
)
_NULL_TITLE = (
    "**Null**: no rule. Lineages in which anything was promoted after v1: share, Wilson 95 % interval, and p of so many"
    f" if the rate were {NULL_RATE['balanced']:.2f} (balanced) and {NULL_RATE['strict']:.2f} (strict)."
)
_NULL_HEAD = ("model type", "series", "sessions", "balanced", "p", "strict", "p", "CPU s a session", "holds")


def _of(results: Results, part: Part, model_type: ModelType) -> list[Result]:
    return [result for unit, result in results.items() if (unit.part, unit.model_type) == (part, model_type)]


def _planted_row(model_type: ModelType, results: Sequence[Result], failed: list[str]) -> list[str]:
    if not results:
        return []
    promoted = sum(result.promotions > 0 for result in results)
    needed = math.ceil(round(PROMOTED_SHARE[model_type] * len(results), 9))
    over_series = over_units(result.gain.mean for result in results)
    wrong = []
    if promoted < needed:
        wrong.append(f"{model_type} promotes on {promoted} of {len(results)} planted series, {needed} needed")
    if not over_series.low > 0.0:
        wrong.append(f"the gain of {model_type} is {over_series}: its interval is not above 0")
    failed += wrong
    return [
        model_type,
        str(len(results)),
        f"{promoted} (≥ {needed})",
        str(over_series),
        str(over_bars([result.gain for result in results])),
        str(over_units(result.earlier.mean for result in results)),
        f"{sum(result.found for result in results)} of {3 * len(results)}",
        _seconds(results),
        _holds(wrong),
    ]


def _null_row(model_type: ModelType, results: Sequence[Result], failed: list[str]) -> list[str]:
    if not results:
        return []
    cells, wrong = [], []
    for policy, rate in NULL_RATE.items():
        promoted = sum(result.balanced if policy == "balanced" else result.strict for result in results)
        test = stats.binomtest(promoted, len(results), rate, alternative="greater")
        share = stats.binomtest(promoted, len(results)).proportion_ci(method="wilson")
        cells += [f"{promoted / len(results):.3f} [{share.low:.3f}, {share.high:.3f}]", f"{test.pvalue:.3f}"]
        if test.pvalue < LEVEL:
            wrong.append(f"{model_type} promotes on {promoted} of {len(results)} null series under {policy}")
    failed += wrong
    sessions = sum(result.sessions for result in results)
    return [model_type, str(len(results)), str(sessions), *cells, _seconds(results), _holds(wrong)]


def over_units(gains: Iterable[float]) -> Range:
    """The mean over series, with the t interval of independent series; without bounds for fewer than two."""
    values = np.array(list(gains))
    if len(values) < 2:
        return Range(float(values.mean()), math.nan, math.nan)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Range(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half)


def over_bars(gains: Sequence[Gain]) -> Range:
    """The mean over all bars of these very series, with the normal interval of independent bars."""
    bars = np.array([gain.bars for gain in gains])
    mean = float(np.average([gain.mean for gain in gains], weights=bars))
    error = math.sqrt(sum(gain.bars * gain.deviation**2 for gain in gains)) / int(bars.sum())
    return Range(mean, mean - 1.96 * error, mean + 1.96 * error)


def _seconds(results: Sequence[Result]) -> str:
    spent = sum(result.cpu_seconds for result in results)
    return f"{spent / sum(result.sessions for result in results):.2f}"


def _holds(wrong: Sequence[str]) -> str:
    return "no" if wrong else "yes"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
