"""A backtest as it might have been: 20 sessions of which five promoted, made up from one seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ratchet.backtest.arms import SegmentForecasts, assemble
from ratchet.backtest.plan import Segment, plan
from ratchet.backtest.result import (
    Loop,
    PatternConfidence,
    PatternHistory,
    Result,
    Rows,
    Session,
    Setting,
    TestedPair,
    Version,
)
from ratchet.statistics.scores import Interval

DAY = 86_400
FIRST_BAR = 11_017 * DAY
BARS = 3_270
PROMOTED = (1, 2, 5, 9, 14)
BASELINES = tuple(
    f"{name}@baseline"
    for name in ("base-rate", "persistence", "har", "ridge", "boosting", "online", "mean", "stack", "har-level")
)
WORDINGS = (
    "log_range_rel_250 > 0.31 and natr_14 > 2.9 → wider range",
    "log_volume_rel_250 > 0.22 → wider range",
    "realised_vol_20 at most 0.011 and adx_14 at most 19.5 → narrower range",
    "log_abs_return_rel_250 > 0.9 → wider range",
    "weekday = 4 and log_range_rel_250 at most -0.2 → narrower range",
)


def bar_times() -> list[int]:
    """Weekdays from 2000-03-01 on."""
    days = [day for day in range(FIRST_BAR // DAY, FIRST_BAR // DAY + BARS * 2) if (day + 3) % 7 < 5]
    return [day * DAY for day in days[:BARS]]


def made_up(seed: int = 7, skill: float = 1.0) -> Result:
    """A result over made-up bars; `skill` 0 makes every recorded model as good as any other."""
    draw = np.random.default_rng(seed)
    times = bar_times()
    segments = plan("AAPL", times, 1)
    at = {time: index for index, time in enumerate(times)}
    made = loop(segments, times, at, PROMOTED, draw)
    scored = []
    for number, segment in enumerate(segments):
        bars = [time for time in times[:-1] if segment.first <= time <= segment.last]
        signal = draw.normal(0, 1, len(bars))
        y = draw.random(len(bars)) < sigmoid(0.8 * signal)
        outcomes = tuple(bool(value) for value in y)

        def says(strength: float, noise: float = 0.35, signal: NDArray[np.float64] = signal) -> tuple[float, ...]:
            heard = strength * signal + draw.normal(0, noise, len(signal))
            return tuple(float(value) for value in sigmoid(heard))

        learned = {
            str(version): says(0.35 + 0.03 * skill * version + (0.05 if version in PROMOTED else -0.02))
            for version in {1, number + 1, made.sessions[number].champion}
        }
        flat = 0.46 + 0.002 * number
        simple = {
            "base-rate@baseline": tuple(flat for _ in bars),
            "persistence@baseline": tuple(0.6 if value > 0 else 0.4 for value in signal),
        }
        simple |= {name: says(0.5 + 0.02 * rank, 0.2) for rank, name in enumerate(BASELINES[2:])}
        spent = dict.fromkeys(BASELINES, 0.0) | {"fresh": 1.9 + 0.05 * number}
        scored.append(SegmentForecasts(tuple(bars), outcomes, learned | {"fresh": says(0.52, 0.6)} | simple, spent))
    bars_scored = tuple(time for part in scored for time in part.times)
    return Result(
        setting=Setting(
            series="AAPL",
            task="range",
            horizon=1,
            model_type="random-forest",
            policy="balanced",
            every=100,
            bars=BARS,
            first_bar=times[0],
            last_bar=times[-1],
            source="AAPL.csv",
            command="ratchet backtest AAPL --model random-forest --target range",
            version="0.1.0",
            seconds=183.2,
        ),
        segments=tuple(segments),
        times=bars_scored,
        outcomes=tuple(outcome for part in scored for outcome in part.outcomes),
        arms=assemble(segments, made, scored),
        loop=made,
        patterns=patterns(segments, draw),
    )


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def loop(
    segments: list[Segment],
    times: list[int],
    at: dict[int, int],
    promoted: tuple[int, ...],
    draw: np.random.Generator,
) -> Loop:
    sessions, champion = [], 0
    for version, segment in enumerate(segments, 1):
        wins = version in promoted
        e = float(np.exp(draw.normal(4.5, 0.8) if wins else draw.normal(-0.5, 1.6)))
        verdict = "PROMOTED" if wins else "REJECTED" if e < 0.1 else "INCONCLUSIVE"
        lift = 2.0 if wins else 0.2
        pair = TestedPair(
            version, champion, 122, e, 1 / e, 0.01 if wins else 0.4, Interval(lift, lift - 1.9, lift + 2), verdict
        )
        tested = [pair] if champion else []
        if version in (4, 5, 8):
            tested.append(TestedPair(3, champion, 222, e / 2, 2 / e, 0.3, Interval(0.4, -0.6, 1.4), "INCONCLUSIVE"))
        reason = (
            "first model of its lineage: nothing to compare it with"
            if version == 1
            else f"AAPL/range/random-forest/v{version} {'replaces' if wins else 'is not shown to be better than'}"
            f" AAPL/range/random-forest/v{champion}: E {e:.3g}, p {pair.dm_p}"
        )
        said = () if wins else ("inconclusive: E 0.6, p 0.4; about 900 bars needed",)
        champion = version if wins else champion
        sessions.append(
            Session(
                segment.date,
                f"s{version}",
                version,
                verdict,
                reason,
                said,
                tuple(tested),
                champion if wins else 0,
                champion,
                1.4 + 0.2 * version,
            )
        )
    versions = [recorded(number, times, at[segment.date]) for number, segment in enumerate(segments, 1)]
    return Loop(tuple(sessions), tuple(versions))


def recorded(number: int, times: list[int], date: int) -> Version:
    def rows(first: int, last: int) -> Rows:
        return Rows(times[first], times[last], times[last + 1], last - first + 1)

    holdout = rows(date - 120, date - 1)
    choose = rows(date - 210, date - 122)
    tune = rows(date - 300, date - 212)
    training = rows(250, date - 302)
    known = choose.label_end
    used = tuple(f"p{index}" for index in range(min(len(WORDINGS), number // 2)))
    kind = "scratch" if number % 2 else "transfer"
    return Version(
        number, max(0, number - 1), kind, training, tune, choose, holdout, known, 21 + 2 * len(used), used, True
    )


def patterns(segments: list[Segment], draw: np.random.Generator) -> tuple[PatternHistory, ...]:
    found = []
    for index, wording in enumerate(WORDINGS):
        beliefs = []
        for age, segment in enumerate(segments[2 * index + 1 :], 1):
            width = 0.16 / math.sqrt(age)
            middle = 0.69 + 0.02 * index - 0.004 * age + float(draw.normal(0, 0.006))
            state = "confirmed" if middle - width > 0.6 else "kept"
            beliefs.append(
                PatternConfidence(segment.date, middle, middle - width, middle + width, 0.47, 40 * age, state)
            )
        found.append(PatternHistory(f"p{index}", wording, 18 - 3 * index, tuple(beliefs)))
    return tuple(found)
