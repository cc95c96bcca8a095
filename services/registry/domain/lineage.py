"""A lineage, stream lineage/<lineage>: its versions, its champion and the contenders; decisions that people make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ratchet.errors import ChampionMoved, InvalidInput, NotFound, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Model
from services.kernel.facts import Fact
from services.registry.domain.comparison import Trained, Verdict
from services.registry.domain.moments import BEGINNING, seconds_of, timestamp
from services.registry.domain.saturation import FlatSession, flat_session, run_with

STALE_SESSIONS = 20
STALE_BARS = 500
"""A champion with more sessions or labelled bars after its own is stale: reported, never replaced for that."""


@dataclass(frozen=True)
class Contender:
    """A declined challenger that stays in the race; `e_value` against the champion in force when last scored."""

    version: int
    e_value: float


@dataclass(frozen=True)
class LineageState:
    """What decisions on a lineage depend on.

    `version`: of the stream. `versions`: models so far. `champion`: the version in force, 0 for none.
    `previous`: champions before it, the latest last; a rollback takes the latest back.
    `trained`: what each version had seen, version 1 first. `labelled`: the sum of the bars that were new to the
    sessions up to each version's own. `patterns`: those that any version used; `learned`: whether the newest used a new
    one. `flat`: the latest sessions in a row that had new bars and brought nothing. `verdicts`: the gate's, by version.
    `means`: by version, the paired mean difference against the champion in force, positive when better than it, as far
    as measured.
    `decided_through`: the last labelled bar that a session saw; `spent_through`: the same at the last decision by a
    person, after which only later bars count.
    """

    name: str
    version: int = 0
    versions: int = 0
    champion: int = 0
    previous: tuple[int, ...] = ()
    contenders: tuple[Contender, ...] = ()
    trained: tuple[Trained, ...] = ()
    labelled: tuple[int, ...] = ()
    patterns: frozenset[str] = frozenset()
    learned: bool = False
    flat: tuple[FlatSession, ...] = ()
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)
    means: Mapping[int, float] = field(default_factory=dict)
    decided_through: int = BEGINNING
    spent_through: int = BEGINNING

    def model(self, version: int) -> str:
        """The name of a version; empty for 0."""
        return f"{self.name}/v{version}" if version else ""

    @property
    def champion_name(self) -> str:
        return self.model(self.champion)

    @property
    def contender_names(self) -> tuple[str, ...]:
        return tuple(self.model(contender.version) for contender in self.contenders)

    @property
    def sessions_since(self) -> int:
        """Sessions since the champion's own."""
        return self.versions - self.champion if self.champion else 0

    @property
    def bars_since(self) -> int:
        """Bars labelled since the champion's own session."""
        return self.labelled[-1] - self.labelled[self.champion - 1] if self.champion else 0

    @property
    def stale(self) -> bool:
        return self.sessions_since > STALE_SESSIONS or self.bars_since > STALE_BARS

    def brings_new_pattern(self, record: model_pb2.ModelRecord) -> bool:
        """Whether the next version uses a pattern that none before it used."""
        return any(use.pattern_id not in self.patterns for use in record.patterns_used)

    def trained_of(self, model: str) -> Trained:
        """What a model of this lineage had seen; NotFound for a version that was never trained."""
        return self.trained[self.require(model) - 1]

    def require(self, model: str) -> int:
        """The version of a model of this lineage; NotFound for one that was never trained."""
        version = Model.parse(model).version
        if model != self.model(version) or version > self.versions:
            newest = f"; the newest is {self.model(self.versions)}" if self.versions else ""
            raise NotFound(f"{model} does not exist{newest}; see ratchet models list")
        return version

    def require_champion(self, expected: str) -> None:
        """ChampionMoved, with the champion in force, when `expected` (empty: none) is not the one."""
        if expected != self.champion_name:
            now = self.champion_name or "not there yet"
            raise ChampionMoved(
                f"the champion of {self.name} is {now}, not {expected or 'none'};"
                " look at the one in force and decide again",
                metadata={"champion": self.champion_name, "expected": expected},
            )


def project(state: LineageState | None, facts: Iterable[Fact]) -> LineageState | None:
    """`state` after `facts`; None for a lineage in which nothing happened."""
    for fact in facts:
        before = state or LineageState(fact.stream.removeprefix("lineage/"))
        state = replace(_evolve(before, fact), version=fact.version)
    return state


def _evolve(state: LineageState, fact: Fact) -> LineageState:
    match fact.message:
        case facts_pb2.ModelTrained(record=record):
            learned = state.brings_new_pattern(record)
            return replace(
                state,
                versions=record.version,
                trained=(*state.trained, Trained.of(record.model, record)),
                labelled=(*state.labelled, (state.labelled or (0,))[-1] + record.windows.new_bars),
                patterns=state.patterns.union(use.pattern_id for use in record.patterns_used),
                learned=learned,
                flat=() if learned else state.flat,
            )
        case facts_pb2.ModelPromoted() as promoted:
            return _promoted(state, promoted)
        case facts_pb2.PromotionDeclined() as declined:
            return _declined(state, declined)
        case _:
            return state


def _promoted(state: LineageState, fact: facts_pb2.ModelPromoted) -> LineageState:
    champion = _version(fact.model)
    through = seconds_of(fact, "decided_through")
    by_person = fact.decided_by == decision_pb2.DECIDED_BY_PERSON
    verdicts = state.verdicts
    if not by_person:
        judged = {evidence.contender: unpromoted(evidence.judgement.verdict) for evidence in fact.evidence}
        verdicts = _with_first(verdicts, judged) | {champion: decision_pb2.VERDICT_PROMOTED}
    history = state.previous[:-1] if fact.rollback else (*state.previous, *([state.champion] if state.champion else []))
    gain = [e.judgement.mean_difference.value for e in fact.evidence if e.contender == fact.model]
    return replace(
        state,
        champion=champion,
        previous=history,
        contenders=(),
        flat=(),
        verdicts=verdicts,
        means={state.champion: -gain[0]} if gain else {},
        decided_through=max(state.decided_through, through),
        spent_through=max(state.spent_through, through) if by_person else state.spent_through,
    )


def _declined(state: LineageState, fact: facts_pb2.PromotionDeclined) -> LineageState:
    scored = {e.contender: e.judgement for e in fact.evidence}
    known = {state.model(contender.version): contender.e_value for contender in state.contenders}
    e_values = known | {model: judgement.e_value for model, judgement in scored.items()}
    means = {_version(model): judgement.mean_difference.value for model, judgement in scored.items() if judgement.bars}
    through = seconds_of(fact, "decided_through")
    own = flat_session(_version(fact.model), state.learned, scored.get(fact.model))
    return replace(
        state,
        flat=run_with(state.flat, own) if through > state.decided_through else state.flat,
        contenders=tuple(Contender(_version(name), e_values[name]) for name in fact.contenders_kept),
        verdicts=_with_first(state.verdicts, {fact.model: fact.verdict}),
        means={**state.means, **means},
        decided_through=max(state.decided_through, through),
    )


def unpromoted(verdict: Verdict) -> Verdict:
    """The verdict on a contender that was not promoted: one that passed beside a better one stays undecided."""
    return decision_pb2.VERDICT_INCONCLUSIVE if verdict == decision_pb2.VERDICT_PROMOTED else verdict


def _with_first(known: Mapping[int, Verdict], judged: Mapping[str, Verdict]) -> dict[int, Verdict]:
    """The verdicts, with those of models that had none yet: the first one stays."""
    return {_version(model): verdict for model, verdict in judged.items()} | dict(known)


def _version(model: str) -> int:
    """The version in a model's name, as facts write it."""
    return int(model.rpartition("/v")[2])


def promote(state: LineageState, model: str, expected_champion: str, reason: str) -> facts_pb2.ModelPromoted:
    """A person makes `model` the champion.

    NotFound for a model that was never trained, ChampionMoved when the champion is not the expected one,
    PreconditionFailed when the model is the champion already, InvalidInput without a reason.
    """
    state.require(model)
    _require_reason(reason)
    state.require_champion(expected_champion)
    if model == state.champion_name:
        raise PreconditionFailed(f"{model} is the champion of {state.name} already; promote another version")
    return _by_person(state, model, reason, rollback=False)


def rollback(state: LineageState, reason: str, expected_champion: str = "") -> facts_pb2.ModelPromoted:
    """A person takes the champion before this one back; `expected_champion` is not checked when it is empty."""
    _require_reason(reason)
    if expected_champion:
        state.require_champion(expected_champion)
    if not state.previous:
        raise PreconditionFailed(
            f"{state.name} has no champion before {state.champion_name or 'its first'}; nothing to roll back to"
        )
    return _by_person(state, state.model(state.previous[-1]), reason, rollback=True)


def _by_person(state: LineageState, model: str, reason: str, *, rollback: bool) -> facts_pb2.ModelPromoted:
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=state.name,
        model=model,
        replaced=state.champion_name,
        decided_by=decision_pb2.DECIDED_BY_PERSON,
        reason=reason.strip(),
        rollback=rollback,
        decided_through=timestamp(state.decided_through),
    )


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInput(
            "a decision without the gate needs a reason; say why, with --reason", fields={"reason": "missing"}
        )
