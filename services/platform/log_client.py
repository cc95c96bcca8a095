"""The log's gRPC service as an eventsourcing recorder: an application can live without a database of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import grpc
from eventsourcing.application import Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    Mapper,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    TrackingRecorder,
)
from eventsourcing.utils import Environment

from ratchet.client.channel import failure
from ratchet.client.transport import ACTOR_KEY, BACKOFF, Link
from ratchet.errors import NotBuilt, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import envelope_pb2
from services.platform.facts import Fact, FactMapper, from_state

DEADLINE_SECONDS = 30.0

Answer = TypeVar("Answer")


class LogClient(ApplicationRecorder):
    """The log at `address` (host:port); facts are appended in the name of `actor` unless a call names another.

    Every failed call raises the RatchetError that the log meant: StreamConflict when a stream moved meanwhile,
    AlreadyExists for a request id with another payload, Unreachable when the registry does not answer.
    """

    def __init__(self, address: str, actor: str, deadline: float = DEADLINE_SECONDS) -> None:
        self.address = address
        self.peer = f"the registry at {address}"
        self._actor = actor
        self._deadline = deadline
        self._link = Link(address)
        self._log = eventlog_pb2_grpc.EventLogServiceStub(self._link.channel)

    def close(self) -> None:
        """Ends every call under way, streams too."""
        self._link.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Append all or none; returns their positions.

        Keywords: `request_id` (required by the log: a repeat gets the first answer), `correlation_id`, `actor`.
        """
        correlation_id = str(kwargs.get("correlation_id", ""))
        request = eventlog_pb2.AppendRequest(
            request_id=str(kwargs.get("request_id", "")),
            correlation_id=correlation_id,
            events=[_new_event(event) for event in stored_events],
        )
        metadata = ((ACTOR_KEY, str(kwargs.get("actor", self._actor))),)
        answer = self._ask(lambda: self._log.Append(request, timeout=self._deadline, metadata=metadata))
        return list(answer.positions)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        if lte is not None and lte <= 0:
            return []
        request = eventlog_pb2.ReadRequest(
            stream=str(originator_id),
            after_version=gt or 0,
            until_version=lte or 0,
            descending=desc,
            limit=limit or 0,
        )
        return [StoredEvent(event.stream, event.version, event.topic, event.state) for event in self._read(request)]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        if stop is not None and stop <= 0:
            return []
        first = max((start or 0) + (0 if inclusive_of_start else 1), 1)
        request = eventlog_pb2.ReadRequest(
            start=first, stop=stop or 0, limit=limit, filter=eventlog_pb2.Filter(topics=topics)
        )
        return [_notification(event) for event in self._read(request)]

    def head(self) -> int:
        """The position of the last event; 0 when there is none."""
        request = eventlog_pb2.GetHeadRequest()
        return self._ask(lambda: self._log.GetHead(request, timeout=self._deadline)).position

    def max_notification_id(self) -> int | None:
        return self.head() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return LogSubscription(self, gt, topics)

    def follow(self, after: int, prefixes: Sequence[str] = ()) -> Following:
        """The facts after position `after` on streams that begin with one of `prefixes` (none: all streams), in
        batches: first what is there, then what comes."""
        wanted = eventlog_pb2.Filter(stream_prefixes=prefixes)
        return Following(self.feed(eventlog_pb2.SubscribeRequest(after=after, filter=wanted)))

    def feed(self, request: eventlog_pb2.SubscribeRequest) -> Feed:
        """The messages of a subscription as they come."""
        return Feed(self._log.Subscribe(request), self.peer)

    def _read(self, request: eventlog_pb2.ReadRequest) -> list[eventlog_pb2.StoredEvent]:
        answers = self._ask(lambda: list(self._log.Read(request, timeout=self._deadline)))
        return [event for answer in answers for event in answer.events]

    def _ask(self, attempt: Callable[[], Answer]) -> Answer:
        """The answer; asked again after each pause while nobody answers, which an append's request id makes safe."""
        for pause in (*BACKOFF, None):
            began = time.monotonic()
            try:
                return attempt()
            except grpc.RpcError as error:
                mapped = failure(error, self.peer, time.monotonic() - began)
                if pause is None or type(mapped) is not Unreachable:
                    raise mapped from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


class Feed(Iterator[eventlog_pb2.SubscribeResponse]):
    """The messages of one subscription. `cancel`, from any thread, ends it; a failure raises its RatchetError."""

    def __init__(self, call: Any, peer: str) -> None:
        self._call, self._peer, self._cancelled = call, peer, False

    def __next__(self) -> eventlog_pb2.SubscribeResponse:
        try:
            answer: eventlog_pb2.SubscribeResponse = next(self._call)
        except grpc.RpcError as error:
            if self._cancelled:
                raise StopIteration from None
            raise failure(error, self._peer) from error
        return answer

    def cancel(self) -> None:
        self._cancelled = True
        self._call.cancel()


class Following(Iterator[tuple[list[tuple[int, Fact]], int]]):
    """Batches of facts, each with its position, and the position up to which nothing is left out."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def __next__(self) -> tuple[list[tuple[int, Fact]], int]:
        answer = next(self._feed)
        facts = [
            (event.position, from_state(event.stream, event.version, event.topic, event.state))
            for event in answer.events
        ]
        return facts, answer.position

    def cancel(self) -> None:
        self._feed.cancel()


class LogSubscription(Subscription[ApplicationRecorder]):
    """The library's view of a subscription: one notification after the other."""

    def __init__(self, client: LogClient, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(client, gt, topics)
        wanted = eventlog_pb2.Filter(topics=topics)
        self._feed = client.feed(eventlog_pb2.SubscribeRequest(after=gt or 0, filter=wanted))
        self._notifications = (_notification(event) for batch in self._feed for event in batch.events)

    def __next__(self) -> Notification:
        if self._has_been_stopped:
            raise StopIteration
        return next(self._notifications)

    def stop(self) -> None:
        super().stop()
        self._feed.cancel()


class LogFactory(InfrastructureFactory[TrackingRecorder]):
    """Builds an eventsourcing application on a log client."""

    def __init__(self, env: Environment, client: LogClient) -> None:
        super().__init__(env)
        self._client = client

    def mapper(self, transcoder: Any = None, mapper_class: Any = None) -> Mapper[Any]:  # noqa: ARG002 the library's
        return FactMapper(transcoder=transcoder or self.transcoder())

    def application_recorder(self) -> ApplicationRecorder:
        return self._client

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose != "events":
            raise NotBuilt(f"the log keeps no {purpose}; replay the stream")
        return self._client

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> TrackingRecorder:  # noqa: ARG002 the library's
        raise NotBuilt("the log keeps no tracking records; a follower folds from position 0")

    def process_recorder(self) -> ProcessRecorder:
        raise NotBuilt("the log keeps no tracking records; a follower folds from position 0")

    def close(self) -> None:
        self._client.close()


class RemoteApplication(Application[str]):
    """An eventsourcing application whose recorder is the log's gRPC service."""

    def __init__(self, client: LogClient) -> None:
        self._client = client
        super().__init__({"IS_SNAPSHOTTING_ENABLED": "n", "AGGREGATE_CACHE_MAXSIZE": ""})

    def construct_factory(self, env: Environment) -> InfrastructureFactory[TrackingRecorder]:
        return LogFactory(env, self._client)


def _new_event(event: StoredEvent) -> eventlog_pb2.NewEvent:
    envelope = envelope_pb2.Envelope.FromString(event.state)
    return eventlog_pb2.NewEvent(
        stream=str(event.originator_id),
        version=event.originator_version,
        topic=event.topic,
        payload=envelope.payload,
        causation_id=envelope.causation_id,
    )


def _notification(event: eventlog_pb2.StoredEvent) -> Notification:
    return Notification(event.stream, event.version, event.topic, event.state, id=event.position)
