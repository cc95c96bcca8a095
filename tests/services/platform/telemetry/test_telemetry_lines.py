"""A log line is one line, for people or for programs, and holds neither payloads nor secrets."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from ratchet.client.channel import open_channel
from ratchet.client.credentials import Credentials
from ratchet.client.transport import CORRELATION_KEY
from ratchet.errors import InvalidInput, NotFound, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc
from services.platform.server import Server
from services.platform.telemetry import call_log
from tests.support.observed_registry import Watched

EVIL = "me\n2026-01-01T00:00:00.000Z ERROR registry root: all is lost\x1b[31m\u2028"


@contextmanager
def written(chosen: str, level: int = logging.DEBUG) -> Iterator[io.StringIO]:
    """What `ratchet` loggers write meanwhile."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(call_log.formatter("registry", chosen))
    root = logging.getLogger("ratchet")
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield out
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def test_text_that_a_caller_chose_makes_no_line_of_its_own() -> None:
    with written("text") as out:
        logging.getLogger("ratchet.test").info("no model %s", EVIL, extra={"caller": EVIL})
        try:
            raise ValueError(EVIL)
        except ValueError:
            logging.getLogger("ratchet.test").exception("failed")
    first, second, *below = out.getvalue().splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO registry ratchet\.test: no model me\\n2026", first)
    assert r'caller="me\n2026' in first
    assert second.endswith("ERROR registry ratchet.test: failed")
    assert all(line.startswith("  | ") for line in below)
    assert r"ValueError: me" in "".join(below)
    assert "\x1b" not in out.getvalue()


def test_json_is_an_object_a_line_with_the_same_fields() -> None:
    with written("json") as out:
        logging.getLogger("ratchet.test").warning("no model %s", EVIL, extra={"caller": EVIL})
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("ratchet.test").exception("failed")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first.keys() == {"time", "level", "service", "logger", "event", "caller"}
    assert (first["level"], first["service"], first["caller"]) == ("warning", "registry", EVIL)
    assert first["event"] == f"no model {EVIL}"
    assert "ValueError: why" in second["exception"]


def test_a_call_that_failed_is_told_and_one_that_did_not_is_not(watched: Watched) -> None:
    with written("json", logging.INFO) as out:
        list(watched.client.list_models(lineage="AAPL/range/logistic"))
        with pytest.raises(NotFound):
            watched.client.promote_model("AAPL/range/logistic/v1", "", "my secret reason", request_id="r1")
        watched.server.stop(0)
    [told] = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told["event"] == "call"
    assert told["method"] == "RegistryService/PromoteModel"
    assert (told["code"], told["request_id"], told["caller"]) == ("NOT_FOUND", "r1", "tester")
    assert told["duration_ms"] > 0
    assert "my secret reason" not in out.getvalue()


def test_every_call_is_told_at_debug_and_no_token_ever(watched: Watched) -> None:
    with written("text") as out:
        with open_channel(f"127.0.0.1:{watched.server.port}", Credentials(token="ratchet_secret")) as channel:
            eventlog_pb2_grpc.EventLogServiceStub(channel).GetHead(eventlog_pb2.GetHeadRequest())
        watched.server.stop(0)
    assert "DEBUG registry ratchet.calls: call method=EventLogService/GetHead code=OK" in out.getvalue()
    assert "ratchet_secret" not in out.getvalue()


class Straining(trainer_pb2_grpc.TrainerServiceServicer):
    """Answers a start, and can't take an import."""

    def StartTraining(self, request: object, context: object) -> trainer_pb2.StartTrainingResponse:
        return trainer_pb2.StartTrainingResponse()

    def ImportBars(self, pieces: Iterator[object], context: object) -> trainer_pb2.ImportBarsResponse:
        next(pieces)
        raise Unreachable("the store does not answer")


def test_a_line_names_the_request_and_what_it_belongs_to_and_is_a_warning_where_a_service_is_strained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_log, "SLOW_SECONDS", 0.0)
    server = Server("127.0.0.1", 0)
    name = "ratchet.trainer.v1.TrainerService"
    server.add(trainer_pb2_grpc.add_TrainerServiceServicer_to_server, Straining(), name)
    server.start()
    upload = trainer_pb2.ImportBarsRequest(header=trainer_pb2.ImportBarsHeader(request_id="i" * 300))
    with written("json", logging.INFO) as out:
        with open_channel(f"127.0.0.1:{server.port}", Credentials()) as channel:
            stub = trainer_pb2_grpc.TrainerServiceStub(channel)
            stub.StartTraining(trainer_pb2.StartTrainingRequest(), metadata=((CORRELATION_KEY, "s1"),))
            with pytest.raises(grpc.RpcError):
                stub.ImportBars(iter([upload]))
        server.stop(0)
    slow, strained = (json.loads(line) for line in out.getvalue().splitlines())
    assert (slow["level"], slow["code"], slow["correlation_id"]) == ("info", "OK", "s1")
    assert (strained["level"], strained["code"]) == ("warning", "UNAVAILABLE")
    assert strained["request_id"] == "i" * 128


class Broken(eventlog_pb2_grpc.EventLogServiceServicer):
    def GetHead(self, request: object, context: object) -> eventlog_pb2.GetHeadResponse:
        raise ValueError("what only the log may say")


def test_the_line_of_a_defect_has_the_id_that_the_caller_was_given() -> None:
    server = Server("127.0.0.1", 0)
    server.add(eventlog_pb2_grpc.add_EventLogServiceServicer_to_server, Broken(), "ratchet.eventlog.v1.EventLogService")
    server.start()
    with written("json") as out:
        with open_channel(f"127.0.0.1:{server.port}", Credentials()) as channel:
            stub = eventlog_pb2_grpc.EventLogServiceStub(channel)
            with pytest.raises(grpc.RpcError) as refused:
                stub.GetHead(eventlog_pb2.GetHeadRequest())
        server.stop(0)
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    [call] = [each for each in told if each["event"] == "call"]
    [defect] = [each for each in told if "exception" in each]
    assert isinstance(refused.value, grpc.Call)
    assert call["level"] == "error"
    assert len(call["error_id"]) == 12
    assert call["error_id"] in (refused.value.details() or "")
    assert "what only the log may say" not in (refused.value.details() or "")
    assert "what only the log may say" in defect["exception"]
    assert call["error_id"] in defect["event"]
    assert defect["method"] == "EventLogService/GetHead"


@pytest.mark.parametrize("wrong", [{"RATCHET_LOG_FORMAT": "xml"}, {"RATCHET_LOG_LEVEL": "loud"}])
def test_settings_that_are_none_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        call_log.to_stderr("registry", wrong)


def test_the_lines_of_a_process_are_those_that_its_environment_asks_for() -> None:
    said = (
        "import logging; from services.platform.telemetry.call_log import to_stderr; to_stderr('trainer');"
        " logging.getLogger('ratchet.x').debug('seen'); logging.getLogger('other').debug('not seen')"
    )
    environ = {"RATCHET_LOG_FORMAT": "json", "RATCHET_LOG_LEVEL": "debug", "PYTHONPATH": "."}
    ran = subprocess.run([sys.executable, "-c", said], env=environ, capture_output=True, text=True, check=True)
    [line] = ran.stderr.splitlines()
    assert (json.loads(line)["event"], json.loads(line)["service"]) == ("seen", "trainer")
