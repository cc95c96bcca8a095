"""The client against real servers: retries, deadlines, pages, streams, uploads, addresses."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ratchet
from ratchet import Client, errors
from ratchet.cli.health import is_serving
from ratchet.client.endpoints import Endpoints
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.local import ports
from services.platform.interceptors import Caller

Serve = Callable[..., str]
Serving = tuple[Callable[[Any, Any], None], Any, str]


class Registry(registry_pb2_grpc.RegistryServiceServicer):
    """Remembers what it was asked; unavailable for the first `outages` calls; answers after `delay` seconds."""

    def __init__(self, outages: int = 0, delay: float = 0.0, models: int = 0) -> None:
        self.outages, self.delay, self.models = outages, delay, models
        self.requests: list[Any] = []
        self.actors: list[str] = []

    def _seen(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.actors.append(Caller.of(context).actor)
        time.sleep(self.delay)
        if len(self.requests) <= self.outages:
            raise errors.Unreachable("the disk is away for a moment")

    def GetModel(self, request: registry_pb2.GetModelRequest, context: Any) -> registry_pb2.GetModelResponse:
        self._seen(request, context)
        return registry_pb2.GetModelResponse(model=registry_pb2.Model(name=request.model))

    def PromoteModel(
        self, request: registry_pb2.PromoteModelRequest, context: Any
    ) -> registry_pb2.PromoteModelResponse:
        self._seen(request, context)
        return registry_pb2.PromoteModelResponse()

    def ListModels(self, request: registry_pb2.ListModelsRequest, context: Any) -> registry_pb2.ListModelsResponse:
        self._seen(request, context)
        start = int(request.page_token or 0)
        stop = min(start + 3, self.models)
        return registry_pb2.ListModelsResponse(
            models=[registry_pb2.Model(version=number + 1) for number in range(start, stop)],
            next_page_token=str(stop) if stop < self.models else "",
        )

    def GetLineage(self, request: registry_pb2.GetLineageRequest, context: Any) -> registry_pb2.GetLineageResponse:
        self._seen(request, context)
        return registry_pb2.GetLineageResponse()

    def serving(self) -> Serving:
        add = registry_pb2_grpc.add_RegistryServiceServicer_to_server
        return add, self, "ratchet.registry.v1.RegistryService"


class Log(eventlog_pb2_grpc.EventLogServiceServicer):
    """Positions 1 to 9 in batches of three.

    Every stream breaks off after `breaks_after` batches, if that is set; more than `subscriptions` are refused.
    """

    def __init__(self, breaks_after: int = 0, subscriptions: int = 4) -> None:
        self.breaks_after, self.subscriptions = breaks_after, subscriptions
        self.subscribed_after: list[int] = []

    def _batches(self, after: int) -> Iterator[list[eventlog_pb2.StoredEvent]]:
        positions = list(range(after + 1, 10))
        for sent, start in enumerate(range(0, len(positions), 3)):
            if self.breaks_after and sent == self.breaks_after:
                raise errors.Unreachable("restarting")
            yield [eventlog_pb2.StoredEvent(position=position) for position in positions[start : start + 3]]

    def Read(self, request: eventlog_pb2.ReadRequest, context: Any) -> Iterator[eventlog_pb2.ReadResponse]:
        for events in self._batches(max(request.start - 1, 0)):
            yield eventlog_pb2.ReadResponse(events=events)

    def Subscribe(
        self, request: eventlog_pb2.SubscribeRequest, context: Any
    ) -> Iterator[eventlog_pb2.SubscribeResponse]:
        self.subscribed_after.append(request.after)
        if len(self.subscribed_after) > self.subscriptions:
            raise errors.NotAllowed("enough")
        for events in self._batches(request.after):
            yield eventlog_pb2.SubscribeResponse(events=events, position=events[-1].position)

    def serving(self) -> Serving:
        add = eventlog_pb2_grpc.add_EventLogServiceServicer_to_server
        return add, self, "ratchet.eventlog.v1.EventLogService"


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Keeps the messages of each import; loses the first import half-way."""

    def __init__(self) -> None:
        self.imports: list[list[trainer_pb2.ImportBarsRequest]] = []

    def ImportBars(self, request_iterator: Any, context: Any) -> trainer_pb2.ImportBarsResponse:
        if not self.imports:
            self.imports.append([next(request_iterator)])
            raise errors.Unreachable("the store is away for a moment")
        self.imports.append(list(request_iterator))
        return trainer_pb2.ImportBarsResponse(usable_bars=7)

    def WatchTraining(
        self, request: trainer_pb2.WatchTrainingRequest, context: Any
    ) -> Iterator[trainer_pb2.WatchTrainingResponse]:
        for phase in ("waiting", "scratch"):
            yield trainer_pb2.WatchTrainingResponse(session_id=request.session_id, phase=phase)
        yield trainer_pb2.WatchTrainingResponse(ended=registry_pb2.Training(session_id=request.session_id))

    def serving(self) -> Serving:
        add = trainer_pb2_grpc.add_TrainerServiceServicer_to_server
        return add, self, "ratchet.trainer.v1.TrainerService"


def test_the_public_names_are_these() -> None:
    assert set(ratchet.__all__) == {"Client", "errors", "__version__"}
    assert all(getattr(ratchet, name) is not None for name in ratchet.__all__)
    assert ratchet.__version__.count(".") == 2
    with pytest.raises(AttributeError):
        _ = ratchet.nothing


def test_an_outage_is_waited_out(serve: Serve) -> None:
    registry = Registry(outages=3)
    with Client(registry=serve(registry.serving())) as client:
        assert client.get_model("a").name == "a"
    assert len(registry.requests) == 4


def test_retries_are_bounded(serve: Serve) -> None:
    registry = Registry(outages=99)
    with (
        Client(registry=serve(registry.serving())) as client,
        pytest.raises(errors.Unreachable, match="the disk is away"),
    ):
        client.get_model("a")
    assert len(registry.requests) == 4


def test_a_repeated_write_carries_the_same_request_id(serve: Serve) -> None:
    registry = Registry(outages=2)
    with Client(registry=serve(registry.serving())) as client:
        client.promote_model("a", "why", "b")
        client.promote_model("a", "why", "b")
        client.promote_model("a", "why", "b", request_id="mine")
    ids = [request.request_id for request in registry.requests]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert all(ids)
    assert ids[4] == "mine"


def test_a_server_that_starts_later_is_found(serve: Serve) -> None:
    free, *_ = ports.choose(0)
    with Client(registry=f"127.0.0.1:{free}", timeout=20) as client:
        late = threading.Timer(0.3, lambda: serve(Registry().serving(), port=free))
        late.start()
        try:
            assert client.get_model("a").name == "a"
        finally:
            late.join()


def test_nobody_at_an_address_is_unreachable_and_says_what_to_start() -> None:
    with (
        Client(registry="127.0.0.1:1", timeout=5) as client,
        pytest.raises(errors.Unreachable, match=r"the registry at 127\.0\.0\.1:1 does not answer; .*ratchet up"),
    ):
        client.get_model("a")


def test_a_web_proxy_in_the_environment_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    address = serve(Registry().serving())
    assert is_serving(address, timeout=5.0)
    with Client(registry=address, timeout=5.0) as client:
        assert client.get_model("a").name == "a"


def test_a_slow_answer_meets_the_deadline_and_is_not_repeated(serve: Serve) -> None:
    registry = Registry(delay=1.0)
    with Client(registry=serve(registry.serving()), timeout=0.2) as client, pytest.raises(errors.DeadlinePassed):
        client.get_model("a")
    assert len(registry.requests) == 1


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9, 10])
def test_lists_go_over_all_pages(serve: Serve, count: int) -> None:
    with Client(registry=serve(Registry(models=count).serving())) as client:
        assert [model.version for model in client.list_models()] == list(range(1, count + 1))


def test_the_second_page_is_asked_for_when_it_is_needed(serve: Serve) -> None:
    registry = Registry(models=9)
    with Client(registry=serve(registry.serving())) as client:
        found = client.list_models()
        assert next(found).version == 1
    assert len(registry.requests) == 1


def test_the_caller_is_named(serve: Serve) -> None:
    registry = Registry()
    address = serve(registry.serving())
    for actor in ("ann@desk", "Zoë", ""):
        with Client(registry=address, actor=actor) as client:
            client.get_model("a")
    assert registry.actors[:2] == ["ann@desk", "Zo?"]
    assert "@" in registry.actors[2]


def test_a_client_can_act_for_somebody_else_on_the_same_channel(serve: Serve) -> None:
    registry = Registry()
    with Client(registry=serve(registry.serving()), actor="trainer") as client:
        other = client.acting_as("ann@desk")
        other.get_model("a")
        client.get_model("a")
        assert other.registry.lazy_channel.channel is client.registry.lazy_channel.channel
    assert registry.actors == ["ann@desk", "trainer"]


def test_both_directions_of_lineage_are_asked_for_by_name(serve: Serve) -> None:
    registry = Registry()
    with Client(registry=serve(registry.serving())) as client:
        client.get_lineage("a")
        client.get_lineage("a", descendants=True, depth=2)
    assert [request.direction for request in registry.requests] == [
        registry_pb2.LINEAGE_DIRECTION_ANCESTORS,
        registry_pb2.LINEAGE_DIRECTION_DESCENDANTS,
    ]
    assert registry.requests[1].depth == 2


def test_a_read_unrolls_the_batches(serve: Serve) -> None:
    with Client(registry=serve(Log().serving())) as client:
        assert [event.position for event in client.read_log(2)] == list(range(2, 10))


def test_a_read_that_breaks_in_the_middle_says_so(serve: Serve) -> None:
    with Client(registry=serve(Log(breaks_after=1).serving())) as client:
        events = client.read_log()
        assert [next(events).position for _ in range(3)] == [1, 2, 3]
        with pytest.raises(errors.Unreachable):
            next(events)


def test_a_follower_goes_on_where_the_stream_broke(serve: Serve) -> None:
    log = Log(breaks_after=1, subscriptions=3)
    with Client(registry=serve(log.serving())) as client:
        events = client.follow_log()
        assert [next(events).position for _ in range(9)] == list(range(1, 10))
        with pytest.raises(errors.NotAllowed):
            next(events)
    assert log.subscribed_after == [0, 3, 6, 9]


def test_a_follower_does_not_take_the_end_of_a_server_for_the_end_of_the_log(serve: Serve) -> None:
    log = Log(subscriptions=1)
    with Client(registry=serve(log.serving())) as client:
        events = client.follow_log(after=8)
        assert next(events).position == 9
        with pytest.raises(errors.NotAllowed):
            next(events)
    assert log.subscribed_after == [8, 9]


def test_a_file_is_sent_in_pieces_and_anew_after_an_outage(serve: Serve, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    file = tmp_path / "AAPL.csv"
    file.write_bytes(content)
    trainer = Trainer()
    with Client(trainer=serve(trainer.serving())) as client:
        sent = client.import_bars(file, "AAPL", replace=True, timezone="Asia/Tokyo", market_timezone="Asia/Seoul")
        assert sent.usable_bars == 7
    lost, (first, *pieces) = trainer.imports
    assert lost[0].header == first.header
    assert (first.header.series, first.header.file_name, first.header.replace) == ("AAPL", "AAPL.csv", True)
    assert (first.header.timezone, first.header.market_timezone) == ("Asia/Tokyo", "Asia/Seoul")
    assert b"".join(piece.content for piece in pieces) == content
    assert max(len(piece.content) for piece in pieces) == 1024 * 1024


def test_a_file_that_is_not_there_is_refused_before_any_call(tmp_path: Path) -> None:
    with Client() as client, pytest.raises(errors.InvalidInput, match=r"gone\.csv is not a file"):
        client.import_bars(tmp_path / "gone.csv", "AAPL")


def test_watching_ends_with_the_session(serve: Serve) -> None:
    with Client(trainer=serve(Trainer().serving())) as client:
        steps = list(client.watch_training("s1"))
    assert [step.phase for step in steps] == ["waiting", "scratch", ""]
    assert steps[-1].ended.session_id == "s1"


class RestartedTrainer(Trainer):
    """Breaks off after the first step, and stays away for as many calls as `outages`."""

    def __init__(self, outages: int) -> None:
        super().__init__()
        self.outages, self.calls = outages, 0

    def WatchTraining(
        self, request: trainer_pb2.WatchTrainingRequest, context: Any
    ) -> Iterator[trainer_pb2.WatchTrainingResponse]:
        self.calls += 1
        if self.calls == 1:
            yield trainer_pb2.WatchTrainingResponse(session_id=request.session_id, phase="waiting")
        if self.calls <= self.outages:
            raise errors.Unreachable("restarting")
        yield from super().WatchTraining(request, context)


def test_watching_outlasts_the_restart_of_the_trainer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratchet.client.transport.RESTART", (0.01, 0.01))
    with Client(trainer=serve(RestartedTrainer(outages=5).serving())) as client:
        assert [step.phase for step in client.watch_training("s1")] == ["waiting", "waiting", "scratch", ""]
    with Client(trainer=serve(RestartedTrainer(outages=9).serving())) as client, pytest.raises(errors.Unreachable):
        list(client.watch_training("s1"))


def test_a_home_folder_gives_the_addresses_and_the_environment_overrides(tmp_path: Path) -> None:
    Endpoints("a:1", "b:2", "c:3").write(tmp_path)
    assert Client.from_home(tmp_path, environ={}).endpoints == Endpoints("a:1", "b:2", "c:3")
    overridden = Client.from_home(tmp_path, environ={"RATCHET_KNOWLEDGE": "k:9", "RATCHET_TRAINER": ""})
    assert overridden.endpoints == Endpoints("a:1", "k:9", "c:3")


@pytest.mark.parametrize("written", [None, "", "[]", "{}", json.dumps({"registry": "a:1"})])
def test_a_home_without_addresses_is_not_found(tmp_path: Path, written: str | None) -> None:
    if written is not None:
        (tmp_path / "endpoints.json").write_text(written)
    with pytest.raises(errors.NotFound):
        Client.from_home(tmp_path)
