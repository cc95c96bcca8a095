"""A lineage, stream lineage/<lineage>: its versions, its champion and the contenders; manual decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from google.protobuf.message import Message

from ratchet.decisions.bar_times import BEGINNING, seconds_of, timestamp
from ratchet.decisions.comparison import KnowledgeCutoff, latest, patterns_of
from ratchet.decisions.facts import RecordedFact
from ratchet.decisions.persistent import PersistentList, PersistentMap, fast_replace
from ratchet.decisions.plateau import FlatSession, extend_plateau, flat_session
from ratchet.errors import ChampionMoved, InvalidInput, NotFound, PreconditionFailed
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Model

STALE_SESSIONS = 20
STALE_BARS = 500
"""A champion with more sessions or labelled bars after its own is stale: reported, never replaced for that reason."""


class Contender(NamedTuple):
    """A kept contender; `e_value` against the champion in force at its last scoring."""

    version: int
    e_value: float


class VersionCutoff(NamedTuple):
    """The data of a version for later decisions: its KnowledgeCutoff, and the sum of new bars up to it."""

    fit_label_end: int
    pattern_id: str
    pattern_end: int
    labelled: int


@dataclass(frozen=True, slots=True)
class Demotion:
    """A person's replacement of a champion; `actor` and `at` may be unknown."""

    reason: str
    actor: str
    at: datetime | None


@dataclass(frozen=True)
class LineageState:
    """The state of a lineage for decisions. Its update cost does not depend on the number of versions.

    `version`: of the stream. `versions`: number of models, each of them in `known`. `labelled`: the sum of the
    sessions' new bars. `champion`: the version in force, 0 for none. `previous_champions`: by reign number, `reigns` of
    them; a rollback restores the latest. `demotions`: versions whose latest reign a person ended; None after a later
    reign that the gate ended. `patterns`: used patterns, by the first version that used them; `found_new_pattern`:
    whether the newest version used a new one. `flat`: the latest consecutive sessions with new bars and without
    progress. `means`: by version, the measured paired mean differences against the champion in force, positive when
    better than it. `decided_through`: the last labelled bar of a session; `spent_through`: the same at the last manual
    decision, after which only later bars count.
    """

    name: str
    version: int = 0
    versions: int = 0
    champion: int = 0
    previous_champions: PersistentMap[int, int] = field(default_factory=PersistentMap)
    reigns: int = 0
    demotions: PersistentMap[int, Demotion | None] = field(default_factory=PersistentMap)
    contenders: tuple[Contender, ...] = ()
    known: PersistentList[VersionCutoff] = field(default_factory=PersistentList)
    labelled: int = 0
    patterns: PersistentMap[str, int] = field(default_factory=PersistentMap)
    found_new_pattern: bool = False
    flat: tuple[FlatSession, ...] = ()
    means: PersistentMap[int, float] = field(default_factory=PersistentMap)
    decided_through: int = BEGINNING
    spent_through: int = BEGINNING

    def model(self, version: int) -> str:
        """The name of a version; empty for 0."""
        return f"{self.name}/v{version}" if version else ""

    @property
    def champion_name(self) -> str:
        return self.model(self.champion)

    @property
    def previous(self) -> int:
        """The champion before this one, the target of a rollback; 0 for none."""
        return self.previous_champions[self.reigns] if self.reigns else 0

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
        return self.labelled - self.known[self.champion - 1].labelled if self.champion else 0

    @property
    def stale(self) -> bool:
        return is_stale(self.sessions_since, self.bars_since)

    def brings_new_pattern(self, record: model_pb2.ModelRecord) -> bool:
        """Whether the next version uses a pattern that no earlier version used."""
        return any(use.pattern_id not in self.patterns for use in record.patterns_used)

    def cutoff_of(self, model: str) -> KnowledgeCutoff:
        """The knowledge cutoff of a model of this lineage; NotFound for an untrained version."""
        fit_label_end, pattern_id, pattern_end, _ = self.known[self.require(model) - 1]
        return KnowledgeCutoff(model, fit_label_end, pattern_id, pattern_end)

    def require(self, model: str) -> int:
        """The version of a model of this lineage; NotFound for an untrained one."""
        version = Model.parse(model).version
        if model != self.model(version) or version > self.versions:
            newest = f"; the newest is {self.model(self.versions)}" if self.versions else ""
            raise NotFound(f"{model} does not exist{newest}; see ratchet models list")
        return version

    def require_champion(self, expected: str) -> None:
        """ChampionMoved, with the champion in force, unless `expected` (empty: none) is the champion."""
        if expected != self.champion_name:
            now = self.champion_name or "not there yet"
            raise ChampionMoved(
                f"the champion of {self.name} is {now}, not {expected or 'none'};"
                " look at the one in force and decide again",
                metadata={"champion": self.champion_name, "expected": expected},
            )


def is_stale(sessions: int, bars: int) -> bool:
    """Whether a champion with so many sessions and labelled bars after its own is stale."""
    return sessions > STALE_SESSIONS or bars > STALE_BARS


def project(state: LineageState | None, facts: Iterable[RecordedFact]) -> LineageState | None:
    """`state` after `facts`; None for an unknown lineage."""
    for fact in facts:
        evolve = _EVOLVE.get(type(fact.message), _advanced)
        state = evolve(state or LineageState(fact.stream.removeprefix("lineage/")), fact, fact.message)
    return state


def _advanced(state: LineageState, fact: RecordedFact, _: Message) -> LineageState:
    return fast_replace(state, version=fact.version)


def _trained(state: LineageState, fact: RecordedFact, trained: facts_pb2.ModelTrained) -> LineageState:
    record = trained.record
    number, windows, uses, patterns = record.version, record.windows, patterns_of(record), state.patterns
    for pattern_id, _ in uses:
        if pattern_id not in patterns:
            patterns = patterns.with_entry(pattern_id, number)
    found_new_pattern = patterns is not state.patterns
    labelled = state.labelled + windows.new_bars
    return fast_replace(
        state,
        version=fact.version,
        versions=number,
        known=state.known.with_value(VersionCutoff(seconds_of(windows, "fit_label_end"), *latest(uses), labelled)),
        labelled=labelled,
        patterns=patterns,
        found_new_pattern=found_new_pattern,
        flat=() if found_new_pattern else state.flat,
    )


def _promoted(state: LineageState, fact: RecordedFact, promoted: facts_pb2.ModelPromoted) -> LineageState:
    through, replaced = seconds_of(promoted, "decided_through"), state.champion
    by_person = promoted.decided_by == decision_pb2.DECIDED_BY_PERSON
    previous_champions, reigns, demotions = state.previous_champions, state.reigns, state.demotions
    if promoted.rollback:
        reigns = max(reigns - 1, 0)
    elif replaced:
        reigns += 1
        previous_champions = previous_champions.with_entry(reigns, replaced)
    if replaced and by_person:
        demotions = demotions.with_entry(replaced, Demotion(promoted.reason, fact.actor, fact.recorded_at))
    elif replaced in demotions:
        demotions = demotions.with_entry(replaced, None)
    gain = [e.judgement.mean_difference.value for e in promoted.evidence if e.contender == promoted.model]
    return fast_replace(
        state,
        version=fact.version,
        champion=_version(promoted.model),
        previous_champions=previous_champions,
        reigns=reigns,
        demotions=demotions,
        contenders=(),
        flat=(),
        means=PersistentMap({replaced: -gain[0]}) if gain else PersistentMap(),
        decided_through=max(state.decided_through, through),
        spent_through=max(state.spent_through, through) if by_person else state.spent_through,
    )


def _declined(state: LineageState, fact: RecordedFact, declined: facts_pb2.PromotionDeclined) -> LineageState:
    contenders = {state.model(contender.version): contender for contender in state.contenders}
    means, own, model = state.means, None, declined.model
    for evidence in declined.evidence:
        contender, judgement = evidence.contender, evidence.judgement
        number = _version(contender)
        contenders[contender] = Contender(number, judgement.e_value)
        if judgement.HasField("mean_difference"):
            means = means.with_entry(number, judgement.mean_difference.value)
        if contender == model:
            own = judgement
    through, flat = seconds_of(declined, "decided_through"), state.flat
    if through > state.decided_through:
        flat = extend_plateau(flat, flat_session(state.versions, state.found_new_pattern, own))
    return fast_replace(
        state,
        version=fact.version,
        flat=flat,
        contenders=tuple([contenders[contender] for contender in declined.contenders_kept]),
        means=means,
        decided_through=max(state.decided_through, through),
    )


_EVOLVE: dict[type[Message], Callable[[LineageState, RecordedFact, Any], LineageState]] = {
    facts_pb2.ModelTrained: _trained,
    facts_pb2.ModelPromoted: _promoted,
    facts_pb2.PromotionDeclined: _declined,
}


def _version(model: str) -> int:
    """The version in a model's name, as facts write it."""
    return int(model.rpartition("/v")[2])


def promote(state: LineageState, model: str, expected_champion: str, reason: str) -> facts_pb2.ModelPromoted:
    """A person promotes `model` to champion.

    NotFound for an untrained model, ChampionMoved unless the champion is the expected one, PreconditionFailed if the
    model is the champion already, InvalidInput without a reason.
    """
    state.require(model)
    _require_reason(reason)
    state.require_champion(expected_champion)
    if model == state.champion_name:
        raise PreconditionFailed(f"{model} is the champion of {state.name} already; promote another version")
    return _manual_promotion(state, model, reason, rollback=False)


def rollback(
    state: LineageState, reason: str, expected_champion: str = "", *, despite_cause: bool = False
) -> facts_pb2.ModelPromoted:
    """A person restores the champion before this one; an empty `expected_champion` is not checked.

    PreconditionFailed without an earlier champion, and, unless `despite_cause`, for one whose reign a person ended.
    """
    _require_reason(reason)
    if expected_champion:
        state.require_champion(expected_champion)
    if not state.previous:
        raise PreconditionFailed(
            f"{state.name} has no champion before {state.champion_name or 'its first'}; nothing to roll back to"
        )
    target = state.model(state.previous)
    cause = state.demotions.get(state.previous)
    if cause is not None and not despite_cause:
        raise PreconditionFailed(
            f"{target} was {_demotion_text(cause)}; take it back all the same with --despite-cause, or make another"
            " version the champion with ratchet models promote MODEL --reason WHY",
            metadata={"target": target, "remedy": "despite-cause"},
        )
    return _manual_promotion(state, target, reason, rollback=True)


def _demotion_text(cause: Demotion) -> str:
    """set aside by ann@desk at 2026-03-03T16:00:00Z: 'drift'"""
    at = f" at {cause.at:%Y-%m-%dT%H:%M:%SZ}" if cause.at else ""
    return f"set aside by {cause.actor or 'a person'}{at}: {cause.reason!r}"


def _manual_promotion(state: LineageState, model: str, reason: str, *, rollback: bool) -> facts_pb2.ModelPromoted:
    return facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=state.name,
        model=model,
        replaced=state.champion_name,
        decided_by=decision_pb2.DECIDED_BY_PERSON,
        reason=reason.strip(),
        basis=decision_pb2.BASIS_PERSON,
        rollback=rollback,
        decided_through=timestamp(state.decided_through),
    )


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInput(
            "a decision without the gate needs a reason; say why, with --reason", fields={"reason": "missing"}
        )
