"""Sessions run one at a time in a lineage, end once, and survive whatever ends the trainer or the services."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from ratchet.client import Client
from ratchet.errors import (
    Busy,
    DataRefused,
    DeadlinePassed,
    Internal,
    LimitReached,
    LogFull,
    NotAllowed,
    NotFound,
    RatchetError,
    Unreachable,
    WorkerLost,
)
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.validation import LONGEST_TEXT
from services.trainer.sessions.scheduler import Progress, Report, SessionScheduler
from tests.support.datasets import dataset
from tests.support.registry_samples import evidence, record, stamp
from tests.support.waiting import until

LOGISTIC, FOREST = "AAPL/range/logistic", "AAPL/range/random-forest"
SOON = 20.0
Work = Callable[[Report], None]


def at_once(report: Report) -> None:
    report("training", 0.5)


class Runner:
    """Trains nothing: `work[lineage]` is what happens meanwhile. `steps` tells what was done for which session.

    What `recording` answers is raised before the end of a session is recorded, what `recorded` answers thereafter.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.steps: list[tuple[str, str]] = []
        self._sent: dict[str, pb.RecordTrainingRequest] = {}
        self.work_of: dict[str, Work] = {}
        self.gathered: Callable[[], None] = lambda: None
        self.recording: Callable[[], RatchetError | None] = lambda: None
        self.recorded: Callable[[], RatchetError | None] = lambda: None

    def read_inputs(self, training: pb.Training) -> pb.Training:
        self.gathered()
        self.steps.append(("gather", training.session_id))
        return training

    def train(self, job: pb.Training, report: Report) -> str:
        self.steps.append(("work", job.session_id))
        self.work_of.get(job.lineage, at_once)(report)
        return "outcome"

    def record(self, training: pb.Training, job: pb.Training, outcome: str) -> pb.Training:
        self.steps.append(("record", training.session_id))
        if refusal := self.recording():
            raise refusal
        champion, best = pb.GetChampionResponse(), pb.GetSymbolBestResponse()
        with suppress(NotFound):
            best = self._client.get_symbol_best("AAPL", "range")
            champion = self._client.get_champion(training.lineage)
        fit_end = 100 * (1 + champion.versions)
        request = pb.RecordTrainingRequest(
            request_id=f"record/{training.session_id}",
            session_id=training.session_id,
            record=record(fit_end, parent=champion.model.name),
            expected_champion=champion.model.name,
            expected_symbol_best=best.model.name,
            last_labelled_bar=stamp(fit_end + 100),
        )
        if champion.model.name:
            request.comparisons.add(champion=champion.model.name, packed=evidence(fit_end + 1, fit_end + 100, 0.0))
        if best.model.name not in ("", champion.model.name):
            for contender in dict.fromkeys(("", champion.model.name)):
                packed = evidence(fit_end + 1, fit_end + 100, 0.0)
                request.symbol_comparisons.add(champion=best.model.name, contender=contender, packed=packed)
        recorded = self._client.record_training(self._first(request)).training
        if failure := self.recorded():
            raise failure
        return recorded

    def _first(self, request: pb.RecordTrainingRequest) -> pb.RecordTrainingRequest:
        """A session that is recorded again sends what it sent before."""
        return self._sent.setdefault(request.session_id, request)


@pytest.fixture
def asked(client: Client) -> Callable[[str], pb.Training]:
    """Requests a training in the log; nobody runs it yet."""
    client.register_dataset(dataset("AAPL", "d1", 1000))
    return lambda lineage: client.request_training(pb.RequestTrainingRequest(lineage=lineage, dataset_digest="d1"))


@pytest.fixture
def runner(client: Client) -> Runner:
    return Runner(client)


@pytest.fixture
def sessions(client: Client, runner: Runner) -> Iterator[SessionScheduler]:
    made = SessionScheduler(client, runner, at_once=2)
    yield made
    made.close()


def watched(sessions: SessionScheduler, session_id: str) -> list[Progress]:
    end = time.monotonic() + SOON
    seen = list(sessions.watch(session_id, lambda: time.monotonic() < end))
    assert seen[-1].ended is not None, seen
    return seen


def ended(sessions: SessionScheduler, training: pb.Training) -> pb.Training:
    found = watched(sessions, training.session_id)[-1].ended
    assert found is not None
    return found


def ends(client: Client, session_id: str) -> list[str]:
    topics = [event.topic.rpartition(".")[2] for event in client.read_log(stream=f"session/{session_id}")]
    return topics[1:]


def test_a_session_ends_with_its_model_and_those_who_watch_see_it(
    sessions: SessionScheduler, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    training = asked(LOGISTIC)
    sessions.start(training)
    seen = watched(sessions, training.session_id)
    assert [each.fraction for each in seen] == sorted(each.fraction for each in seen)
    end = seen[-1].ended
    assert end is not None
    assert (end.state, end.model) == (pb.TRAINING_STATE_COMPLETED, f"{LOGISTIC}/v1")
    assert watched(sessions, training.session_id) == [Progress("ended", 1.0, ended=end)]
    assert ends(client, training.session_id) == ["TrainingCompleted"]
    with pytest.raises(NotFound, match="no training session unheard"):
        watched(sessions, "unheard")


def test_a_lineage_takes_one_at_a_time_in_order_while_others_run(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    go = threading.Event()
    runner.work_of[LOGISTIC] = lambda report: go.wait(SOON) and None
    first, second, other = asked(LOGISTIC), asked(LOGISTIC), asked(FOREST)
    for training in (first, second, first, other):
        sessions.start(training)
    assert ended(sessions, other).state == pb.TRAINING_STATE_COMPLETED
    assert second.session_id not in [session_id for _, session_id in runner.steps]
    go.set()
    assert ended(sessions, second).model == f"{LOGISTIC}/v2"
    own = [step for step in runner.steps if step[1] != other.session_id]
    assert own == [(step, each.session_id) for each in (first, second) for step in ("gather", "work", "record")]


def test_a_trainer_that_stopped_takes_its_open_sessions_up_again(
    client: Client, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    def closing(report: Report) -> None:
        before.close()
        report("training", 0.9)

    before = SessionScheduler(client, runner, at_once=1)
    runner.work_of[LOGISTIC] = closing
    first, second = asked(LOGISTIC), asked(LOGISTIC)
    before.start(first)
    before.start(second)
    with pytest.raises(Unreachable, match=f"session {first.session_id} is run again when it is back"):
        watched(before, first.session_id)
    assert [ends(client, each.session_id) for each in (first, second)] == [[], []]

    runner.work_of.clear()
    after = SessionScheduler(client, runner, at_once=1)
    after.resume()
    assert [ended(after, each).model for each in (first, second)] == [f"{LOGISTIC}/v1", f"{LOGISTIC}/v2"]
    assert [ends(client, each.session_id) for each in (first, second)] == [["TrainingCompleted"]] * 2
    after.close()


def test_what_a_trainer_loses_when_it_stops_has_not_failed(
    sessions: SessionScheduler,
    runner: Runner,
    client: Client,
    asked: Callable[[str], pb.Training],
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = threading.Event()

    def closing(report: Report) -> None:
        sessions.close()
        over.set()
        raise WorkerLost("the trainer stops")

    runner.work_of[LOGISTIC] = closing
    training = asked(LOGISTIC)
    sessions.start(training)
    assert over.wait(SOON)
    sessions._threads.shutdown(wait=True)
    assert ends(client, training.session_id) == []
    assert "failed" not in caplog.text


def test_what_keeps_a_session_from_a_model_is_recorded_and_the_next_one_runs(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    def refuse(report: Report) -> None:
        raise DataRefused("FB: 196 usable bars, 600 needed to train")

    runner.work_of |= {LOGISTIC: refuse, FOREST: lambda report: print(1 // 0)}
    refused, broken = asked(LOGISTIC), asked(FOREST)
    sessions.start(refused)
    sessions.start(broken)
    end = ended(sessions, refused)
    assert (end.state, end.reason) == (pb.TRAINING_STATE_FAILED, "DATA_REFUSED")
    assert end.message == "FB: 196 usable bars, 600 needed to train"
    end = ended(sessions, broken)
    assert (end.state, end.reason) == (pb.TRAINING_STATE_FAILED, "INTERNAL")
    assert "division" not in end.message
    runner.work_of.clear()
    following = asked(LOGISTIC)
    sessions.start(following)
    assert ended(sessions, following).model == f"{LOGISTIC}/v1"


def cancelled(client: Client, training: pb.Training) -> pb.Training:
    return client.record_cancellation(pb.CancelTrainingRequest(session_id=training.session_id, reason="not needed"))


def test_a_session_that_is_cancelled_while_it_waits_never_begins(
    sessions: SessionScheduler, runner: Runner, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    go = threading.Event()
    runner.work_of[LOGISTIC] = lambda report: go.wait(SOON) and None
    first, told, untold, last = (asked(LOGISTIC) for _ in range(4))
    for training in (first, told, untold, last):
        sessions.start(training)
    sessions.mark_ended(cancelled(client, told))
    cancelled(client, untold)  # in the registry alone
    assert ended(sessions, told).state == pb.TRAINING_STATE_CANCELLED
    go.set()
    assert ended(sessions, untold).state == pb.TRAINING_STATE_CANCELLED
    assert ended(sessions, last).model == f"{LOGISTIC}/v2"
    assert {session_id for _, session_id in runner.steps} == {first.session_id, last.session_id}


def test_cancelling_a_session_stops_its_work_and_records_nothing_of_it(
    sessions: SessionScheduler, runner: Runner, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    def endless(report: Report) -> None:
        while True:
            report("training", 0.5)
            time.sleep(0.01)

    runner.work_of[LOGISTIC] = endless
    training, following = asked(LOGISTIC), asked(LOGISTIC)
    sessions.start(training)
    sessions.start(following)
    assert until(lambda: ("work", training.session_id) in runner.steps)
    runner.work_of.clear()
    sessions.mark_ended(cancelled(client, training))
    assert ended(sessions, following).model == f"{LOGISTIC}/v1"
    assert ended(sessions, training).state == pb.TRAINING_STATE_CANCELLED
    assert ("record", training.session_id) not in runner.steps
    assert ends(client, training.session_id) == ["TrainingCancelled"]


def test_a_service_that_is_away_is_waited_for(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    away = iter([Unreachable("knowledge does not answer"), Unreachable("knowledge does not answer")])

    def gathered() -> None:
        for error in away:
            raise error

    runner.gathered = gathered
    training = asked(LOGISTIC)
    sessions.start(training)
    seen = watched(sessions, training.session_id)
    assert "waiting: knowledge does not answer" in {each.text for each in seen}
    assert (seen[-1].ended or training).state == pb.TRAINING_STATE_COMPLETED


@pytest.mark.parametrize(
    "error", [Unreachable("no answer"), DeadlinePassed("too late"), Busy("full"), LogFull("no room")]
)
def test_what_was_learned_waits_for_a_log_that_takes_it_and_is_recorded_once(
    sessions: SessionScheduler, runner: Runner, client: Client, asked: Callable[[str], pb.Training], error: RatchetError
) -> None:
    """Whether it was not taken, or was taken and the answer lost."""
    refused, unheard = iter([error]), iter([error])
    runner.recording = lambda: next(refused, None)
    runner.recorded = lambda: next(unheard, None)
    training = asked(LOGISTIC)
    sessions.start(training)
    seen = watched(sessions, training.session_id)
    assert f"waiting: {error.message}" in {each.text for each in seen}
    assert (seen[-1].ended or training).state == pb.TRAINING_STATE_COMPLETED
    assert [step for step, _ in runner.steps] == ["gather", "work", *["record"] * 3]
    assert ends(client, training.session_id) == ["TrainingCompleted"]


@pytest.mark.parametrize("error", [LimitReached("the store is full"), NotAllowed("wrong credentials")])
def test_an_answer_that_refuses_is_no_silence_and_fails_the_session(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training], error: RatchetError
) -> None:
    runner.recording = lambda: error
    training = asked(LOGISTIC)
    sessions.start(training)
    end = ended(sessions, training)
    assert (end.state, end.reason, end.message) == (pb.TRAINING_STATE_FAILED, error.reason, error.message)


class Pauses(threading.Event):
    """Of a trainer that does not stop: how long it would have waited each time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return False


def test_who_is_away_for_long_is_asked_less_and_less_often(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    away, pauses = iter([Unreachable("knowledge does not answer")] * 8), Pauses()

    def gathered() -> None:
        for error in away:
            raise error

    monkeypatch.setattr(sessions, "_closing", pauses)
    runner.gathered = gathered
    training = asked(LOGISTIC)
    sessions.start(training)
    assert ended(sessions, training).state == pb.TRAINING_STATE_COMPLETED
    assert pauses.seconds == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_why_a_session_failed_is_recorded_however_long_it_is(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    def refuse(report: Report) -> None:
        raise DataRefused("no" * 10_000)

    runner.work_of[LOGISTIC] = refuse
    training = asked(LOGISTIC)
    sessions.start(training)
    end = ended(sessions, training)
    assert (end.state, end.reason) == (pb.TRAINING_STATE_FAILED, "DATA_REFUSED")
    assert end.message == ("no" * 10_000)[:LONGEST_TEXT]


def test_a_session_that_was_cancelled_elsewhere_before_it_failed_stays_cancelled(
    sessions: SessionScheduler, runner: Runner, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    def refuse(report: Report) -> None:
        cancelled(client, training)
        raise DataRefused("no")

    runner.work_of[LOGISTIC] = refuse
    training = asked(LOGISTIC)
    sessions.start(training)
    assert ended(sessions, training).state == pb.TRAINING_STATE_CANCELLED


def test_of_sessions_that_ended_the_last_ones_are_remembered(
    sessions: SessionScheduler, asked: Callable[[str], pb.Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.trainer.sessions.scheduler.MAX_TRACKED_SESSIONS", 1)
    for _ in range(4):
        training = asked(LOGISTIC)
        sessions.start(training)
        assert ended(sessions, training).state == pb.TRAINING_STATE_COMPLETED
    assert len(sessions._sessions) == 2


def test_a_session_whose_request_nobody_was_told_of_is_found_when_it_is_looked_for(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    training = asked(LOGISTIC)
    sessions.resume_in_background()
    assert until(lambda: ("record", training.session_id) in runner.steps)


def test_those_who_watch_a_session_that_has_not_begun_are_told_that_the_registry_is_away(
    registry_address: str, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    class Away(Client):
        away = True

        def list_trainings(self, **asked: Any) -> Iterator[pb.Training]:
            if self.away:
                raise Unreachable("the registry does not answer")
            return super().list_trainings(**asked)

    lost = Away(registry=registry_address)
    sessions = SessionScheduler(lost, Runner(client), at_once=1)
    training, said = asked(LOGISTIC), [""]
    end = time.monotonic() + SOON
    try:
        sessions.start(training)
        for progress in sessions.watch(training.session_id, lambda: time.monotonic() < end):
            said.append(progress.text)
            lost.away = "waiting: the registry does not answer" not in said
        assert progress.ended is not None, said
    finally:
        sessions.close()
        lost.close()


def test_a_session_that_waits_for_a_service_can_be_cancelled(
    sessions: SessionScheduler, runner: Runner, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    def gathered() -> None:
        raise Unreachable("knowledge does not answer")

    runner.gathered = gathered
    training, following = asked(LOGISTIC), asked(LOGISTIC)
    sessions.start(training)
    sessions.start(following)
    assert until(lambda: sessions._sessions[training.session_id].progress.text != "")
    runner.gathered = lambda: None
    sessions.mark_ended(cancelled(client, training))
    assert ended(sessions, following).model == f"{LOGISTIC}/v1"
    assert ("work", training.session_id) not in runner.steps


class Stuck(Client):
    """The registry answers every failure with a defect of its own."""

    def fail_training(self, request: pb.FailTrainingRequest) -> pb.Training:
        raise Internal("the registry failed, error 1")


def test_an_end_that_can_not_be_recorded_holds_up_nobody(
    registry_address: str, client: Client, asked: Callable[[str], pb.Training]
) -> None:
    runner = Runner(client)
    stuck = Stuck(registry=registry_address, actor="trainer")
    sessions = SessionScheduler(stuck, runner, at_once=1)
    go = threading.Event()

    def refuse(report: Report) -> None:
        go.wait(SOON)
        raise DataRefused("no")

    runner.work_of[LOGISTIC] = refuse
    lost, following = asked(LOGISTIC), asked(LOGISTIC)
    sessions.start(lost)
    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watched, sessions, lost.session_id)
        assert until(lambda: ("work", lost.session_id) in runner.steps)
        time.sleep(0.1)
        go.set()
        with pytest.raises(Internal, match="error 1"):
            watching.result(SOON)
    runner.work_of.clear()
    sessions.start(following)
    assert ended(sessions, following).model == f"{LOGISTIC}/v1"
    assert ended(sessions, lost).model == f"{LOGISTIC}/v2"
    sessions.close()
    stuck.close()


def test_after_closing_nothing_is_begun(
    sessions: SessionScheduler, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    training = asked(LOGISTIC)
    sessions.close()
    sessions.start(training)
    sessions.resume()
    with pytest.raises(Unreachable, match="ratchet trainings watch"):
        watched(sessions, training.session_id)
    assert runner.steps == []


def test_closing_ends_the_wait_for_the_registry_at_the_start() -> None:
    client = Client(registry="127.0.0.1:1", timeout=1.0)
    sessions = SessionScheduler(client, Runner(client), at_once=1)
    with ThreadPoolExecutor(1) as pool:
        resuming = pool.submit(sessions.resume)
        time.sleep(0.3)
        sessions.close()
        client.close()
        assert resuming.result(SOON) is None


def test_the_session_that_was_requested_first_runs_first_whoever_is_started_first(
    client: Client, runner: Runner, asked: Callable[[str], pb.Training]
) -> None:
    sessions = SessionScheduler(client, runner, at_once=2)
    older, newer = asked(LOGISTIC), asked(LOGISTIC)
    sessions.start(newer)
    assert ended(sessions, newer).model == f"{LOGISTIC}/v2"
    assert ended(sessions, older).model == f"{LOGISTIC}/v1"
    sessions.close()
