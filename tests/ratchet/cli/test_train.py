"""train: from the request over the progress to the verdict with its evidence, and each way a session can end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli.session_patterns import SessionPatterns, session_pattern_lines
from ratchet.errors import Unreachable
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import decision_pb2, envelope_pb2, facts_pb2, model_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc

Run = Callable[..., Any]
Serve = Callable[..., str]

LINEAGE = "AAPL/range/random-forest"
LINE = ("train", "AAPL", "--model", "random-forest", "--target", "range")


def at(second: int) -> Timestamp:
    return Timestamp(seconds=1262304000 + second)


def interval(value: float, low: float, high: float) -> model_pb2.Interval:
    return model_pb2.Interval(value=value, low=low, high=high)


def pattern(
    identity: str,
    wording: str,
    state: pattern_pb2.PatternState.ValueType = pattern_pb2.PATTERN_STATE_KEPT,
    retired_reason: str = "",
) -> knowledge_pb2.KnownPattern:
    return knowledge_pb2.KnownPattern(
        pattern=pattern_pb2.Pattern(id=identity, series="AAPL", task="range", wording=wording),
        state=state,
        counts=pattern_pb2.PatternCounts(
            bars=500, support=120, hits=80, base_rate=0.5, confidence=0.66, low=0.61, high=0.71
        ),
        retired_reason=retired_reason,
    )


COMPLETED = registry_pb2.Training(
    session_id="s7",
    lineage=LINEAGE,
    state=registry_pb2.TRAINING_STATE_COMPLETED,
    model=f"{LINEAGE}/v2",
    verdict=decision_pb2.VERDICT_INCONCLUSIVE,
    requested_position=30,
    requested_at=at(0),
    ended_at=at(60),
)
RECORD = model_pb2.ModelRecord(
    model=f"{LINEAGE}/v2",
    parent=f"{LINEAGE}/v1",
    windows=model_pb2.Windows(holdout=model_pb2.Window(first_bar=at(0), last_bar=at(86400 * 200), rows=201)),
    patterns_used=[model_pb2.PatternUse(pattern_id="old")],
    metrics=[model_pb2.Metric(name="brier", interval=interval(0.24, 0.23, 0.25))],
    baselines=[
        model_pb2.Baseline(
            name="persistence@baseline",
            metrics=[model_pb2.Metric(name="brier", interval=interval(0.35, 0.33, 0.37))],
            gain=interval(0.11, 0.08, 0.14),
        )
    ],
    candidates=[
        model_pb2.Candidate(
            kind=model_pb2.CANDIDATE_KIND_TRANSFER,
            chosen=True,
            choose_score=0.2411,
            choose_bars=90,
            cpu_seconds=1.5,
            change=model_pb2.CANDIDATE_CHANGE_RECALIBRATED,
        ),
        model_pb2.Candidate(
            kind=model_pb2.CANDIDATE_KIND_SCRATCH, skipped=model_pb2.CANDIDATE_SKIPPED_TOO_FEW_UNSEEN_ROWS
        ),
    ],
    trials=[
        model_pb2.Trial(complexity_step=1, tune_score=0.25),
        model_pb2.Trial(
            complexity_step=2, tune_score=0.24, hyperparameters=[model_pb2.Parameter(name="depth", value="12")]
        ),
    ],
    corrections=[
        model_pb2.Correction(
            kind=model_pb2.CORRECTION_KIND_OFFSET,
            offset=0.1,
            score_with=0.24,
            score_without=0.25,
            bars=90,
            applied=True,
        )
    ],
    hyperparameters=[model_pb2.Parameter(name="depth", value="10")],
    complexity_step=2,
    complexity_step_offered=3,
    smaller_step_gain=interval(0.0042, 0.0011, 0.0073),
    patterns_worth=interval(0.004, -0.001, 0.009),
    features_left_out=[model_pb2.FeatureLeftOut(name="weekday", reason=model_pb2.LEFT_OUT_REASON_USELESS)],
)
DECISION = registry_pb2.Decision(
    position=41,
    declined=facts_pb2.PromotionDeclined(
        scope=decision_pb2.SCOPE_LINEAGE,
        lineage=LINEAGE,
        model=f"{LINEAGE}/v2",
        champion=f"{LINEAGE}/v1",
        verdict=decision_pb2.VERDICT_INCONCLUSIVE,
        policy="balanced",
        basis=decision_pb2.BASIS_EVIDENCE,
        evidence=[
            decision_pb2.Evidence(
                champion=f"{LINEAGE}/v1",
                contender=f"{LINEAGE}/v2",
                judgement=decision_pb2.Judgement(
                    bars=201,
                    e_value=3.21,
                    e_value_reverse=0.12,
                    mean_difference=interval(0.0031, -0.0011, 0.0073),
                    improvement_percent=interval(1.3, -0.4, 3.0),
                    dm_p=0.071,
                    bars_needed=412.4,
                ),
            )
        ],
        diagnosis=[
            decision_pb2.Diagnosis(
                overfit=decision_pb2.Overfit(excess=interval(0.02, 0.01, 0.03)),
                advice=[decision_pb2.Advice(kind=decision_pb2.ADVICE_KIND_IMPORT_LONGER_HISTORY)],
            )
        ],
    ),
)

SYMBOL = registry_pb2.Decision(
    position=42,
    promoted=facts_pb2.ModelPromoted(
        scope=decision_pb2.SCOPE_SYMBOL,
        model=f"{LINEAGE}/v2",
        replaced=f"{LINEAGE}/v1",
        basis=decision_pb2.BASIS_SUCCESSION,
        evidence=DECISION.declined.evidence,
    ),
)


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Starts session s7 and tells of it until it ends as `ended`; without one, until the caller goes.

    Once it is `lost`, it does not tell.
    """

    def __init__(self, ended: registry_pb2.Training | None) -> None:
        self.ended = ended
        self.lost = False
        self.started: list[trainer_pb2.StartTrainingRequest] = []

    def StartTraining(
        self, request: trainer_pb2.StartTrainingRequest, context: Any
    ) -> trainer_pb2.StartTrainingResponse:
        self.started.append(request)
        return trainer_pb2.StartTrainingResponse(training=registry_pb2.Training(session_id="s7", lineage=LINEAGE))

    def WatchTraining(
        self, request: trainer_pb2.WatchTrainingRequest, context: Any
    ) -> Iterator[trainer_pb2.WatchTrainingResponse]:
        if self.lost:
            raise Unreachable("the trainer stops")
        for fraction, phase in ((0.1, "features"), (0.2, "mining"), (0.3, "mining"), (0.9, "scoring")):
            yield trainer_pb2.WatchTrainingResponse(session_id="s7", fraction=fraction, phase=phase, text="42 rows")
        while self.ended is None and context.is_active():
            yield trainer_pb2.WatchTrainingResponse(session_id="s7", fraction=0.95, phase="recording")
        yield trainer_pb2.WatchTrainingResponse(session_id="s7", fraction=1.0, phase="done", ended=self.ended)


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    def GetModel(self, request: registry_pb2.GetModelRequest, context: Any) -> registry_pb2.GetModelResponse:
        return registry_pb2.GetModelResponse(model=registry_pb2.Model(name=request.model, position=40, record=RECORD))

    def ListDecisions(
        self, request: registry_pb2.ListDecisionsRequest, context: Any
    ) -> registry_pb2.ListDecisionsResponse:
        return registry_pb2.ListDecisionsResponse(decisions=[DECISION, SYMBOL] if request.session_id == "s7" else [])

    def ListTrainings(
        self, request: registry_pb2.ListTrainingsRequest, context: Any
    ) -> registry_pb2.ListTrainingsResponse:
        return registry_pb2.ListTrainingsResponse(trainings=[COMPLETED] if request.session_id in ("", "s7") else [])


class Knowledge(knowledge_pb2_grpc.KnowledgeServiceServicer):
    """Knows what was there before the facts of s7, which begin at 37, and what was there when its model was recorded;
    what came later is never asked for."""

    def ListPatterns(
        self, request: knowledge_pb2.ListPatternsRequest, context: Any
    ) -> knowledge_pb2.ListPatternsResponse:
        retired = pattern_pb2.PATTERN_STATE_RETIRED
        covered, refuted = pattern_pb2.PATTERN_STATE_COVERED, pattern_pb2.PATTERN_STATE_REFUTED
        then = {
            36: [
                pattern("old", "rsi_14 > 70 → wider range"),
                pattern("weak", "rsi_14 <= 30 → wider range"),
                pattern("back", "friday → narrower range", retired),
                pattern("near", "gap > 2.1 → wider range"),
            ],
            40: [
                pattern("old", "rsi_14 > 70 → wider range"),
                pattern(
                    "weak", "rsi_14 <= 30 → wider range", retired, "confidence 55.0% is not above the line of 60.0%"
                ),
                pattern("back", "friday → narrower range"),
                pattern("near", "gap > 2.1 → wider range", covered),
                pattern("new", "gap > 2 → wider range"),
                pattern("bad", "tuesday → wider range", refuted),
                pattern("same", "gap > 2 and rsi_14 > 5 → wider range", covered),
                pattern("beside", "monday → narrower range"),
            ],
        }
        return knowledge_pb2.ListPatternsResponse(patterns=then[request.as_of_position])


def stored(position: int, fact: Message, cause: str = "") -> eventlog_pb2.StoredEvent:
    envelope = envelope_pb2.Envelope(payload=fact.SerializeToString(), causation_id=cause)
    topic = fact.DESCRIPTOR.full_name
    return eventlog_pb2.StoredEvent(position=position, topic=topic, state=envelope.SerializeToString())


class Log(eventlog_pb2_grpc.EventLogServiceServicer):
    """The facts of s7, and one of a session beside it."""

    def Read(self, request: eventlog_pb2.ReadRequest, context: Any) -> Iterator[eventlog_pb2.ReadResponse]:
        assert (request.start, request.stop) == (30, 40)
        assert list(request.filter.stream_prefixes) == ["pattern/"]
        new = [facts_pb2.PatternDiscovered(session_id="s7", pattern={"id": each}) for each in ("new", "bad", "same")]
        known = [facts_pb2.PatternValidated(session_id="s7", pattern_id=each) for each in ("old", "back")]
        near = stored(37, facts_pb2.PatternValidated(pattern_id="near"), cause="s7")
        weak = facts_pb2.PatternRetired(session_id="s7", pattern_id="weak")
        beside = facts_pb2.PatternDiscovered(session_id="s6", pattern={"id": "beside"})
        yield eventlog_pb2.ReadResponse(
            events=[stored(36, beside), near, *(stored(37, fact) for fact in (*new, *known, weak))]
        )


@pytest.fixture
def services(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, run: Run
) -> Callable[[registry_pb2.Training | None], Trainer]:
    def start(ended: registry_pb2.Training | None) -> Trainer:
        trainer = Trainer(ended)
        address = serve(
            (trainer_pb2_grpc.add_TrainerServiceServicer_to_server, trainer, "ratchet.trainer.v1.TrainerService"),
            (
                registry_pb2_grpc.add_RegistryServiceServicer_to_server,
                Registry(),
                "ratchet.registry.v1.RegistryService",
            ),
            (
                knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server,
                Knowledge(),
                "ratchet.knowledge.v1.KnowledgeService",
            ),
            (
                eventlog_pb2_grpc.add_EventLogServiceServicer_to_server,
                Log(),
                "ratchet.eventlog.v1.EventLogService",
            ),
        )
        for service in ("REGISTRY", "KNOWLEDGE", "TRAINER"):
            monkeypatch.setenv(f"RATCHET_{service}", address)
        return trainer

    return start


Services = Callable[[registry_pb2.Training | None], Trainer]


def test_a_declined_training_is_done_and_shows_all_of_its_evidence(run: Run, services: Services) -> None:
    services(COMPLETED)
    ran = run(*LINE)
    assert ran.code == 0
    for said in (
        f"{LINEAGE}/v2   INCONCLUSIVE   no skill shown: not shown better than base rate, har and online\n",
        "complexity: step 2 taken of 3 offered: better on tune by +0.0042 [0.0011, 0.0073]\n",
        "is not shown to be better than",
        "about 210 needed to see a gain of this size",
        "+0.0031 [-0.0011, 0.0073]",
        "+1.3 [-0.4, 3.0] %",
        "E                         3.21   reversed 0.12",
        "Diebold-Mariano p         0.071",
        "about 412",
        "overfit: Brier loss from choose to holdout grows by 0.0200 more than the parent's",
        "import a longer history with ratchet data import",
        "0.350 [0.330, 0.370]",
        "+0.1100 [0.0800, 0.1400]",
        f"recalibrated {LINEAGE}/v1",
        "study: 2 settings, the best at step 2: depth=12",
        "; taken: step 2: depth=10\n",
        "correction by offset: +0.100 added to the log-odds: Brier 0.2400 with, 0.2500 without, on 90 bars: applied",
        "patterns as features are worth +0.0040 [-0.0010, 0.0090] of Brier score",
        "left out of the new model (ranked useless by each of the last three sessions): weekday",
        "skipped: too few unseen rows",
        "patterns used: 1\n  rsi_14 > 70",
        "patterns found: 1\n  gap > 2",
        f"ratchet models show {LINEAGE}/v2",
    ):
        assert said in ran.out


def test_what_a_session_learned_is_told_as_it_was_when_it_ended(run: Run, services: Services) -> None:
    services(COMPLETED)
    told = run(*LINE).out
    assert told[told.index("patterns used") : told.index("complexity:")].splitlines() == [
        "patterns used: 1",
        "  rsi_14 > 70 → wider range   confidence 0.66 [0.61, 0.71], base 0.50, 120 bars",
        "patterns found: 1",
        "  gap > 2 → wider range   confidence 0.66 [0.61, 0.71], base 0.50, 120 bars",
        "found, but another says the same more simply: 1",
        "tested and not kept: 1",
        "revived by new evidence: 1",
        "  friday → narrower range   confidence 0.66 [0.61, 0.71], base 0.50, 120 bars",
        "retired by new evidence: 1",
        "  rsi_14 <= 30 → wider range   confidence 55.0% is not above the line of 60.0%",
        "now covered by a simpler one: 1",
        "  gap > 2.1 → wider range   covered",
    ]
    assert "monday" not in told


def test_what_came_of_an_offer_is_told_by_the_session_that_tested_it() -> None:
    taken, refused = pattern("new", "gap > 2 → wider range"), pattern("bad", "tuesday → wider range")
    refused.state = pattern_pb2.PATTERN_STATE_REFUTED
    for each in (taken, refused):
        each.offer.series = "MSFT"
    assert list(session_pattern_lines(SessionPatterns(found=[taken, refused]))) == [
        "patterns used: none",
        "patterns found: 1",
        "  gap > 2 → wider range   confidence 0.66 [0.61, 0.71], base 0.50, 120 bars, offered from MSFT",
        "tested and not kept: 1",
        "  offered from MSFT: tuesday → wider range   refuted",
    ]


def test_evidence_that_two_decisions_share_is_told_once(run: Run, services: Services) -> None:
    services(COMPLETED)
    out = run(*LINE).out
    assert "best of its symbol: PROMOTED" in out
    assert "on the same evidence" in out
    assert out.count("Diebold-Mariano") == 1


def test_progress_is_on_stderr_one_line_a_phase(run: Run, services: Services) -> None:
    services(COMPLETED)
    told = run(*LINE).err.splitlines()
    assert told == [" 10% features: 42 rows", " 20% mining: 42 rows", " 90% scoring: 42 rows", "100% done"]


def test_json_is_alone_on_stdout(run: Run, services: Services) -> None:
    services(COMPLETED)
    found = json.loads(run(*LINE, "-o", "json").out)
    assert found["training"]["verdict"] == "VERDICT_INCONCLUSIVE"
    assert found["decisions"][0]["declined"]["evidence"][0]["judgement"]["e_value"] == 3.21
    assert [known["pattern"]["id"] for known in found["patterns_found"]] == ["new", "bad", "same"]
    assert [known["pattern"]["id"] for known in found["patterns_retired"]] == ["weak"]
    assert [known["pattern"]["id"] for known in found["patterns_revived"]] == ["back"]


def test_the_request_says_what_the_options_said(run: Run, services: Services) -> None:
    trainer = services(COMPLETED)
    run(*LINE, "--until", "2006-12-29", "--seed", "0", "--policy", "strict", "--horizon", "5")
    run("train", "AAPL@1h", "--model", "logistic")
    first, second = trainer.started
    assert (first.series, first.model_type, first.target, first.horizon) == ("AAPL", "random-forest", "range", 5)
    assert (first.until, first.policy, first.HasField("seed"), first.seed) == ("2006-12-29", "strict", True, 0)
    assert (second.series, second.target, second.policy, second.HasField("seed")) == (
        "AAPL@1h",
        "range",
        "balanced",
        False,
    )


def test_detached_prints_the_session_and_how_to_watch_it(run: Run, services: Services) -> None:
    services(COMPLETED)
    ran = run(*LINE, "--detach")
    assert (ran.code, ran.out) == (0, "s7\n")
    assert "ratchet trainings watch s7" in ran.err


@pytest.mark.parametrize(
    ("reason", "code"), [("DATA_REFUSED", 8), ("INTERNAL", 1), ("NOT_FOUND", 3), ("UNHEARD_OF", 1)]
)
def test_a_failed_session_exits_with_the_code_of_its_reason(
    run: Run, services: Services, reason: str, code: int
) -> None:
    failed = registry_pb2.TRAINING_STATE_FAILED
    services(registry_pb2.Training(session_id="s7", state=failed, reason=reason, message="196 usable bars, 600 needed"))
    ran = run(*LINE)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.splitlines()[-1] == "error: 196 usable bars, 600 needed"


def test_a_cancelled_session_exits_with_130(run: Run, services: Services) -> None:
    cancelled = registry_pb2.TRAINING_STATE_CANCELLED
    services(registry_pb2.Training(session_id="s7", state=cancelled, reason="wrong file"))
    ran = run(*LINE)
    assert ran.code == 130
    assert ran.err.splitlines()[-1] == "error: session s7 was cancelled: wrong file"


def test_an_interrupted_watch_leaves_the_session_and_says_how_to_go_on(services: Services) -> None:
    services(None)
    watching = subprocess.Popen(
        [sys.executable, "-m", "ratchet", *LINE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stderr is not None
    while "scoring" not in watching.stderr.readline():
        assert watching.poll() is None
    os.kill(watching.pid, signal.SIGINT)
    out, err = watching.communicate(timeout=20)
    assert (watching.returncode, out) == (130, "")
    assert "session s7 goes on" in err
    assert "ratchet trainings watch s7" in err
    assert "ratchet trainings cancel s7" in err
    assert "Traceback" not in err


def test_an_ended_session_shows_the_same_verdict_later(run: Run, services: Services) -> None:
    services(COMPLETED)
    assert run("trainings", "show", "s7").out == run(*LINE).out
    listed = run("trainings", "list", "AAPL").out
    assert "INCONCLUSIVE" in listed
    assert "completed" in listed


@pytest.mark.parametrize("name", ["s9", ""])
def test_a_session_that_nobody_knows_is_not_found(run: Run, services: Services, name: str) -> None:
    services(COMPLETED)
    ran = run("trainings", "show", name)
    assert ran.code == 3
    assert "ratchet trainings list" in ran.err


@pytest.mark.parametrize("words", [("--seed", str(2**63)), ("--horizon", "0"), ("--horizon", "-3")])
def test_a_number_out_of_range_is_a_usage_error(run: Run, words: tuple[str, str]) -> None:
    ran = run(*LINE, *words)
    assert (ran.code, ran.out) == (2, "")


def test_a_trainer_that_is_lost_leaves_the_session_and_the_command_to_watch_it(run: Run, services: Services) -> None:
    services(COMPLETED).lost = True
    ran = run(*LINE)
    assert (ran.code, ran.out) == (5, "")
    assert "ratchet trainings watch s7" in ran.err
