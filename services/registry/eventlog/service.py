"""The gRPC servicer of the log: conversion of messages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.errors import InvalidInput, NotBuilt
from ratchet.eventlog.v1 import eventlog_pb2 as pb
from ratchet.eventlog.v1 import eventlog_pb2_grpc
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.event_format import stream_of
from services.platform.facts import Fact, parse
from services.platform.interceptors import Caller
from services.platform.validation import require_wellformed
from services.registry.eventlog.append import Append, Origin, RecordedEvent
from services.registry.eventlog.log import Log
from services.registry.eventlog.reading import Filter, Query

NAME = pb.DESCRIPTOR.services_by_name["EventLogService"].full_name

MAX_FILTER_NAMES = 100
"""Of prefixes, and of topics, in a filter."""

MAX_CHECKPOINTS = 10_000
"""In one answer; the next request starts at the size after the last."""

Verifier: TypeAlias = Callable[[pb.VerifyRequest, Callable[[], bool]], pb.VerifyResponse]
"""Answers Verify; the callback tells whether the caller still waits."""

ACCEPTED: Mapping[str, str] = {
    facts_pb2.PatternOffered.DESCRIPTOR.full_name: "pattern/",
    facts_pb2.PatternDiscovered.DESCRIPTOR.full_name: "pattern/",
    facts_pb2.PatternValidated.DESCRIPTOR.full_name: "pattern/",
    facts_pb2.PatternRetired.DESCRIPTOR.full_name: "pattern/",
    facts_pb2.FeaturesRanked.DESCRIPTOR.full_name: "features/",
}


class EventLogService(eventlog_pb2_grpc.EventLogServiceServicer):
    """`audit` serves Verify."""

    def __init__(self, log: Log, audit: Verifier | None = None) -> None:
        self._log, self._audit = log, audit

    def Append(self, request: pb.AppendRequest, context: grpc.ServicerContext) -> pb.AppendResponse:
        caller = Caller.of(context)
        origin = Origin(
            request_id=request.request_id,
            fingerprint=fingerprint(request),
            actor=caller.actor,
            correlation_id=request.correlation_id or caller.correlation_id,
        )
        committed = self._log.commit(Append(origin, tuple(_fact(event) for event in request.events)))
        return pb.AppendResponse(positions=committed.positions)

    def Read(self, request: pb.ReadRequest, context: grpc.ServicerContext) -> Iterator[pb.ReadResponse]:
        query = Query(
            start=request.start,
            stop=request.stop,
            limit=request.limit,
            descending=request.descending,
            filter=_filter(request.filter),
            stream=request.stream,
            after_version=request.after_version,
            until_version=request.until_version,
            as_of=_as_of(request),
        )
        for batch in self._log.read(query):
            yield pb.ReadResponse(events=_stored(batch))

    def Subscribe(self, request: pb.SubscribeRequest, context: grpc.ServicerContext) -> Iterator[pb.SubscribeResponse]:
        for batch, position in self._log.follow(request.after, _filter(request.filter), context.is_active):
            yield pb.SubscribeResponse(events=_stored(batch), position=position)

    def GetHead(self, request: pb.GetHeadRequest, context: grpc.ServicerContext) -> pb.GetHeadResponse:
        head = self._log.head()
        recorded_at = Timestamp()
        if head.position:
            recorded_at.FromDatetime(head.recorded_at)
        return pb.GetHeadResponse(
            position=head.position,
            recorded_at=recorded_at if head.position else None,
            root=head.root,
            checkpoint=self._log.note(head.position),
        )

    def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, context: grpc.ServicerContext
    ) -> pb.ListCheckpointsResponse:
        for name in ("from_size", "limit"):
            if getattr(request, name) < 0:
                raise InvalidInput(f"{name} is below 0; use 0 where it does not matter", fields={name: "below 0"})
        notes = self._log.notes(request.from_size, min(request.limit or MAX_CHECKPOINTS, MAX_CHECKPOINTS))
        return pb.ListCheckpointsResponse(checkpoints=notes)

    def Rebuild(self, request: pb.RebuildRequest, context: grpc.ServicerContext) -> pb.RebuildResponse:
        tables = [
            pb.RebuiltTable(name=table.name, rows=table.rows, identical=table.identical)
            for table in self._log.rebuild()
        ]
        return pb.RebuildResponse(position=self._log.head().position, tables=tables)

    def Export(self, request: pb.ExportRequest, context: grpc.ServicerContext) -> Iterator[pb.ExportResponse]:
        """The last message has the checkpoint of the sent events, if they begin at position 1."""
        stop = request.stop or self._log.head().position
        if stop == 0:
            return
        reached, answer = 0, pb.ExportResponse()
        for batch in self._log.read(Query(start=request.start, stop=stop)):
            if reached:
                yield answer
            reached, answer = batch[-1].position, pb.ExportResponse(events=_stored(batch))
        if reached and request.start <= 1:
            answer.checkpoint = self._log.note(reached)
        if reached:
            yield answer

    def ProveInclusion(
        self, request: pb.ProveInclusionRequest, context: grpc.ServicerContext
    ) -> pb.ProveInclusionResponse:
        event, proof = self._log.prove_inclusion(request.position, request.size)
        [stored] = _stored([event])
        return pb.ProveInclusionResponse(
            hashes=proof.hashes,
            event=stored,
            size=proof.size,
            root=proof.root,
            checkpoint=proof.checkpoint,
        )

    def ProveConsistency(
        self, request: pb.ProveConsistencyRequest, context: grpc.ServicerContext
    ) -> pb.ProveConsistencyResponse:
        proof = self._log.prove_consistency(request.old_size, request.new_size)
        return pb.ProveConsistencyResponse(
            hashes=proof.hashes, new_size=proof.size, new_root=proof.root, checkpoint=proof.checkpoint
        )

    def Verify(self, request: pb.VerifyRequest, context: grpc.ServicerContext) -> pb.VerifyResponse:
        if request.collect_garbage:
            Caller.of(context).require("admin", "remove artifacts with collect_garbage")
        if self._audit is None:
            raise NotBuilt("this log is served without its artifacts; verify an export of it, with --export and --key")
        return self._audit(request, context.is_active)


def fingerprint(request: Message) -> bytes:
    """SHA-256 of the request's deterministic bytes, to distinguish requests with the same id."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def _fact(event: pb.NewEvent) -> Fact:
    prefix = ACCEPTED.get(event.topic)
    if prefix is None:
        raise InvalidInput(
            f"{event.topic!r} on {event.stream!r} is not accepted here: only {', '.join(ACCEPTED)};"
            " other facts are written by the registry's own methods",
            fields={"events.topic": "not accepted"},
        )
    if not event.stream.startswith(prefix) or event.stream == prefix:
        raise InvalidInput(
            f"{event.topic} belongs on a stream {prefix}…, not on {event.stream!r}",
            fields={"events.stream": "not a stream of this topic"},
        )
    fact = parse(event.topic, event.payload)
    if event.stream != (own := stream_of(event.topic, fact)):
        raise InvalidInput(
            f"this {event.topic} belongs on {own}, not on {event.stream!r}", fields={"events.stream": "of another fact"}
        )
    if event.payload != fact.SerializeToString(deterministic=True):
        raise InvalidInput(
            f"the payload for {event.stream} is not in canonical bytes; serialize it deterministically",
            fields={"events.payload": "not canonical"},
        )
    require_wellformed(fact, "events.payload")
    return Fact(event.stream, event.version, fact, event.causation_id)


def _stored(events: Sequence[RecordedEvent]) -> Iterator[pb.StoredEvent]:
    for event in events:
        yield pb.StoredEvent(
            position=event.position,
            stream=event.stream,
            version=event.version,
            topic=event.topic,
            state=event.state,
        )


def _filter(message: pb.Filter) -> Filter:
    for name in ("stream_prefixes", "topics"):
        if (given := len(getattr(message, name))) > MAX_FILTER_NAMES:
            raise InvalidInput(
                f"{given} {name}, {MAX_FILTER_NAMES} at most; ask in parts, or filter what comes",
                fields={name: "too many"},
            )
    return Filter(
        stream_prefixes=tuple(message.stream_prefixes),
        topics=tuple(message.topics),
        actor=message.actor,
        recorded_from=_time(message.recorded_from) if message.HasField("recorded_from") else None,
        recorded_to=_time(message.recorded_to) if message.HasField("recorded_to") else None,
    )


def _as_of(request: pb.ReadRequest) -> int | datetime | None:
    point = request.as_of.WhichOneof("point")
    if point is None:
        return None
    return request.as_of.position if point == "position" else _time(request.as_of.time)


def _time(message: Timestamp) -> datetime:
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{message} is not a time: {error}", fields={"time": "out of range"}) from error
