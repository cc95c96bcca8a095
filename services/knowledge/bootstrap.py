"""Wiring of the knowledge service."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from services.knowledge.api.servicer import KnowledgeService
from services.knowledge.handlers.application import Knowledge
from services.knowledge.projection.follower import KnowledgeProjection, LogFollower
from services.knowledge.telemetry import log_check
from services.platform.log_client import LogClient
from services.platform.server import Server, open_server
from services.platform.settings import Settings

ACTOR = "knowledge"


def build(settings: Settings) -> tuple[Server, Sequence[Callable[[], None]]]:
    """The server, not started yet, and its close functions.

    A background thread reads the log from the beginning, and waits for an unreachable log; until the log has been read
    once, calls wait for a while and then raise Unreachable.
    """
    client = LogClient(settings.endpoints.registry, ACTOR)
    knowledge, projection = Knowledge(client), KnowledgeProjection(client.peer)
    follower = LogFollower(client, projection)
    server = open_server(settings)
    name = knowledge_pb2.DESCRIPTOR.services_by_name["KnowledgeService"].full_name
    server.add(
        knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server, KnowledgeService(client, knowledge, projection), name
    )
    server.needs(log_check(client, projection, server.telemetry.metrics.registry))
    follower.start()
    return server, (follower.close, knowledge.close)
