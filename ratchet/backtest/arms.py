"""Arms of a backtest: the model of each arm in each segment, and the arms' forecasts.

ratchet          the champion under the policy
always replaced  the newest version
never retrained  v1
from scratch     trained anew at each date on the features that version 1 of its family reads
har@baseline …   each baseline, by its name
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ratchet.backtest.bar_times import format_day
from ratchet.backtest.plan import Segment
from ratchet.backtest.result import ALWAYS, NEVER, RATCHET, SCRATCH, Arm, Loop, is_baseline
from ratchet.errors import PreconditionFailed

FRESH = "fresh"
FIRST_VERSION = 1


@dataclass(frozen=True)
class SegmentForecasts:
    """Forecasts on the bars of one segment: `probabilities[name]` has one for each of `times`."""

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


def assemble(segments: Sequence[Segment], loop: Loop, scored: Sequence[SegmentForecasts]) -> tuple[Arm, ...]:
    """The arms over all segments.

    Args:
        scored: one for each segment. Its names are version numbers, FRESH for the model trained from scratch, and the
        names of baselines.
            each baseline by its name.

    Raises:
        PreconditionFailed: a model in force knew a label of a bar that it forecasts.
    """
    spent = sum(session.cpu_seconds for session in loop.sessions)
    first = next(session.cpu_seconds for session in loop.sessions if session.version == FIRST_VERSION)
    return (
        _recorded(RATCHET, segments, loop, champions(loop), scored, spent),
        _recorded(ALWAYS, segments, loop, newest(loop), scored, spent),
        _recorded(NEVER, segments, loop, never(loop), scored, first),
        _fitted(SCRATCH, FRESH, scored),
        *(_fitted(name, name, scored) for name in scored[0].probabilities if is_baseline(name)),
    )


def require_unseen(segments: Sequence[Segment], loop: Loop, versions: Sequence[int]) -> None:
    """PreconditionFailed when a version in force knew a label of the segment that it forecasts."""
    for segment, number in zip(segments, versions, strict=True):
        known = loop.version(number).fit_label_end
        if known >= segment.first:
            raise PreconditionFailed(
                f"v{number} knows labels up to {format_day(known)} and would be scored from"
                f" {format_day(segment.first)} on;"
                " a model is scored only on later bars"
            )


def _recorded(
    name: str,
    segments: Sequence[Segment],
    loop: Loop,
    versions: tuple[int, ...],
    scored: Sequence[SegmentForecasts],
    cpu_seconds: float,
) -> Arm:
    require_unseen(segments, loop, versions)
    parts = (part.probabilities[str(number)] for part, number in zip(scored, versions, strict=True))
    return Arm(name, _joined(parts), versions, cpu_seconds)


def _fitted(name: str, forecast: str, scored: Sequence[SegmentForecasts]) -> Arm:
    spent = sum(part.cpu_seconds[forecast] for part in scored)
    return Arm(name, _joined(part.probabilities[forecast] for part in scored), (), spent)


def _joined(parts: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(probability for part in parts for probability in part)
