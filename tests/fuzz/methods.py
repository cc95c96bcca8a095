"""Every method of every service, from the contracts."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.predictor.v1 import predictor_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2
from services.platform.limits import SLOW_METHODS, WATCH_METHODS

SERVED_BY = {
    eventlog_pb2.DESCRIPTOR: "registry",
    registry_pb2.DESCRIPTOR: "registry",
    knowledge_pb2.DESCRIPTOR: "knowledge",
    trainer_pb2.DESCRIPTOR: "trainer",
    predictor_pb2.DESCRIPTOR: "predictor",
}

LONG = frozenset(
    {
        *("Verify", "Rebuild", "Export", "Read", "Subscribe", "WatchTraining", "ReproduceModel"),
        *("Evaluate", "EvaluateFresh"),
    }
)
"""They walk the log, wait or compute: asked a tenth as often as others."""


@dataclass(frozen=True)
class Method:
    """`process` serves it; `request` and `response` are the classes of its messages."""

    process: str
    service: str
    name: str
    request: type[Message]
    response: type[Message]
    client_streams: bool
    server_streams: bool

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    @property
    def waits(self) -> bool:
        """It ends with its caller: a deadline that passes is no failure."""
        return self.path in WATCH_METHODS

    @property
    def weight(self) -> int:
        return 1 if self.name in LONG else 10


METHODS = tuple(
    Method(
        process,
        service.full_name,
        method.name,
        GetMessageClass(method.input_type),
        GetMessageClass(method.output_type),
        method.client_streaming,
        method.server_streaming,
    )
    for file, process in SERVED_BY.items()
    for service in file.services_by_name.values()
    for method in service.methods
)

assert {method.path for method in METHODS} >= {
    path for path in WATCH_METHODS | SLOW_METHODS if path.startswith("/ratchet.")
}
