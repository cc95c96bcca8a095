"""Whatever bytes arrive, the answer is that of a request: parsed, or refused with the field and the rule."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from ratchet.client.error_mapping import from_rpc
from ratchet.errors import InvalidInput
from ratchet.eventlog.v1 import eventlog_pb2 as log_pb
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from services.platform.server import Server
from services.platform.validation import LONGEST_TEXT, require_wellformed

METHOD = "/ratchet.registry.v1.RegistryService/GetModel"


class Models(registry_pb2_grpc.RegistryServiceServicer):
    def GetModel(
        self, request: registry_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> registry_pb2.GetModelResponse:
        return registry_pb2.GetModelResponse(model=registry_pb2.Model(name=request.model))


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    server = Server("127.0.0.1", 0)
    server.add(registry_pb2_grpc.add_RegistryServiceServicer_to_server, Models(), "ratchet.registry.v1.RegistryService")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel
    server.stop(0.0)


def answer(channel: grpc.Channel, *bodies: bytes) -> bytes:
    """The answer to these messages; RatchetError for a refusal."""
    try:
        return bytes(channel.stream_unary(METHOD)(iter(bodies), timeout=30))
    except grpc.RpcError as error:
        raise from_rpc(error, "the server") from error


def refusal(request: Message) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        require_wellformed(request)
    return raised.value


@given(body=st.binary(max_size=64))
def test_bytes_are_a_request_or_refused_as_none(channel: grpc.Channel, body: bytes) -> None:
    try:
        asked = registry_pb2.GetModelRequest.FromString(body).model
    except Exception:  # noqa: BLE001 whatever the parser says
        asked = None
    try:
        said = registry_pb2.GetModelResponse.FromString(answer(channel, body)).model.name
    except InvalidInput as error:
        said = "refused" if "not a time" in error.message or "NUL" in error.message else None
    assert said in (asked, "refused")


def test_bytes_that_are_no_message_are_named(channel: grpc.Channel) -> None:
    with pytest.raises(InvalidInput, match=r"3 bytes are not a message of this method .*as its \.proto says"):
        answer(channel, b"\xff\xff\xff")


def test_a_request_that_nobody_could_keep_is_refused_whatever_method_it_is_for(channel: grpc.Channel) -> None:
    with pytest.raises(InvalidInput, match="model holds the character NUL") as raised:
        answer(channel, registry_pb2.GetModelRequest(model="AAPL\0").SerializeToString())
    assert raised.value.fields == {"model": "NUL"}


def test_a_call_without_a_request_is_refused(channel: grpc.Channel) -> None:
    with pytest.raises(InvalidInput, match="ended without a request; send one message"):
        answer(channel)


def test_a_text_has_an_end() -> None:
    require_wellformed(registry_pb2.GetModelRequest(model="m" * LONGEST_TEXT))
    found = refusal(registry_pb2.GetModelRequest(model="m" * (LONGEST_TEXT + 1)))
    assert (found.message, found.fields) == (
        "model has 4097 characters, 4096 at most; say it in fewer",
        {"model": "too long"},
    )


def test_no_text_holds_nul_however_deep_it_lies() -> None:
    event = log_pb.NewEvent(stream="pattern/\0")
    assert refusal(log_pb.AppendRequest(events=[log_pb.NewEvent(), event])).fields == {"events.stream": "NUL"}
    assert refusal(log_pb.ReadRequest(filter=log_pb.Filter(topics=["a", "\0"]))).fields == {"filter.topics": "NUL"}


def test_a_number_that_no_word_stands_for_is_refused_with_the_words() -> None:
    found = refusal(registry_pb2.ListTrainingsRequest(state=99))  # type: ignore[arg-type]
    assert found.message.startswith("state is 99, which is no TrainingState; use one of TRAINING_STATE_UNSPECIFIED, ")
    assert found.fields == {"state": "unknown"}
    require_wellformed(registry_pb2.ListTrainingsRequest(state=registry_pb2.TRAINING_STATE_OPEN))


@pytest.mark.parametrize("moment", [Timestamp(seconds=10**12), Timestamp(seconds=-(10**12)), Timestamp(nanos=-1)])
def test_a_time_lies_in_the_years_that_people_write(moment: Timestamp) -> None:
    request = registry_pb2.GetModelRequest(model="m", as_of=log_pb.AsOf(time=moment))
    assert refusal(request).fields == {"as_of.time": "not a time"}
    require_wellformed(registry_pb2.GetModelRequest(model="m", as_of=log_pb.AsOf(time=Timestamp(seconds=1))))
