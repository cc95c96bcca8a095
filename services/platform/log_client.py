"""The log's gRPC service as an eventsourcing recorder: an application without a database of its own."""

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

from ratchet.client.channel import map_rpc_error
from ratchet.client.transport import ACTOR_KEY, BACKOFF, LazyChannel
from ratchet.errors import NotBuilt, Unreachable
from ratchet.eventlog.v1 import eventlog_pb2, eventlog_pb2_grpc
from ratchet.events.v1 import envelope_pb2
from services.platform.facts import Fact, FactMapper, from_state

DEADLINE_SECONDS = 30.0

Response = TypeVar("Response")


class LogClient(ApplicationRecorder):
    """Client of the log at `address` (host:port).

    Facts are appended in the name of `actor` unless a call names another. A failed call raises the RatchetError of the
    log: StreamConflict when a stream has advanced, AlreadyExists for a request id with another payload, Unreachable
    when the registry does not answer.
    """

    def __init__(self, address: str, actor: str, deadline: float = DEADLINE_SECONDS) -> None:
        self.address = address
        self.peer = f"the registry at {address}"
        self._actor = actor
        self._deadline = deadline
        self._link = LazyChannel(address)
        self._log = eventlog_pb2_grpc.EventLogServiceStub(self._link.channel)

    def close(self) -> None:
        """Ends every running call, streams too."""
        self._link.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """Appends all events or none; returns their positions.

        Keywords: `request_id` (required by the log: a repetition gets the first answer), `correlation_id`, `actor`.
        """
        correlation_id = str(kwargs.get("correlation_id", ""))
        request = eventlog_pb2.AppendRequest(
            request_id=str(kwargs.get("request_id", "")),
            correlation_id=correlation_id,
            events=[_new_event(event) for event in stored_events],
        )
        metadata = ((ACTOR_KEY, str(kwargs.get("actor", self._actor))),)
        response = self._call(lambda: self._log.Append(request, timeout=self._deadline, metadata=metadata))
        return list(response.positions)

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
        """The position of the last event; 0 for an empty log."""
        request = eventlog_pb2.GetHeadRequest()
        return self._call(lambda: self._log.GetHead(request, timeout=self._deadline)).position

    def max_notification_id(self) -> int | None:
        return self.head() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return LogSubscription(self, gt, topics)

    def follow(self, after: int, prefixes: Sequence[str] = ()) -> FactStream:
        """Batches of facts after position `after`: first stored facts, then new ones.

        Only streams with one of `prefixes`; none: all streams.
        """
        wanted = eventlog_pb2.Filter(stream_prefixes=prefixes)
        return FactStream(self.open_stream(eventlog_pb2.SubscribeRequest(after=after, filter=wanted)))

    def open_stream(self, request: eventlog_pb2.SubscribeRequest) -> SubscriptionStream:
        """The messages of a subscription as they arrive."""
        return SubscriptionStream(self._log.Subscribe(request), self.peer)

    def _read(self, request: eventlog_pb2.ReadRequest) -> list[eventlog_pb2.StoredEvent]:
        responses = self._call(lambda: list(self._log.Read(request, timeout=self._deadline)))
        return [event for response in responses for event in response.events]

    def _call(self, call: Callable[[], Response]) -> Response:
        """Calls the log, with retries while the log is unreachable; the request id makes a repeated append safe."""
        for pause in (*BACKOFF, None):
            began = time.monotonic()
            try:
                return call()
            except grpc.RpcError as error:
                mapped = map_rpc_error(error, self.peer, time.monotonic() - began)
                if pause is None or type(mapped) is not Unreachable:
                    raise mapped from error
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")


class SubscriptionStream(Iterator[eventlog_pb2.SubscribeResponse]):
    """The messages of one subscription. `cancel`, from any thread, ends it; a failure raises its RatchetError."""

    def __init__(self, call: Any, peer: str) -> None:
        self._call, self._peer, self._cancelled = call, peer, False

    def __next__(self) -> eventlog_pb2.SubscribeResponse:
        try:
            response: eventlog_pb2.SubscribeResponse = next(self._call)
        except grpc.RpcError as error:
            if self._cancelled:
                raise StopIteration from None
            raise map_rpc_error(error, self._peer) from error
        return response

    def cancel(self) -> None:
        self._cancelled = True
        self._call.cancel()


class FactStream(Iterator[tuple[list[tuple[int, Fact]], int]]):
    """Batches of facts, each with its position, and the position up to which the stream is complete."""

    def __init__(self, stream: SubscriptionStream) -> None:
        self._stream = stream

    def __next__(self) -> tuple[list[tuple[int, Fact]], int]:
        response = next(self._stream)
        facts = [
            (event.position, from_state(event.stream, event.version, event.topic, event.state))
            for event in response.events
        ]
        return facts, response.position

    def cancel(self) -> None:
        self._stream.cancel()


class LogSubscription(Subscription[ApplicationRecorder]):
    """The eventsourcing library's subscription: one notification at a time."""

    def __init__(self, client: LogClient, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(client, gt, topics)
        wanted = eventlog_pb2.Filter(topics=topics)
        self._stream = client.open_stream(eventlog_pb2.SubscribeRequest(after=gt or 0, filter=wanted))
        self._notifications = (_notification(event) for batch in self._stream for event in batch.events)

    def __next__(self) -> Notification:
        if self._has_been_stopped:
            raise StopIteration
        return next(self._notifications)

    def stop(self) -> None:
        super().stop()
        self._stream.cancel()


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
