"""Every service's methods behind the real layers, answering nothing but who was found to call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from ratchet.client.credentials import Tls
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.predictor.v1 import predictor_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2
from services.platform.error_mapping import map_errors
from services.platform.identity import Identity
from services.platform.interceptors import Caller, Interceptor
from services.platform.server import Server

CONTRACTS: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (eventlog_pb2, knowledge_pb2, predictor_pb2, registry_pb2, trainer_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
)
METHODS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method for service in CONTRACTS for method in service.methods
}


@dataclass
class Callee:
    """A server of every method; `callers`: who was found to call, one after the other."""

    server: Server
    callers: list[Caller] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def answering(self, service: ServiceDescriptor) -> Callable[[Any, grpc.Server], None]:
        def register(_: Any, server: grpc.Server) -> None:
            handlers = {method.name: self._handler(method) for method in service.methods}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

        return register

    def _handler(self, method: MethodDescriptor) -> grpc.RpcMethodHandler:
        answer = message_factory.GetMessageClass(method.output_type)

        def single(request: Any, context: grpc.ServicerContext) -> Any:
            self.callers.append(Caller.of(context))
            return answer()

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield single(request, context)

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
        }[method.client_streaming, method.server_streaming]
        handle = stream if method.server_streaming else single
        request = message_factory.GetMessageClass(method.input_type)
        return make(handle, request.FromString, answer.SerializeToString)


@contextmanager
def serving(identity: Identity | None, *around: Interceptor, tls: Tls | None = None) -> Iterator[Callee]:
    """A server with what `around` says around refusals and identity."""
    interceptors = (*around, map_errors) if identity is None else (*around, map_errors, identity)
    callee = Callee(Server("127.0.0.1", 0, interceptors, tls=tls))
    for service in CONTRACTS:
        callee.server.add(callee.answering(service), None, service.full_name)
    callee.server.start()
    try:
        yield callee
    finally:
        callee.server.stop(0.0)


def call(channel: grpc.Channel, method: str, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str]:
    """The status of one call with an empty request, and what it says."""
    found = METHODS[method]
    empty = message_factory.GetMessageClass(found.input_type)().SerializeToString()
    try:
        if found.client_streaming:
            channel.stream_unary(method)(iter([empty]), timeout=10, metadata=metadata)
        elif found.server_streaming:
            list(channel.unary_stream(method)(empty, timeout=10, metadata=metadata))
        else:
            channel.unary_unary(method)(empty, timeout=10, metadata=metadata)
    except grpc.RpcError as error:
        return (error.code(), error.details() or "") if isinstance(error, grpc.Call) else (grpc.StatusCode.UNKNOWN, "")
    return grpc.StatusCode.OK, ""


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"
