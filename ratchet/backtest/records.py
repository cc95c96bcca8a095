"""Conversion of the registry's and the knowledge service's messages to values of a backtest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from ratchet.backtest.result import PatternConfidence, PatternHistory, Rows, Session, TestedPair, Version
from ratchet.client import Client
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2, pattern_pb2
from ratchet.names import Lineage, Model
from ratchet.registry.v1 import registry_pb2
from ratchet.render import diagnoses
from ratchet.render.decisions import reason
from ratchet.statistics.scores import UNDEFINED, Interval

MAX_PATTERNS = 10


def session_of(
    date: int, training: registry_pb2.Training, decisions: Sequence[registry_pb2.Decision], champion: str
) -> Session:
    """A completed session with the decision on its lineage; `champion` is in force after it."""
    of_lineage = [found for found in map(_outcome, decisions) if found.scope == decision_pb2.SCOPE_LINEAGE]
    promoted = [found for found in of_lineage if isinstance(found, facts_pb2.ModelPromoted)]
    declined = [found for found in of_lineage if isinstance(found, facts_pb2.PromotionDeclined)]
    return Session(
        date=date,
        session_id=training.session_id,
        version=number_of(training.model),
        verdict=enum_word(decision_pb2.Verdict.Name(declined[0].verdict), "VERDICT_") if declined else "PROMOTED",
        reason=" ".join(reason(found) for found in of_lineage),
        diagnosis=tuple(said for found in declined for said in _diagnosis(found)),
        tested=tuple(_tested(evidence) for found in of_lineage for evidence in found.evidence),
        promoted=number_of(promoted[0].model) if promoted else 0,
        champion=number_of(champion),
        cpu_seconds=training.cpu_seconds,
    )


def version_of(record: model_pb2.ModelRecord) -> Version:
    windows = record.windows
    kinds = [candidate.kind for candidate in record.candidates if candidate.chosen]
    return Version(
        number=record.version,
        parent=number_of(record.parent) if record.parent else 0,
        chosen=enum_word(model_pb2.CandidateKind.Name(kinds[0]), "CANDIDATE_KIND_").lower() if kinds else "",
        training=_rows(windows.training),
        tune=_rows(windows.tune),
        choose=_rows(windows.choose),
        holdout=_rows(windows.holdout),
        fit_label_end=windows.fit_label_end.seconds,
        features=len(record.features),
        patterns=tuple(use.pattern_id for use in record.patterns_used),
        skill_shown=record.skill_shown,
    )


def patterns_of(
    client: Client, lineage: Lineage, versions: Sequence[Version], dates: Mapping[str, int], position: int
) -> tuple[PatternHistory, ...]:
    """The patterns used by the most versions, descending; `dates` has the date of each session by its id."""
    used = Counter(pattern for version in versions for pattern in version.patterns)
    known = client.list_patterns(series=str(lineage.series), task=str(lineage.task), min_position=position)
    wordings = {found.pattern.id: found.pattern.wording for found in known}
    chosen = [pattern for pattern, _ in used.most_common() if pattern in wordings][:MAX_PATTERNS]
    return tuple(
        PatternHistory(
            pattern,
            wordings[pattern],
            used[pattern],
            tuple(
                PatternConfidence(
                    dates[change.session_id],
                    change.counts.confidence,
                    change.counts.low,
                    change.counts.high,
                    change.counts.base_rate,
                    change.counts.support,
                    enum_word(pattern_pb2.PatternState.Name(change.state), "PATTERN_STATE_").lower(),
                )
                for change in client.get_pattern(pattern, min_position=position).history
                if change.session_id in dates
            ),
        )
        for pattern in chosen
    )


def number_of(model: str) -> int:
    return Model.parse(model).version


def _outcome(decision: registry_pb2.Decision) -> facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined:
    return decision.promoted if decision.HasField("promoted") else decision.declined


def _tested(evidence: decision_pb2.Evidence) -> TestedPair:
    judged = evidence.judgement
    return TestedPair(
        contender=number_of(evidence.contender),
        champion=number_of(evidence.champion),
        bars=judged.bars,
        e_value=judged.e_value,
        e_value_reverse=judged.e_value_reverse,
        dm_p=judged.dm_p,
        improvement_percent=_improvement(judged),
        verdict=enum_word(decision_pb2.Verdict.Name(judged.verdict), "VERDICT_"),
    )


def _diagnosis(declined: facts_pb2.PromotionDeclined) -> list[str]:
    """The diagnoses of a decline, without INCONCLUSIVE, which the reason already states."""
    return [
        f"{diagnoses.name(found)}: {diagnoses.measurement(found, declined)}"
        for found in declined.diagnosis
        if found.WhichOneof("finding") != "inconclusive"
    ]


def _rows(window: model_pb2.Window) -> Rows:
    return Rows(window.first_bar.seconds, window.last_bar.seconds, window.label_end.seconds, window.rows)


def _improvement(judged: decision_pb2.Judgement) -> Interval:
    """In percent; nan if the bars of the pair define no metric."""
    if not judged.HasField("improvement_percent"):
        return UNDEFINED
    found = judged.improvement_percent
    known = found.HasField("low") and found.HasField("high")
    return Interval(found.value, found.low if known else math.nan, found.high if known else math.nan)


def enum_word(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix)
