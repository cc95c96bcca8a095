"""Champion of a lineage as of a market time: decisions are replayed without sessions of a later market time. Pure.

A session transfers from that model. It is the current champion unless sessions ran out of market-time order
(`--until`); then the decisions since the first later session are replayed, by the gate's rules, on the counted models.
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
from services.trainer.learning.inputs import ReferenceModel, SessionInputs
from services.trainer.learning.pairs import ModelForecast
from services.trainer.learning.session import Report, build_context, plan


@dataclass(frozen=True)
class ReplayedDecision:
    """A counted decision on the lineage: a session's on its model `model` or, without `policy`, a manual promotion of
    it.

    `market_time`: of the model's session, epoch seconds UTC.
    """

    model: str
    market_time: int
    policy: PolicyName | None


@dataclass(frozen=True)
class ChampionReplay:
    """State of the lineage before its first later session, and the counted decisions after it, in log order.

    `champion`: empty for none. `decided_through`: the latest market time at that point; `spent_through`: the same at
    the last manual decision, after which only later bars count. `models`: all models that the replay names.
    """

    inputs: SessionInputs
    champion: str
    contenders: tuple[str, ...]
    decided_through: int
    spent_through: int
    decisions: tuple[ReplayedDecision, ...]
    models: Mapping[str, ReferenceModel]


def replay_champion(replay: ChampionReplay, report: Report) -> str:
    """The champion after the replay of all decisions; empty for none.

    Each session's decision follows the registry's rules, on the bars of `inputs` that were labelled by its market time
    and are out-of-sample for both models of a pair. CorruptData for an unreadable artifact.
    """
    report("succession", 0.0)
    inputs = replay.inputs
    context = build_context(inputs, plan(inputs.bars, inputs.target, inputs.horizon, inputs.last_labelled_time))
    in_force, contenders = replay.champion, replay.contenders
    decided, spent = replay.decided_through, replay.spent_through
    for decision in replay.decisions:
        if decision.policy is None:
            in_force, contenders, spent = decision.model, (), decided
        elif not in_force:
            in_force = decision.model
        else:
            forecasts = [
                pairs.recorded_forecast(context, replay.models[name])
                for name in (in_force, *contenders, decision.model)
            ]
            scored = [
                _judged(context, forecasts[0], each, decision.market_time, spent, decision.policy)
                for each in forecasts[1:]
            ]
            known = dict.fromkeys(contenders, 1.0)
            result = choice.select(known, scored, decision.model, decision.market_time > decided)
            in_force, contenders = (result.promoted, ()) if result.promoted else (in_force, result.kept)
        decided = max(decided, decision.market_time)
    return in_force


def _judged(
    context: Context, champion: ModelForecast, contender: ModelForecast, through: int, spent: int, policy: PolicyName
) -> choice.Contender:
    rows = pairs.out_of_sample_rows(context, champion, contender)
    rows = rows[(context.times[rows] > spent) & (context.times[rows] <= through)]
    pair = PairedForecasts.of(
        champion.probabilities[rows], contender.probabilities[rows], context.y[rows], context.times[rows]
    )
    ruling = gate.decide(pair, context.inputs.horizon, policy)
    return choice.Contender(contender.name, ruling.e_value, ruling.verdict)
