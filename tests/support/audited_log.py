"""A log as the real domain writes it: several lineages, every kind of decision, patterns, rankings, people.

Sessions are planted as in registry_samples; their artifacts are in a store.
"""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from ratchet.events.v1 import decision_pb2, facts_pb2, pattern_pb2
from ratchet.names import Lineage
from ratchet.patterns.snapshot_rows import RowRange
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.artifacts import ArtifactStore
from services.platform.facts import Fact
from services.platform.interceptors import Caller
from services.registry.eventlog import Append, CommitResult, Log, LogApplication, Origin
from services.registry.handlers.commands import Commands
from tests.support.datasets import daily, dataset, parquet
from tests.support.registry_samples import FIRST_BAR, evidence, record, stamp

FOREST, LOGISTIC, LSTM = "AAPL/range/random-forest", "AAPL/range/logistic", "AAPL/range/lstm"
WEEKLY = "IBM@1w/direction/xgboost"
STANDSTILL = RowRange(10, 5)
START = datetime(2026, 3, 3, 12, tzinfo=UTC)
ANN = Caller("ann", "")


class SteppingClock:
    """A second later with each look."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


class Auditee:
    """Plays the trainer, knowledge and people on a log."""

    def __init__(self, log: Log, store: ArtifactStore, first: int = 1) -> None:
        """`first`: the number of its first request."""
        self.log, self.store = log, store
        self._numbers = itertools.count(first)
        self._commands = Commands(log, LogApplication(log), lambda: f"session-{next(self._numbers)}")
        self._versions: dict[str, int] = {}
        self._counts: dict[str, pattern_pb2.PatternCounts] = {}
        self.digests: dict[str, str] = {}

    def _id(self) -> str:
        return f"request-{next(self._numbers)}"

    def import_bars(self, series: str, rows: int = 1000) -> str:
        content = f"{rows} bars of {series}".encode()
        digest = hashlib.sha256(b"values of " + content).hexdigest()
        stored = parquet(self.store.put(content), len(content))
        times = daily(rows, FIRST_BAR)
        fact = dataset(series, digest, times=times, standstills=[STANDSTILL], artifact=stored)
        self._commands.register_dataset(pb.RegisterDatasetRequest(request_id=self._id(), dataset=fact), ANN)
        self.digests[series] = digest
        return digest

    def request(self, lineage: str, policy: str = "balanced") -> str:
        series = lineage.partition("/")[0]
        asked = pb.RequestTrainingRequest(
            request_id=self._id(), lineage=lineage, dataset_digest=self.digests[series], policy=policy
        )
        fact = self._commands.request_training(asked, ANN).events[0].fact
        return str(fact.message.session_id)  # type: ignore[attr-defined]

    def cancel(self, lineage: str) -> None:
        session_id = self.request(lineage)
        self._commands.cancel_training(
            pb.CancelTrainingRequest(request_id=self._id(), session_id=session_id, reason="no need"), ANN
        )

    def fail(self, lineage: str) -> None:
        session_id = self.request(lineage)
        self._commands.fail_training(
            pb.FailTrainingRequest(
                request_id=self._id(), session_id=session_id, reason="DATA_REFUSED", message="too few bars"
            ),
            ANN,
        )

    def train(
        self,
        lineage: str,
        fit_end: int,
        last: int,
        gain: float = 0.0,
        against_best: float | None = None,
        contenders: dict[str, float] | None = None,
        policy: str = "balanced",
        learns: bool = True,
    ) -> CommitResult:
        """A session: the champion is scored against the new model, `gain`, and against `contenders`.

        The symbol's best is scored against the lineage's champion with `against_best`; None: on no bar.
        """
        name = Lineage.parse(lineage)
        session_id = self.request(lineage, policy)
        if learns:
            self.learn(lineage, session_id, fit_end)
        state = self._commands._states.lineage(name)
        symbol = self._commands._states.symbol(name.series, name.task)
        champion, best = state.champion_name, symbol.best
        content = f"model of {session_id}".encode()
        made = record(
            fit_end, {self.pattern(lineage): fit_end - 30} if learns else {}, champion, self.digests[str(name.series)]
        )
        made.artifact.digest, made.artifact.size_bytes = self.store.put(content), len(content)
        request = pb.RecordTrainingRequest(
            request_id=self._id(),
            session_id=session_id,
            record=made,
            expected_champion=champion,
            expected_symbol_best=best,
            last_labelled_bar=stamp(last),
        )
        seed = next(self._numbers)
        if champion:
            for contender, better in (contenders or {}).items():
                packed = evidence(fit_end + 1, last, better, seed)
                request.comparisons.add(champion=champion, contender=contender, packed=packed)
            request.comparisons.add(champion=champion, packed=evidence(fit_end + 1, last, gain, seed))
        if best not in ("", champion):
            end = fit_end if against_best is None else last
            packed = evidence(fit_end + 1, end, against_best or 0.0, seed)
            for contender in {"", champion, *(contenders or {})}:
                request.symbol_comparisons.add(champion=best, contender=contender, packed=packed)
        return self._commands.record_training(request, Caller("trainer", session_id))

    def promote(self, model: str, reason: str = "trust me") -> None:
        champion = self._commands._states.lineage(Lineage.parse(model.rpartition("/v")[0])).champion_name
        self._commands.promote_model(
            pb.PromoteModelRequest(request_id=self._id(), model=model, expected_champion=champion, reason=reason), ANN
        )

    def roll_back(self, lineage: str, reason: str = "drift") -> None:
        self._commands.rollback_champion(
            pb.RollbackChampionRequest(request_id=self._id(), lineage=lineage, reason=reason, despite_cause=True), ANN
        )

    @staticmethod
    def pattern(lineage: str) -> str:
        return "p-" + lineage.rpartition("/")[0].replace("/", "-")

    def learn(self, lineage: str, session_id: str, last: int) -> None:
        """Knowledge's facts of a session: evidence on 20 bars for the pattern of the series and task, and a ranking."""
        name, pattern = Lineage.parse(lineage), self.pattern(lineage)
        known = self._counts.get(pattern)
        before = known or pattern_pb2.PatternCounts()
        after = pattern_pb2.PatternCounts(
            bars=before.bars + 20, support=before.support + 20, hits=before.hits + 15, base_rate=0.5, confidence=0.7
        )
        span = pattern_pb2.EvidenceSpan(
            first_row=min(last, 900) - 50, fired=b"\xff\xff\x0f", outcomes=b"\xff\x7f\x00", bars=20
        )
        bars = pattern_pb2.BarEvidence(dataset_digest=self.digests[str(name.series)], spans=[span])
        fact: Message
        if known is None:
            rule = pattern_pb2.Rule(
                conditions=[
                    pattern_pb2.Condition(feature="rsi_14", operator=pattern_pb2.OPERATOR_ABOVE, threshold=70.0)
                ],
                label=True,
            )
            fact = facts_pb2.PatternDiscovered(
                pattern=pattern_pb2.Pattern(
                    id=pattern, series=str(name.series), task=str(name.task), rule=rule, wording="rsi_14 > 70 → wider"
                ),
                session_id=session_id,
                lineage=lineage,
                evidence=bars,
                after=after,
                state=pattern_pb2.PATTERN_STATE_KEPT,
                p_value=0.001,
                candidates_tested=20,
            )
        else:
            fact = facts_pb2.PatternValidated(
                pattern_id=pattern,
                session_id=session_id,
                lineage=lineage,
                evidence=bars,
                before=before,
                after=after,
                state=pattern_pb2.PATTERN_STATE_CONFIRMED,
            )
        self._counts[pattern] = after
        ranked = facts_pb2.FeaturesRanked(lineage=lineage, session_id=session_id)
        ranked.features.add(name="rsi_14", rank=1)
        self.append({f"pattern/{pattern}": fact, f"features/{lineage}": ranked}, session_id)

    def retire(self, pattern: str) -> None:
        """A person retires a pattern."""
        counts = self._counts[pattern]
        fact = facts_pb2.PatternRetired(
            pattern_id=pattern,
            decided_by=decision_pb2.DECIDED_BY_PERSON,
            reason="it makes no sense",
            before=counts,
            after=counts,
        )
        self.append({f"pattern/{pattern}": fact})

    def append(self, facts: dict[str, Message], session_id: str = "") -> None:
        appended = []
        for stream, fact in facts.items():
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            appended.append(Fact(stream, version, fact, session_id))
        self.log.commit(Append(Origin(self._id(), b"f" * 32, "trainer", session_id), tuple(appended)))


def write_history(auditee: Auditee) -> None:
    """Some 100 events: promotions, declines of every verdict, a contender that wins, rollbacks, stand-ins."""
    for series in ("AAPL", "IBM@1w"):
        auditee.import_bars(series)
    auditee.train(FOREST, 100, 220)
    auditee.cancel(FOREST)
    auditee.train(FOREST, 221, 400)
    auditee.train(FOREST, 221, 400, 0.1)
    auditee.train(FOREST, 401, 600, -0.1, contenders={f"{FOREST}/v2": 0.0})
    auditee.train(FOREST, 601, 800, 0.1, contenders={f"{FOREST}/v2": 0.0, f"{FOREST}/v3": 0.12})
    auditee.train(LOGISTIC, 400, 900)
    auditee.fail(LOGISTIC)
    auditee.train(LOGISTIC, 901, 1100, 0.0, against_best=-0.1)
    auditee.train(LOGISTIC, 1100, 1350, 0.0, against_best=0.1)
    auditee.import_bars("AAPL", 2000)
    auditee.retire(auditee.pattern(LOGISTIC))
    auditee.train(LSTM, 1350, 1500, against_best=-0.1, policy="strict")
    auditee.train(FOREST, 1350, 1500, 0.1, against_best=0.0, policy="plain")
    auditee.promote(f"{LOGISTIC}/v2")
    auditee.roll_back(LOGISTIC)
    auditee.train(LOGISTIC, 1500, 1700, 0.1, against_best=0.02)
    auditee.roll_back(FOREST)
    auditee.promote(f"{FOREST}/v4", "looks fine")
    auditee.train(FOREST, 1700, 1900, 0.1, against_best=0.1)
    auditee.train(WEEKLY, 100, 220, learns=False)
    auditee.train(WEEKLY, 221, 400, 0.1, learns=False)
    auditee.train(FOREST, 1900, 2100, 0.0)
