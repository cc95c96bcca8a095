"""Nobody can take a server from the others: what is asked of it has bounds, and who says nothing holds nothing."""

from __future__ import annotations

import dataclasses
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ratchet.client import Client, channel
from ratchet.client.error_mapping import from_rpc
from ratchet.errors import Busy, Cancelled, InvalidInput, LimitReached
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import facts_pb2, model_pb2
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.platform.limits import PREFIX, SLOW_METHODS, WATCH_METHODS, Limits
from services.platform.server import Server
from services.registry.eventlog import Log, open_log
from services.registry.eventlog.service import NAME, EventLogService
from tests.support.every_method import METHODS

TABLE = Path(__file__).parents[3] / "docs" / "limits.md"
PATIENCE = 60.0


class Uploads(trainer_pb2_grpc.TrainerServiceServicer):
    """Counts the bytes of an upload; starts a training that goes on as long as somebody waits for it."""

    def __init__(self) -> None:
        self.begun, self.given_up = threading.Semaphore(0), threading.Event()

    def ImportBars(
        self, request_iterator: Iterator[trainer_pb2.ImportBarsRequest], context: grpc.ServicerContext
    ) -> trainer_pb2.ImportBarsResponse:
        self.begun.release()
        return trainer_pb2.ImportBarsResponse(usable_bars=sum(len(piece.content) for piece in request_iterator))

    def StartTraining(
        self, request: trainer_pb2.StartTrainingRequest, context: grpc.ServicerContext
    ) -> trainer_pb2.StartTrainingResponse:
        while context.is_active():
            time.sleep(0.01)
        self.given_up.set()
        return trainer_pb2.StartTrainingResponse()


class Serving:
    """A log and uploads, served with these limits."""

    def __init__(self, log: Log, limits: Limits) -> None:
        self.log, self.uploads = log, Uploads()
        self.server = Server("127.0.0.1", 0, limits=limits)
        self.server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, EventLogService(log), NAME)
        self.server.add(
            trainer_pb2_grpc.add_TrainerServiceServicer_to_server, self.uploads, "ratchet.trainer.v1.TrainerService"
        )
        self.server.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.stub = eventlog_pb2_grpc.EventLogServiceStub(self.channel)
        self.trainer = trainer_pb2_grpc.TrainerServiceStub(self.channel)

    def require_answers(self) -> None:
        """An ordinary call is answered."""
        self.stub.GetHead(eventlog_pb2.GetHeadRequest(), timeout=PATIENCE)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE)

    def close(self) -> None:
        self.channel.close()
        self.server.stop(0.0)


Serve = Callable[..., Serving]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:
        log = open_log(f"sqlite://{tmp_path / 'log.sqlite'}", (), lambda: datetime.now(UTC))
        stack.callback(log.close)

        def served(**limits: int) -> Serving:
            serving = Serving(log, Limits(**limits))
            stack.callback(serving.close)
            return serving

        yield served


@contextmanager
def refused(kind: type[Exception], words: str) -> Iterator[None]:
    """The call in the block ends with this error."""
    with pytest.raises(grpc.RpcError) as raised:
        yield
    error = from_rpc(raised.value, "the server")
    assert type(error) is kind
    assert re.search(words, str(error)), error


def eventually(attempt: Callable[[], object]) -> None:
    """`attempt` ends without a refusal, sooner or later."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            attempt()
        except grpc.RpcError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def trickle(ended: threading.Event, pause: float = 0.05) -> Iterator[trainer_pb2.ImportBarsRequest]:
    """A byte, again and again."""
    for _ in range(10_000):
        yield trainer_pb2.ImportBarsRequest(content=b"1")
        if ended.wait(pause):
            return


def test_a_limit_is_set_by_its_variable_and_has_a_default() -> None:
    assert Limits.load({}) == Limits()
    assert Limits.load({"RATCHET_LIMIT_WATCH_STREAMS": "3", "PATH": "/bin"}) == Limits(watch_streams=3)


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1.5", " 7", "²", "9" * 10])
def test_a_value_that_is_no_limit_is_refused_at_start(value: str) -> None:
    with pytest.raises(InvalidInput, match=r"RATCHET_LIMIT_CALL_SECONDS is .*, not a whole number from 1") as raised:
        Limits.load({"RATCHET_LIMIT_CALL_SECONDS": value})
    assert repr(value) in str(raised.value)


def test_a_variable_that_is_no_limit_is_refused_at_start() -> None:
    with pytest.raises(InvalidInput, match=r"RATCHET_LIMIT_CALL_SECOND is not a limit; choose among .*CALL_SECONDS"):
        Limits.load({"RATCHET_LIMIT_CALL_SECOND": "3"})


def test_the_documented_limits_are_those_of_the_code() -> None:
    documented = dict(re.findall(r"^\| `(RATCHET_LIMIT_[A-Z_]+)` \| ([0-9,]+) ", TABLE.read_text(), re.MULTILINE))
    limits = {f"{PREFIX}{name.upper()}": f"{value:,}" for name, value in dataclasses.asdict(Limits()).items()}
    assert documented == limits


@pytest.mark.parametrize(("places", "calls"), [("WATCH_STREAMS", WATCH_METHODS), ("SLOW_CALLS", SLOW_METHODS)])
def test_the_documented_calls_are_those_that_take_a_place(places: str, calls: frozenset[str]) -> None:
    [row] = re.findall(rf"^\| `RATCHET_LIMIT_{places}` \|[^|]+\|([^|]+)\|", TABLE.read_text(), re.MULTILINE)
    named = {
        "ServerReflectionInfo" if word == "reflection" else word for word in re.findall(r"[A-Z]\w+|reflection", row)
    }
    assert named == {name.rpartition("/")[2] for name in calls}


def test_every_stream_of_the_contract_has_its_places() -> None:
    methods = [(name, method.client_streaming or method.server_streaming) for name, method in METHODS.items()]
    assert {name for name, streams in methods if streams} <= WATCH_METHODS | SLOW_METHODS
    assert {name for name in WATCH_METHODS | SLOW_METHODS if name.startswith("/ratchet.")} <= {
        name for name, _ in methods
    }
    assert not WATCH_METHODS & SLOW_METHODS


def test_connections_that_say_nothing_or_half_a_preface_hold_nothing_and_are_closed(serve: Serve) -> None:
    serving = serve(stall_seconds=1)
    with ExitStack() as stack:
        silent = [stack.enter_context(serving.connect()) for _ in range(200)]
        for said, connection in zip((b"", b"PRI * HTTP/2", b"\x16\x03\x01\x02\x00") * 60, silent, strict=False):
            connection.sendall(said)
        serving.require_answers()
        for connection in silent:
            connection.settimeout(PATIENCE / 2)  # by itself gRPC hangs up after a minute
            while connection.recv(1024):
                pass


def test_a_connection_without_a_call_is_closed_and_opened_again_by_the_next(serve: Serve) -> None:
    serving, idle = serve(idle_seconds=1), threading.Event()
    serving.require_answers()
    serving.channel.subscribe(lambda state: idle.set() if state is grpc.ChannelConnectivity.IDLE else None)
    assert idle.wait(PATIENCE)
    serving.require_answers()


def test_connections_beyond_the_limit_are_closed_and_the_others_served(serve: Serve) -> None:
    serving = serve(connections=20)
    serving.require_answers()
    with ExitStack() as stack:
        more = [stack.enter_context(serving.connect()) for _ in range(40)]
        serving.require_answers()
        closed = 0
        for connection in more[::-1]:
            connection.settimeout(0.2)
            try:
                while connection.recv(1024):
                    pass
                closed += 1
            except TimeoutError:
                break
        assert closed >= 20


def test_watch_streams_beyond_the_limit_are_refused_and_calls_are_answered(serve: Serve) -> None:
    serving = serve(watch_streams=10, concurrent_calls=1000)
    serving.stub.Append(ranked(1))
    watching = [serving.stub.Subscribe(eventlog_pb2.SubscribeRequest()) for _ in range(300)]
    serving.require_answers()
    with refused(Busy, "10 watch streams are open.* RATCHET_LIMIT_WATCH_STREAMS"):
        next(serving.stub.Subscribe(eventlog_pb2.SubscribeRequest()))
    for stream in watching:
        stream.cancel()
    eventually(lambda: next(serving.stub.Subscribe(eventlog_pb2.SubscribeRequest())))


WATCHER = """
import sys
import grpc
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
stub = eventlog_pb2_grpc.EventLogServiceStub(grpc.insecure_channel(sys.argv[1]))
for answer in stub.Subscribe(eventlog_pb2.SubscribeRequest()):
    print(answer.position, flush=True)
"""


def test_a_watcher_that_vanished_without_a_word_loses_its_place(serve: Serve) -> None:
    serving = serve(watch_streams=1, stall_seconds=1)
    serving.stub.Append(ranked(1))
    command = [sys.executable, "-c", WATCHER, f"127.0.0.1:{serving.server.port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as watcher, ExitStack() as stack:
        stack.callback(watcher.kill)
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == b"1\n"
        with refused(Busy, "1 watch streams are open"):
            next(serving.stub.Subscribe(eventlog_pb2.SubscribeRequest()))
        watcher.send_signal(signal.SIGSTOP)
        eventually(lambda: next(serving.stub.Subscribe(eventlog_pb2.SubscribeRequest())))


def test_watching_the_health_of_a_server_takes_a_place_too(serve: Serve) -> None:
    serving = serve(watch_streams=2)
    stub = health_pb2_grpc.HealthStub(serving.channel)
    watching = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
    assert [next(stream).status for stream in watching] == [health_pb2.HealthCheckResponse.SERVING] * 2
    with refused(Busy, "2 watch streams are open"):
        next(stub.Watch(health_pb2.HealthCheckRequest()))
    assert stub.Check(health_pb2.HealthCheckRequest(service=NAME)).status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_that_asks_nothing_takes_a_place_and_loses_it(serve: Serve) -> None:
    serving, ended = serve(slow_calls=1, stall_seconds=1), threading.Event()
    stub = reflection_pb2_grpc.ServerReflectionStub(serving.channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")

    def asks_once() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield question
        ended.wait(PATIENCE)

    first = stub.ServerReflectionInfo(asks_once())
    assert NAME in {service.name for service in next(first).list_services_response.service}
    with refused(Busy, "1 calls that take long"):
        next(stub.ServerReflectionInfo(iter([question])))
    with refused(Cancelled, "cancelled"):
        next(first)
    eventually(lambda: next(stub.ServerReflectionInfo(iter([question]))))
    ended.set()


def test_uploads_that_trickle_take_the_slow_places_alone_and_end_with_the_limit(serve: Serve) -> None:
    serving, ended = serve(slow_calls=2, upload_seconds=1, concurrent_calls=1000), threading.Event()
    uploads = [serving.trainer.ImportBars.future(trickle(ended)) for _ in range(30)]
    serving.require_answers()
    errors = [from_rpc(upload.exception(PATIENCE), "the server") for upload in uploads]
    ended.set()
    late = [error for error in errors if "an upload may take 1 seconds" in error.message]
    assert [type(error) for error in late] == [LimitReached] * 2
    assert {type(error) for error in errors if error not in late} == {Busy}
    assert all("2 calls that take long are under way" in error.message for error in errors if error not in late)


def test_an_ordinary_call_finds_a_thread_when_every_place_is_taken(serve: Serve) -> None:
    serving, ended = serve(watch_streams=2, slow_calls=20), threading.Event()
    watching = [serving.stub.Subscribe(eventlog_pb2.SubscribeRequest()) for _ in range(2)]
    uploads = [serving.trainer.ImportBars.future(trickle(ended)) for _ in range(20)]
    assert all(serving.uploads.begun.acquire(timeout=PATIENCE) for _ in uploads)
    serving.require_answers()
    ended.set()
    for each in (*watching, *uploads):
        each.cancel()


def test_an_upload_that_falls_silent_is_cancelled(serve: Serve) -> None:
    serving, ended = serve(slow_calls=1, stall_seconds=1), threading.Event()
    with refused(Cancelled, "cancelled"):
        serving.trainer.ImportBars(trickle(ended, PATIENCE), timeout=2 * PATIENCE)
    ended.set()
    whole = [trainer_pb2.ImportBarsRequest(content=b"whole")]
    eventually(lambda: serving.trainer.ImportBars(iter(whole), timeout=PATIENCE))


def test_calls_that_never_send_their_request_lose_their_threads_and_are_no_defect_of_ours(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    serving, ended = serve(watch_streams=1, slow_calls=1, stall_seconds=1), threading.Event()

    def never() -> Iterator[bytes]:
        ended.wait(PATIENCE)
        yield b""

    for method in (f"/{NAME}/GetHead", "/grpc.health.v1.Health/Check"):
        call = serving.channel.stream_unary(method)
        waiting = [call.future(never()) for _ in range(20)]
        serving.require_answers()
        assert {each.exception(PATIENCE).code() for each in waiting} == {grpc.StatusCode.CANCELLED}
    ended.set()
    assert "failed, error" not in caplog.text


def test_a_reader_that_does_not_read_loses_its_place(serve: Serve) -> None:
    serving = serve(slow_calls=1, stall_seconds=1)
    for number in range(1, 9):
        serving.stub.Append(ranked(number, names=30_000))
    narrow = grpc.insecure_channel(f"127.0.0.1:{serving.server.port}", (("grpc.http2.bdp_probe", 0),))
    stuck = eventlog_pb2_grpc.EventLogServiceStub(narrow).Export(eventlog_pb2.ExportRequest())
    next(stuck)
    with refused(Busy, "1 calls that take long.* RATCHET_LIMIT_SLOW_CALLS"):
        next(serving.stub.Export(eventlog_pb2.ExportRequest()))
    serving.require_answers()
    eventually(lambda: list(serving.stub.Export(eventlog_pb2.ExportRequest())))
    with refused(Cancelled, "cancelled"):
        list(stuck)
    narrow.close()


def test_work_without_a_deadline_is_told_to_stop(serve: Serve) -> None:
    serving = serve(call_seconds=1)
    with refused(Cancelled, "cancelled"):
        serving.trainer.StartTraining(trainer_pb2.StartTrainingRequest())
    assert serving.uploads.given_up.wait(PATIENCE)


def test_calls_beyond_those_that_run_or_wait_are_refused(serve: Serve) -> None:
    serving, ended = serve(concurrent_calls=5), threading.Event()
    uploads = [serving.trainer.ImportBars.future(trickle(ended)) for _ in range(5)]
    assert all(serving.uploads.begun.acquire(timeout=PATIENCE) for _ in uploads)
    with refused(Busy, "as many calls under way as it takes"):
        serving.require_answers()
    ended.set()
    assert all(upload.result(PATIENCE).usable_bars for upload in uploads)
    eventually(serving.require_answers)


def test_large_messages_and_metadata_are_refused_with_the_limit(serve: Serve) -> None:
    serving = serve(message_bytes=10_000, metadata_bytes=2_000)
    with refused(LimitReached, r"larger than max \(\d+ vs\. 10000\)"):
        serving.stub.Append(ranked(1, names=1_000))
    with refused(LimitReached, "metadata size exceeds .*2000"):
        serving.stub.GetHead(eventlog_pb2.GetHeadRequest(), metadata=(("note", "n" * 3_000),))
    for number in range(1, 4):
        serving.stub.Append(ranked(number, names=300))
    with refused(LimitReached, r"larger than max \(\d+ vs\. 10000\)"):
        list(serving.stub.Read(eventlog_pb2.ReadRequest()))
    serving.require_answers()


def test_metadata_below_the_limit_are_taken_every_time(serve: Serve) -> None:
    """By itself gRPC refuses by lot what comes near its limit."""
    serving = serve(metadata_bytes=40_000)
    for _ in range(20):
        serving.stub.GetHead(eventlog_pb2.GetHeadRequest(), metadata=(("note", "n" * 39_000),))


def test_what_was_taken_can_be_read_however_large_it_is(serve: Serve) -> None:
    serving = serve(message_bytes=5_500_000)
    with Client(f"127.0.0.1:{serving.server.port}") as client:
        for version, names in enumerate((45_000, 250_000), start=1):
            client.append(ranked(version, names))
        sizes = [len(event.state) for event in client.read_log()]
    assert max(sizes) < 5_500_000 < sum(sizes), "each in a message of its own"


def test_who_was_silent_for_so_long_is_asked_and_has_as_long_to_answer() -> None:
    options = dict(Limits(stall_seconds=7).options())
    waits = ("grpc.keepalive_time_ms", "grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms")
    assert {options[wait] for wait in waits} == {7000}


def test_clients_ask_for_a_sign_of_life_no_more_often_than_servers_bear() -> None:
    """A server hangs up on those who ask more often."""
    borne = dict(Limits().options())["grpc.http2.min_ping_interval_without_data_ms"]
    assert dict(channel._OPTIONS)["grpc.keepalive_time_ms"] >= borne


def ranked(version: int, names: int = 1) -> eventlog_pb2.AppendRequest:
    """A ranking of so many features."""
    features = [model_pb2.RankedFeature(name=f"feature_{number}", rank=1) for number in range(names)]
    fact = facts_pb2.FeaturesRanked(lineage="AAPL/range/logistic", session_id=f"s{version}", features=features)
    event = eventlog_pb2.NewEvent(
        stream="features/AAPL/range/logistic",
        version=version,
        topic=facts_pb2.FeaturesRanked.DESCRIPTOR.full_name,
        payload=fact.SerializeToString(),
    )
    return eventlog_pb2.AppendRequest(request_id=f"r{version}", events=[event])
