"""State of the decisions, folded from the log: a lineage, and the problem (series and task) in which lineages compete.

Written independently of ratchet.decisions, whose folds and decisions it is compared with.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from google.protobuf.message import Message

from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.names import Lineage, Series, Task
from ratchet.timestamps import FIRST_SECOND

BEGINNING = FIRST_SECOND
"""Before every bar: the value of an unset time."""


@dataclass(slots=True)
class PendingTraining:
    """A session whose model awaits its decision; `verdict` and `promoted` are those of TrainingCompleted."""

    position: int
    session_id: str
    model: str
    policy: str
    completed: bool = False
    verdict: decision_pb2.Verdict.ValueType = decision_pb2.VERDICT_UNSPECIFIED
    promoted: bool = False


@dataclass(slots=True)
class LineageState:
    """State of a lineage.

    `fit_ends`, `pattern_ends`: by version, from 1 on, the last market times that it has seen; epoch seconds UTC.
    `contenders`: their last E against the champion, in order; `means`: measured paired mean differences against the
    champion; `previous_champions`: earlier champions, the latest last.
    """

    name: str
    problem: str
    horizon: int
    versions: int = 0
    champion: str = ""
    previous_champions: list[str] = field(default_factory=list)
    contenders: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    fit_ends: array[int] = field(default_factory=lambda: array("q"))
    pattern_ends: array[int] = field(default_factory=lambda: array("q"))
    decided_through: int = BEGINNING
    spent_through: int = BEGINNING
    pending: PendingTraining | None = None

    @classmethod
    def of(cls, name: str) -> LineageState:
        """InvalidInput for a malformed lineage name."""
        parsed = Lineage.parse(name)
        return cls(name, f"{parsed.series}/{parsed.task}", parsed.task.horizon)

    def version_of(self, model: str) -> int:
        """The version of a trained model of this lineage; 0 for any other name."""
        name, _, number = model.rpartition("/v")
        known = name == self.name and number.isascii() and number.isdecimal() and len(number) < 12
        version = int(number) if known else 0
        return version if 0 < version <= self.versions and number == str(version) else 0

    def knowledge_cutoff(self, model: str) -> int:
        """The last market time that a model has seen: only later bars may score it; BEGINNING for an unknown model."""
        version = self.version_of(model)
        return max(self.fit_ends[version - 1], self.pattern_ends[version - 1]) if version else BEGINNING

    def trained(self, record: model_pb2.ModelRecord) -> None:
        self.versions += 1
        self.fit_ends.append(seconds_of(record.windows, "fit_label_end"))
        ends = [seconds_of(use, "evidence_end") for use in record.patterns_used]
        self.pattern_ends.append(max(ends, default=BEGINNING))

    def promoted(self, fact: facts_pb2.ModelPromoted) -> None:
        through = seconds_of(fact, "decided_through")
        gains = [e.judgement.mean_difference.value for e in fact.evidence if e.contender == fact.model]
        if fact.rollback:
            self.previous_champions = self.previous_champions[:-1]
        elif self.champion:
            self.previous_champions.append(self.champion)
        self.means = {self.champion: -gains[0]} if gains else {}
        self.champion, self.contenders = fact.model, {}
        self.decided_through = max(self.decided_through, through)
        if fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
            self.spent_through = max(self.spent_through, through)

    def declined(self, fact: facts_pb2.PromotionDeclined) -> None:
        known = dict(self.contenders)
        for evidence in fact.evidence:
            known[evidence.contender] = evidence.judgement.e_value
            if evidence.judgement.HasField("mean_difference"):
                self.means[evidence.contender] = evidence.judgement.mean_difference.value
        self.contenders = {model: known.get(model, 1.0) for model in fact.contenders_kept}
        self.decided_through = max(self.decided_through, seconds_of(fact, "decided_through"))


@dataclass(slots=True)
class TriggeringDecision:
    """The newest decision on a lineage of a problem, with the state of that lineage before it."""

    position: int
    decision: facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined
    spent_through: int
    mean: float | None


@dataclass(slots=True)
class ProblemState:
    """State of a problem (series and task): the champions of its lineages, and the best among them.

    `means`: paired means against the best; `decided`: by model, the last bar of the newest decision on it.
    """

    name: str
    horizon: int
    best: str = ""
    champions: dict[str, str] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)
    decided: dict[str, int] = field(default_factory=dict)
    spent_through: int = BEGINNING
    trigger: TriggeringDecision | None = None

    @classmethod
    def of(cls, name: str) -> ProblemState:
        """InvalidInput for a name that is not series/task."""
        series, _, task = name.partition("/")
        Series.parse(series)
        return cls(name, Task.parse(task).horizon)

    def decided_through(self, model: str) -> int:
        return max(self.spent_through, self.decided.get(model, BEGINNING))

    def promoted(self, fact: facts_pb2.ModelPromoted) -> None:
        gains = [e.judgement.mean_difference.value for e in fact.evidence if e.contender == fact.model]
        through = seconds_of(fact, "decided_through")
        self.best = fact.model
        self.means = {fact.replaced: -gains[0]} if gains else {}
        self.decided = {fact.replaced: through} if gains else {}
        if fact.decided_by == decision_pb2.DECIDED_BY_PERSON:
            self.spent_through = max(self.spent_through, through)

    def declined(self, fact: facts_pb2.PromotionDeclined) -> None:
        for evidence in fact.evidence:
            if evidence.judgement.HasField("mean_difference"):
                self.means[evidence.contender] = evidence.judgement.mean_difference.value
        through = max(seconds_of(fact, "decided_through"), self.decided_through(fact.model))
        self.decided[fact.model] = through


def seconds_of(message: Message, name: str) -> int:
    """The seconds of a Timestamp field, rounded down; BEGINNING if unset."""
    return int(getattr(message, name).seconds) if message.HasField(name) else BEGINNING
