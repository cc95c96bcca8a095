"""A call that a stopping server drops is one that nobody answered, and not one that its caller gave up."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from ratchet import Client
from ratchet.client.channel import DROPPED_SECONDS, map_rpc_error
from ratchet.errors import Cancelled, Unreachable
from ratchet.registry.v1 import registry_pb2, registry_pb2_grpc
from services.local import ports

Serve = Callable[..., str]
NAME = "AAPL/range/logistic/v1"


class Dropping(registry_pb2_grpc.RegistryServiceServicer):
    """Drops the first calls, as gRPC's server does while it stops."""

    def __init__(self, dropped: int) -> None:
        self.dropped, self.asked = dropped, 0

    def GetModel(self, request: registry_pb2.GetModelRequest, context: Any) -> registry_pb2.GetModelResponse:
        self.asked += 1
        if self.asked <= self.dropped:
            context.cancel()
        return registry_pb2.GetModelResponse(model=registry_pb2.Model(name=request.model))


def served(serve: Serve, dropped: int) -> str:
    add = registry_pb2_grpc.add_RegistryServiceServicer_to_server
    return serve((add, Dropping(dropped), "ratchet.registry.v1.RegistryService"))


def test_a_dropped_call_is_repeated(serve: Serve) -> None:
    with Client(registry=served(serve, dropped=2)) as client:
        assert client.get_model(NAME).name == NAME


def test_when_all_are_dropped_the_service_is_unreachable(serve: Serve) -> None:
    with Client(registry=served(serve, dropped=99)) as client, pytest.raises(Unreachable, match="hung up"):
        client.get_model(NAME)


def test_a_call_that_was_given_up_here_or_ran_into_a_limit_of_time_is_cancelled(serve: Serve) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{ports.choose(0)[0]}") as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        given_up = stub.GetModel.future(registry_pb2.GetModelRequest(model=NAME), wait_for_ready=True)
        assert given_up.cancel()
    with grpc.insecure_channel(served(serve, dropped=99)) as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.RpcError) as dropped:
            stub.GetModel(registry_pb2.GetModelRequest(model=NAME))
    assert type(map_rpc_error(given_up, "the registry", seconds=0.0)) is Cancelled
    assert type(map_rpc_error(dropped.value, "the registry", seconds=0.0)) is Unreachable
    assert type(map_rpc_error(dropped.value, "the registry", seconds=DROPPED_SECONDS)) is Cancelled
