"""Who wins a session's race, and who stays in it: the choice that the registry makes and that replay makes again.

Pure, on names and numbers: what `gate.rule` says of each pair goes in, what is decided comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ratchet.decisions.gate import CONTENDERS_KEPT, Verdict, choose, keep


class Runner(NamedTuple):
    """A contender of the champion in force; `verdict` and `e_value` are those of its newest scoring."""

    model: str
    e_value: float
    verdict: Verdict = "INCONCLUSIVE"


class Result(NamedTuple):
    """`promoted`: the new champion, empty for none; `verdict`: on the session's own model; `kept`: the race goes on."""

    promoted: str
    verdict: Verdict
    kept: tuple[str, ...]


def run(known: Mapping[str, float], scored: Sequence[Runner], own: str, new_bars: bool) -> Result:
    """What a session decides of its lineage.

    `known`: the contenders before it with their last E, in their order; `scored`: those that it scored, the model `own`
    among them; `new_bars`: whether a bar was labelled since the last decision. Without one nothing is promoted, and
    the new model stays only where there is room: many tries on the same bars must not push others out.
    """
    if not new_bars:
        return Result("", "NO_NEW_EVIDENCE", (*known, own)[:CONTENDERS_KEPT])
    verdict = next(runner.verdict for runner in scored if runner.model == own)
    winner = choose(scored)
    if winner is None:
        field = {model: Runner(model, e_value) for model, e_value in known.items()}
        field |= {runner.model: runner for runner in scored}
        runners = list(field.values())
        return Result("", verdict, tuple(runners[index].model for index in keep(runners)))
    promoted = scored[winner].model
    if promoted != own and verdict == "PROMOTED":
        verdict = "INCONCLUSIVE"
    return Result(promoted, verdict, ())


def stand_in(champions: Iterable[str], means: Mapping[str, float], default: str) -> str:
    """The champion with the best paired mean, the first of equals in order of name; `default` where none is known."""
    measured = [model for model in sorted(champions) if model in means]
    return max(measured, key=lambda model: means[model], default=default)
