"""Which model each arm has in force on each bar, and the forecasts of an arm put together from the segments.

ratchet          the champion under the policy            always replaced  the newest version
never retrained  v1                                       plain            the champion when a better mean promotes
from scratch     trained anew at each date on the base features, nothing learned
logistic, persistence, majority: fitted anew at each date
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ratchet.backtest.moments import day
from ratchet.backtest.plan import Segment
from ratchet.backtest.result import Arm, ArmName, Loop
from ratchet.errors import CorruptData, PreconditionFailed

FRESH = "fresh"
BASELINES: tuple[ArmName, ...] = ("logistic", "persistence", "majority")
FIRST_VERSION = 1


@dataclass(frozen=True)
class Scored:
    """What was forecast on the bars of one segment: `probabilities[name]` has one for each of `times`."""

    times: tuple[int, ...]
    outcomes: tuple[bool, ...]
    probabilities: Mapping[str, tuple[float, ...]]
    cpu_seconds: Mapping[str, float]


def champions(loop: Loop) -> tuple[int, ...]:
    """The version in force in each segment."""
    return tuple(session.champion for session in loop.sessions)


def newest(loop: Loop) -> tuple[int, ...]:
    """The newest version in each segment."""
    return tuple(session.version for session in loop.sessions)


def never(loop: Loop) -> tuple[int, ...]:
    """The first version, in every segment."""
    return tuple(FIRST_VERSION for _ in loop.sessions)


def assemble(
    segments: Sequence[Segment], gated: Loop, plain: Loop, scored: Sequence[Scored], scored_plain: Sequence[Scored]
) -> tuple[Arm, ...]:
    """The arms over all segments.

    `scored` names versions by their number in the gated loop and has the baselines; `scored_plain` names the plain
    loop's and has FRESH. PreconditionFailed when a model in force knew a label of a bar that it forecasts; CorruptData
    when the two loops scored different bars.
    """
    for mine, other in zip(scored, scored_plain, strict=True):
        if (mine.times, mine.outcomes) != (other.times, other.outcomes):
            raise CorruptData(
                f"the two loops scored different bars from {day(mine.times[0]) if mine.times else 'an empty segment'}"
                " on; they must replay the same bars: run the backtest again"
            )
    spent = sum(session.cpu_seconds for session in gated.sessions)
    first = next(session.cpu_seconds for session in gated.sessions if session.version == FIRST_VERSION)
    return (
        _recorded("ratchet", segments, gated, champions(gated), scored, spent),
        _recorded("never retrained", segments, gated, never(gated), scored, first),
        _recorded("always replaced", segments, gated, newest(gated), scored, spent),
        _recorded(
            "plain",
            segments,
            plain,
            champions(plain),
            scored_plain,
            sum(session.cpu_seconds for session in plain.sessions),
        ),
        _fitted("from scratch", FRESH, scored_plain),
        *(_fitted(name, name, scored) for name in BASELINES),
    )


def require_unseen(segments: Sequence[Segment], loop: Loop, versions: Sequence[int]) -> None:
    """PreconditionFailed when a version in force knew a label of the segment that it forecasts."""
    for segment, number in zip(segments, versions, strict=True):
        known = loop.version(number).fit_label_end
        if known >= segment.first:
            raise PreconditionFailed(
                f"v{number} of the {loop.policy} loop knows labels up to {day(known)} and would be scored from"
                f" {day(segment.first)} on; a model is scored only on later bars"
            )


def _recorded(
    name: ArmName,
    segments: Sequence[Segment],
    loop: Loop,
    versions: tuple[int, ...],
    scored: Sequence[Scored],
    cpu_seconds: float,
) -> Arm:
    require_unseen(segments, loop, versions)
    parts = (part.probabilities[str(number)] for part, number in zip(scored, versions, strict=True))
    return Arm(name, _joined(parts), versions, cpu_seconds)


def _fitted(name: ArmName, forecast: str, scored: Sequence[Scored]) -> Arm:
    spent = sum(part.cpu_seconds[forecast] for part in scored)
    return Arm(name, _joined(part.probabilities[forecast] for part in scored), (), spent)


def _joined(parts: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(probability for part in parts for probability in part)
