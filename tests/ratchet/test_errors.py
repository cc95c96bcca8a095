"""Every error crosses the wire whole, and a foreign failure says what to do."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from ratchet import errors
from ratchet.client import Client
from ratchet.client.error_mapping import from_rpc, to_status
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc

Serve = Callable[..., str]

REGISTRY = "ratchet.registry.v1.RegistryService"
KINDS = sorted(errors.BY_REASON.values(), key=lambda kind: kind.reason)
SENT = [kind for kind in KINDS if kind is not errors.RatchetError]


class Raising(registry_pb2_grpc.RegistryServiceServicer):
    """Raises the same error for every model."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def GetModel(self, request: registry_pb2.GetModelRequest, context: Any) -> registry_pb2.GetModelResponse:
        raise self.error


def client_of(serve: Serve, servicer: Any) -> Client:
    address = serve((registry_pb2_grpc.add_RegistryServiceServicer_to_server, servicer, REGISTRY))
    return Client(registry=address, timeout=3.0)


@pytest.mark.parametrize("kind", SENT, ids=lambda kind: kind.reason)
def test_every_error_arrives_as_itself(serve: Serve, kind: type[errors.RatchetError]) -> None:
    sent = kind("AAPL: é", fields={"series": "unknown"}, metadata={"champion": "AAPL/range/logistic/v2"})
    with client_of(serve, Raising(sent)) as client, pytest.raises(errors.RatchetError) as caught:
        client.get_model("AAPL/range/logistic/v3")
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.fields, caught.value.metadata) == (
        sent.message,
        sent.fields,
        sent.metadata,
    )


def test_a_champion_that_moved_is_named(serve: Serve) -> None:
    moved = errors.ChampionMoved("moved", metadata={"champion": "AAPL/range/logistic/v2"})
    with client_of(serve, Raising(moved)) as client, pytest.raises(errors.ChampionMoved) as caught:
        client.get_model("AAPL/range/logistic/v3")
    assert caught.value.champion == "AAPL/range/logistic/v2"


def test_a_defect_arrives_with_an_id_and_without_its_text(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with client_of(serve, Raising(ZeroDivisionError("secret"))) as client, pytest.raises(errors.Internal) as caught:
        client.get_model("AAPL/range/logistic/v3")
    assert "secret" not in caught.value.message
    error_id = caught.value.message.rpartition(" ")[2]
    assert len(error_id) == 12
    assert error_id in caplog.text


def test_a_method_that_is_not_served_is_not_built(serve: Serve) -> None:
    with Client(registry=serve()) as client, pytest.raises(errors.NotBuilt, match="the registry at 127"):
        client.get_model("AAPL/range/logistic/v3")


def test_a_status_of_unknown_reason_becomes_the_error_of_its_code() -> None:
    class Later(errors.RatchetError):
        status, reason = "NOT_FOUND", "INVENTED_LATER"

    class Call(grpc.RpcError, grpc.Call):  # type: ignore[misc]
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.NOT_FOUND

        def details(self) -> str:
            return "gone"

        def trailing_metadata(self) -> Iterator[tuple[str, bytes]]:
            return iter([("grpc-status-details-bin", to_status(Later("gone")).SerializeToString())])

        initial_metadata = is_active = time_remaining = cancel = add_callback = None

    found = from_rpc(Call(), "the registry")
    assert type(found) is errors.NotFound
    assert found.message == "gone"


def test_each_reason_and_each_status_belongs_to_one_error() -> None:
    assert len({kind.reason for kind in KINDS}) == len(KINDS)
    for kind in SENT:
        assert errors.BY_REASON[kind.reason] is kind
        assert grpc.StatusCode[kind.status] is not grpc.StatusCode.OK
        assert errors.BY_STATUS[kind.status].status == kind.status
    general = errors.InvalidInput, errors.Conflict, errors.Unreachable, errors.Internal
    assert {errors.BY_STATUS[kind.status] for kind in general} == set(general)


def test_exit_codes_are_those_of_the_command_line() -> None:
    codes = {kind.reason: kind.exit_code for kind in KINDS}
    assert codes["NOT_FOUND"] == 3
    assert codes["CHAMPION_MOVED"] == codes["PRECONDITION_FAILED"] == codes["ALREADY_EXISTS"] == 4
    assert codes["UNREACHABLE"] == codes["DEADLINE_PASSED"] == 5
    assert codes["UNAUTHENTICATED"] == codes["NOT_ALLOWED"] == 6
    assert codes["CORRUPT_DATA"] == 7
    assert codes["DATA_REFUSED"] == 8
    assert codes["CANCELLED"] == 130
    assert set(codes.values()) <= {1, 2, 3, 4, 5, 6, 7, 8, 130}
