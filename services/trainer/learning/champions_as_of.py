"""Who would be champion of a lineage had none of its sessions been of a later market time. Pure.

A session transfers from that model. It is the champion in force unless sessions ran out of the market's order
(`--until`); then the decisions from the first later session on are made again, by the gate's own rules, over the models
that count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratchet.decisions import gate
from ratchet.decisions import selection as choice
from ratchet.decisions.evidence import PairedForecasts
from ratchet.decisions.gate import PolicyName
from services.trainer.learning import pairs
from services.trainer.learning.context import Context
from services.trainer.learning.inputs import ScoredModel, SessionInputs
from services.trainer.learning.pairs import Runner
from services.trainer.learning.session import Report, context_of, plan


@dataclass(frozen=True)
class Turn:
    """A decision on the lineage that counts: a session's on its model `model` or, without `policy`, a person's for it.

    `market_time`: of the session that made the model, epoch seconds UTC.
    """

    model: str
    market_time: int
    policy: PolicyName | None


@dataclass(frozen=True)
class Succession:
    """The lineage as it was recorded before its first later session, and the turns after that, in log order.

    `champion`: empty for none. `decided_through`: the latest market time by then; `spent_through`: the same at the last
    decision by a person, after which only later bars count. `models`: every model that is named here.
    """

    inputs: SessionInputs
    champion: str
    contenders: tuple[str, ...]
    decided_through: int
    spent_through: int
    turns: tuple[Turn, ...]
    models: Mapping[str, ScoredModel]


def champion(succession: Succession, report: Report) -> str:
    """The model that is champion after all turns; empty for none.

    Each session's decision is the registry's: on the bars of `inputs` that were labelled by its market time and that
    neither model of a pair had seen. CorruptData for an artifact that can't be read.
    """
    report("succession", 0.0)
    inputs = succession.inputs
    context = context_of(inputs, plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time))
    in_force, contenders = succession.champion, succession.contenders
    decided, spent = succession.decided_through, succession.spent_through
    for turn in succession.turns:
        if turn.policy is None:
            in_force, contenders, spent = turn.model, (), decided
        elif not in_force:
            in_force = turn.model
        else:
            opened = [pairs.opened(context, succession.models[name]) for name in (in_force, *contenders, turn.model)]
            scored = [_judged(context, opened[0], each, turn.market_time, spent, turn.policy) for each in opened[1:]]
            known = dict.fromkeys(contenders, 1.0)
            result = choice.select(known, scored, turn.model, turn.market_time > decided)
            in_force, contenders = (result.promoted, ()) if result.promoted else (in_force, result.kept)
        decided = max(decided, turn.market_time)
    return in_force


def _judged(
    context: Context, champion: Runner, contender: Runner, through: int, spent: int, policy: PolicyName
) -> choice.Contender:
    rows = pairs.unseen_by_both(context, champion, contender)
    rows = rows[(context.times[rows] > spent) & (context.times[rows] <= through)]
    pair = PairedForecasts.of(
        champion.probabilities[rows], contender.probabilities[rows], context.y[rows], context.times[rows]
    )
    ruling = gate.decide(pair, context.inputs.horizon, policy)
    return choice.Contender(contender.name, ruling.e_value, ruling.verdict)
