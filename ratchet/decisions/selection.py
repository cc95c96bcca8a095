"""Selection among contenders after a session, executed by the registry and again by the verifier.

Pure functions of names and numbers, on the results of `gate.decide`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ratchet.decisions.gate import CONTENDERS_KEPT, Verdict, choose, keep


class Contender(NamedTuple):
    """A contender of the champion in force; `verdict` and `e_value` are those of its newest scoring."""

    model: str
    e_value: float
    verdict: Verdict = "INCONCLUSIVE"


class Selection(NamedTuple):
    """Result of a session's comparisons.

    `promoted`: the new champion, empty for none; `verdict`: on the session's own model; `kept`: the remaining
    contenders.
    """

    promoted: str
    verdict: Verdict
    kept: tuple[str, ...]


def select(known: Mapping[str, float], scored: Sequence[Contender], own: str, new_bars: bool) -> Selection:
    """The selection of a session for its lineage.

    `known`: the contenders before the session with their last E, in order; `scored`: the scored contenders, the model
    `own` among them; `new_bars`: whether a bar was labelled since the last decision. Without a new bar nothing is
    promoted, and the new model is kept only if there is room: many tries on the same bars must not displace other
    contenders.
    """
    if not new_bars:
        return Selection("", "NO_NEW_EVIDENCE", (*known, own)[:CONTENDERS_KEPT])
    verdict = next(contender.verdict for contender in scored if contender.model == own)
    winner = choose(scored)
    if winner is None:
        by_name = {model: Contender(model, e_value) for model, e_value in known.items()}
        by_name |= {contender.model: contender for contender in scored}
        contenders = list(by_name.values())
        return Selection("", verdict, tuple(contenders[index].model for index in keep(contenders)))
    promoted = scored[winner].model
    if promoted != own and verdict == "PROMOTED":
        verdict = "INCONCLUSIVE"
    return Selection(promoted, verdict, ())


def best_by_mean(champions: Iterable[str], means: Mapping[str, float], default: str) -> str:
    """The champion with the best paired mean, ties by name; `default` without any measured one."""
    measured = [model for model in sorted(champions) if model in means]
    return max(measured, key=lambda model: means[model], default=default)
