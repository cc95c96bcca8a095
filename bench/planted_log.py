"""A log as the registry would have written it, made quickly: sessions of eight events on many series.

A session is four requests, as a real one is:

    import    DatasetRegistered
    request   TrainingRequested
    evidence  PatternDiscovered or PatternValidated (21 bars), FeaturesRanked (5 features); a second pattern's fact
              where the symbol is not decided on
    record    ModelTrained (24 features), TrainingCompleted, the decision on the lineage with 120 bars of evidence, and
              the decision on the symbol, on no common bar or in succession

Every decision is made by the registry's own domain code, so that all of them decide again to the same verdict. What
`storage_form` writes is what `Commit` stores, byte for byte, without a transaction and an fsync for each request.
"""

from __future__ import annotations

import hashlib
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from ratchet.decisions import lineage as lineages
from ratchet.decisions import symbol as symbols
from ratchet.decisions.bar_times import timestamp
from ratchet.decisions.comparison import compare
from ratchet.decisions.evidence import pack
from ratchet.decisions.lineage import LineageState
from ratchet.decisions.symbol import SymbolState
from ratchet.decisions.training import Comparison, RecordTraining, record_training
from ratchet.events.v1 import facts_pb2, model_pb2, pattern_pb2
from ratchet.names import MODEL_TYPES
from ratchet.patterns.bar_times import encode_times
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.transparency.merkle import Frontier
from services.platform.facts import Fact
from services.registry.domain import session as sessions
from services.registry.eventlog import Origin
from services.registry.eventlog.append import RecordedEvent
from services.registry.eventlog.commit import leaf

EVENTS = 8
BARS = 120
NEW_BARS = 21
FIRST_BAR, DAY = 315_532_800, 86_400
START = datetime(2026, 1, 1, tzinfo=UTC)
PAIRS, BETTER = 256, 16
"""Pairs of predictions that sessions draw from, and how many of them show a better contender."""
IN_ONE_TRANSACTION = 2_000


@dataclass(frozen=True)
class Request:
    """What one request appends."""

    origin: Origin
    facts: tuple[Fact, ...]


class PlantedLog:
    """Sessions on `series` series with every model type, one after the other; `chained`: each learns from the last."""

    def __init__(self, series: int, types: Sequence[str] = MODEL_TYPES, *, chained: bool = False) -> None:
        self.lineages = [f"S{number:03}/range/{kind}" for number in range(series) for kind in types]
        self.states = {name: LineageState(name) for name in self.lineages}
        self._symbols: dict[str, SymbolState] = {}
        self._champions: dict[str, dict[str, str]] = {}
        self._patterns: dict[str, tuple[int, pattern_pb2.PatternCounts]] = {}
        self._rankings = dict.fromkeys(self.lineages, 0)
        self._digests: dict[str, str] = {}
        self._rows: dict[str, int] = {}
        self._chained = chained
        self._count = itertools.count()

    def requests(self, count: int) -> Iterator[Request]:
        """The requests of the next `count` sessions, in order."""
        for number in itertools.islice(self._count, count):
            yield from self._session(number)

    def _session(self, number: int) -> Iterator[Request]:
        name, turn = self.lineages[number % len(self.lineages)], number // len(self.lineages)
        session_id = _hash(f"session {number}")[:16]
        last = _last_bar(turn)
        digest = self._imported(name.partition("/")[0], number)
        yield _request(number, "import", session_id, [self._import_fact(name, digest, number, last)])
        asked = facts_pb2.TrainingRequested(
            session_id=session_id, lineage=name, dataset_digest=digest, policy="balanced", seed=number
        )
        yield _request(number, "request", session_id, [Fact(f"session/{session_id}", 1, asked)])
        recorded = self._recorded(name, asked, turn)
        patterns = range(EVENTS - 3 - len(recorded))
        found = [self._pattern(f"{name}-{k}", name, session_id, digest, last) for k in patterns]
        self._rankings[name] += 1
        ranked = Fact(f"features/{name}", self._rankings[name], _ranking(name, session_id))
        yield _request(number, "evidence", session_id, [*found, ranked])
        yield _request(number, "record", session_id, [replace(fact, causation_id=session_id) for fact in recorded])

    def best(self, name: str) -> str:
        """The symbol's best where a lineage competes; empty for none."""
        found = self._symbols.get(name.rpartition("/")[0])
        return found.best if found else ""

    def advance(self, name: str, asked: facts_pb2.TrainingRequested, turn: int) -> None:
        """Bring the states up to the session that was asked for, as if it had been recorded."""
        self._recorded(name, asked, turn)

    def _imported(self, series: str, number: int) -> str:
        self._digests[f"{series} before"] = self._digests.get(series, "")
        self._digests[series] = _hash(f"dataset {number}")
        return self._digests[series]

    def _import_fact(self, name: str, digest: str, number: int, last: int) -> Fact:
        series = name.partition("/")[0]
        kept, rows = self._rows.get(series, 0), last + 1
        self._rows[series] = rows
        dataset = facts_pb2.DatasetRegistered(
            symbol=series,
            timeframe="1d",
            digest=digest,
            rows=rows,
            first_bar=timestamp(_bar(0)),
            last_bar=timestamp(_bar(last)),
            source=f"{series}.csv",
            artifact=model_pb2.Artifact(digest=digest, size_bytes=40 * last, format="parquet"),
            previous_digest=self._digests[f"{series} before"],
            rows_appended=NEW_BARS if number >= len(self.lineages) else rows,
            kept_rows=kept,
            times=encode_times(FIRST_BAR + np.arange(kept, rows) * DAY) if kept < rows else None,
        )
        return Fact(f"dataset/{digest}", 1, dataset)

    def _pattern(self, name: str, lineage: str, session_id: str, digest: str, last: int) -> Fact:
        """A new pattern, or new evidence on a known one: the bars since the session before."""
        identity = _hash(name)[:16]
        version, before = self._patterns.get(identity, (0, pattern_pb2.PatternCounts()))
        after = pattern_pb2.PatternCounts(
            bars=before.bars + NEW_BARS,
            support=before.support + 7,
            hits=before.hits + 5,
            base_rate=0.5,
            effective_support=0.9 * (before.support + 7),
            effective_hits=0.9 * (before.hits + 5),
            confidence=0.68,
            low=0.61,
            high=0.75,
            probability_above_base=0.99,
            probability_above_line=0.93,
        )
        self._patterns[identity] = version + 1, after
        span = pattern_pb2.EvidenceSpan(
            first_row=last - NEW_BARS, fired=b"\x25\x49\x02", outcomes=b"\x5a\xa5\x01", bars=NEW_BARS
        )
        seen = pattern_pb2.BarEvidence(dataset_digest=digest, spans=[span])
        kept = pattern_pb2.PATTERN_STATE_KEPT
        if version:
            fact = facts_pb2.PatternValidated(
                pattern_id=identity,
                session_id=session_id,
                lineage=lineage,
                evidence=seen,
                before=before,
                after=after,
                state=kept,
            )
            return Fact(f"pattern/{identity}", version + 1, fact)
        series, task, _ = lineage.split("/")
        above = pattern_pb2.Condition(feature="rsi_14", operator=pattern_pb2.OPERATOR_ABOVE, threshold=70.0)
        found = facts_pb2.PatternDiscovered(
            pattern=pattern_pb2.Pattern(
                id=identity,
                series=series,
                task=task,
                rule=pattern_pb2.Rule(conditions=[above], label=True),
                wording="rsi_14 > 70 → wider range",
                type="level",
            ),
            session_id=session_id,
            lineage=lineage,
            evidence=seen,
            after=after,
            state=kept,
            p_value=0.004,
            candidates_tested=20,
        )
        return Fact(f"pattern/{identity}", 1, found)

    def _recorded(self, name: str, asked: facts_pb2.TrainingRequested, turn: int) -> list[Fact]:
        """ModelTrained, TrainingCompleted and the decisions; the states are brought up to them."""
        state, arena = self.states[name], name.rpartition("/")[0]
        symbol = self._symbols.get(arena, SymbolState(arena))
        command = self.command(state, asked, turn)
        outcome = record_training(state, command)
        session = sessions.SessionState(asked, 1)
        end = sessions.complete(session, outcome.trained.record.model, outcome.verdict, outcome.promoted)
        stream = f"lineage/{name}"
        trained = Fact(stream, state.version + 1, outcome.trained)
        decided = Fact(stream, state.version + 2, outcome.decision)
        facts = [trained, Fact(f"session/{asked.session_id}", 2, end), decided]
        champions = self._champions.setdefault(arena, {})
        champions[name] = outcome.champion
        after = lineages.project(state, [trained, decided])
        assert after is not None
        self.states[name] = after
        challenge = None
        if symbols.needs_evidence(symbol, outcome.decision, command.last_labelled):
            best = self.states[symbol.best.rpartition("/")[0]].cutoff_of(symbol.best)
            through, spent = command.last_labelled, state.spent_through
            settings = symbols.gate_settings(symbol, outcome.decision, len(champions), through, spent)
            evidence = compare(best, after.cutoff_of(outcome.champion), pack([], [], [], []), settings)
            challenge = symbols.Challenge(evidence, through)
        mean = state.means.get(int(outcome.decision.model.rpartition("/v")[2]))
        decision = symbols.consequence(symbol, outcome.decision, mean, sorted(champions.values()), challenge)
        if decision is not None:
            facts.append(Fact(f"symbol/{arena}", symbol.version + 1, decision))
            following = symbols.project(symbol, facts[-1:])
            assert following is not None
            self._symbols[arena] = following
        return facts

    def command(self, state: LineageState, asked: facts_pb2.TrainingRequested, turn: int) -> RecordTraining:
        """What a session in its lineage's `turn` brings: a model that knows labels up to 120 bars before the last, and
        its pair with the champion on these."""
        last, number = _last_bar(turn), asked.seed
        record = model_pb2.ModelRecord()
        record.CopyFrom(_template())
        record.parent = state.model(state.versions) if self._chained else state.champion_name
        record.dataset_digest, record.seed = asked.dataset_digest, number
        record.artifact.digest = _hash(f"artifact {number}")
        record.windows.fit_label_end.seconds = _bar(last - BARS)
        used = _hash(f"{state.name}-0")[:16]
        if used in self._patterns:
            record.patterns_used.add(pattern_id=used, evidence_end=timestamp(_bar(last - BARS - 1)))
        pairs: tuple[Comparison, ...] = ()
        if state.champion:
            p_a, p_b, y = _pairs()[number * 7919 % PAIRS]
            times = np.arange(last - BARS + 1, last + 1, dtype=np.int64) * DAY + FIRST_BAR
            pairs = (Comparison(state.champion_name, "", pack(p_a, p_b, y, times)),)
        return RecordTraining(
            session_id=asked.session_id,
            policy="balanced",
            record=record,
            expected_champion=state.champion_name,
            comparisons=pairs,
            last_labelled=_bar(last),
        )


def request_of(command: RecordTraining, request_id: str, champion: str, best: str) -> pb.RecordTrainingRequest:
    """The request that ends a session with what it brings, against the champion and the symbol's best in force."""
    request = pb.RecordTrainingRequest(
        request_id=request_id,
        session_id=command.session_id,
        record=command.record,
        expected_champion=champion,
        comparisons=[pb.Comparison(champion=c.champion, packed=c.packed) for c in command.comparisons],
        expected_symbol_best=best,
    )
    request.last_labelled_bar.seconds = command.last_labelled
    return request


def storage_form(path: Path, requests: Iterable[Request], clock: Clock, ids: Iterator[str]) -> int:
    """Append requests to a closed log of `path` as `Commit` would; returns the last position."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")
        [(last,)] = connection.execute("SELECT COALESCE(MAX(position), 0) FROM stored_events")
        position = int(last)

        def node(level: int, index: int) -> bytes:
            [(found,)] = connection.execute("SELECT hash FROM merkle_nodes WHERE level = ? AND idx = ?", (level, index))
            return bytes(found)

        tree = Frontier.load(node, position)
        waiting = iter(requests)
        while part := list(itertools.islice(waiting, IN_ONE_TRANSACTION)):
            events: list[RecordedEvent] = []
            rows: list[tuple[str, bytes, int, int]] = []
            for request in part:
                now = clock()
                first = position + 1
                for fact in request.facts:
                    position += 1
                    events.append(RecordedEvent.of(position, fact, request.origin, next(ids), now))
                rows.append((request.origin.request_id, request.origin.fingerprint, first, position))
            nodes = [found for event in events for found in tree.append(leaf(event))]
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO stored_events VALUES (?, ?, ?, ?, ?)",
                [(e.position, e.stream, e.version, e.topic, e.state) for e in events],
            )
            connection.executemany("INSERT INTO merkle_nodes VALUES (?, ?, ?)", nodes)
            connection.executemany("INSERT INTO requests VALUES (?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
    return position


class Clock:
    """A millisecond later with each look."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now


def event_ids() -> Iterator[str]:
    return (f"{number:032x}" for number in itertools.count(1))


def _request(number: int, kind: str, session_id: str, facts: Sequence[Fact]) -> Request:
    name = _hash(f"{kind} {number}")
    return Request(Origin(name[:32], bytes.fromhex(name), "trainer@desk", session_id), tuple(facts))


def dataset(series: str, digest: str, rows: int) -> facts_pb2.DatasetRegistered:
    """A snapshot of daily bars from FIRST_BAR on."""
    return facts_pb2.DatasetRegistered(
        symbol=series,
        timeframe="1d",
        digest=digest,
        rows=rows,
        first_bar=timestamp(_bar(0)),
        last_bar=timestamp(_bar(rows - 1)),
        source="bench",
        artifact=model_pb2.Artifact(digest=digest, size_bytes=40 * rows, format="parquet"),
        times=encode_times(FIRST_BAR + np.arange(rows) * DAY),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _bar(number: int) -> int:
    return FIRST_BAR + number * DAY


def _last_bar(turn: int) -> int:
    """The last labelled bar of a lineage's session, by the number of those before it."""
    return 10 * BARS + NEW_BARS * turn


def _ranking(lineage: str, session_id: str) -> facts_pb2.FeaturesRanked:
    share = model_pb2.Interval(value=0.2, low=0.1, high=0.3)
    features = [model_pb2.RankedFeature(name=f"feature_{k}", rank=k, share=share) for k in range(1, 6)]
    return facts_pb2.FeaturesRanked(lineage=lineage, session_id=session_id, features=features)


@cache
def _pairs() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng, found = np.random.default_rng(7), []
    for number in range(PAIRS):
        y = rng.random(BARS) < 0.5
        right = np.where(rng.random(BARS) < 0.8, 1.0, -1.0) * np.where(y, 1.0, -1.0)
        p_a = 0.5 + 0.02 * rng.standard_normal(BARS)
        p_b = p_a + (0.1 * right if number < BETTER else 0.02 * rng.standard_normal(BARS))
        found.append((p_a, np.clip(p_b, 0.02, 0.98), y))
    return found


@cache
def _template() -> model_pb2.ModelRecord:
    """What a session records of a model beside what differs from one to the next."""

    def metrics(brier: float) -> list[model_pb2.Metric]:
        interval = model_pb2.Interval(value=brier, low=brier - 0.02, high=brier + 0.02)
        return [model_pb2.Metric(name=name, interval=interval) for name in ("brier", "accuracy", "auc", "log_loss")]

    window = model_pb2.Window(
        first_bar=timestamp(_bar(250)), last_bar=timestamp(_bar(900)), label_end=timestamp(_bar(901)), rows=650
    )
    names = [f"feature_{k}" for k in range(24)]
    return model_pb2.ModelRecord(
        windows=model_pb2.Windows(
            training=window, tune=window, choose=window, holdout=window, horizon=1, new_bars=NEW_BARS
        ),
        features=[model_pb2.Feature(name=name, source=model_pb2.FEATURE_SOURCE_BASE) for name in names],
        hyperparameters=[model_pb2.Parameter(name=f"parameter_{k}", value="0.05") for k in range(6)],
        complexity_step=3,
        candidates=[
            model_pb2.Candidate(kind=kind, chosen=kind == 1, tune_score=0.24, choose_score=0.24, cpu_seconds=1.5)
            for kind in (model_pb2.CANDIDATE_KIND_TRANSFER, model_pb2.CANDIDATE_KIND_SCRATCH)
        ],
        artifact=model_pb2.Artifact(size_bytes=40_000, format="skops"),
        metrics=metrics(0.22),
        baselines=[model_pb2.Baseline(name=name, metrics=metrics(0.25)[:2]) for name in ("majority", "persistence")],
        importance=[model_pb2.RankedFeature(name=name, rank=k) for k, name in enumerate(names[:10], start=1)],
        library_versions=[model_pb2.Parameter(name=name, value="1.9.1") for name in ("numpy", "scikit-learn")],
        cpu_seconds=3.5,
        trials=[model_pb2.Trial(complexity_step=k, tune_score=0.24) for k in range(6)],
    )
