"""Wires the knowledge service."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratchet.knowledge.v1 import knowledge_pb2, knowledge_pb2_grpc
from services.knowledge.api.servicer import KnowledgeService
from services.knowledge.handlers.application import Knowledge
from services.knowledge.projection.follower import Book, Follower
from services.knowledge.telemetry import following
from services.platform.log_client import LogClient
from services.platform.server import Server, open_server
from services.platform.settings import Settings

ACTOR = "knowledge"


def build(settings: Settings) -> tuple[Server, Sequence[Callable[[], None]]]:
    """The server, not started yet, and what to call when it has stopped.

    The log is read from the beginning in the background and waited for where it does not answer yet; until it has been
    read once, calls wait for a while and then raise Unreachable.
    """
    client = LogClient(settings.registry, ACTOR)
    knowledge, book = Knowledge(client), Book(client.peer)
    follower = Follower(client, book)
    server = open_server(settings)
    name = knowledge_pb2.DESCRIPTOR.services_by_name["KnowledgeService"].full_name
    server.add(
        knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server, KnowledgeService(client, knowledge, book), name
    )
    server.needs(following(client, book, server.telemetry.metrics.registry))
    follower.start()
    return server, (follower.close, knowledge.close)
