"""What appending promises, on every database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from ratchet.errors import AlreadyExists, InvalidInput, NotAllowed, StreamConflict, Unreachable
from services.registry.eventlog import Append, Log, RecordedEvent, Statement, Table
from services.registry.eventlog.commit import Commit
from services.registry.eventlog.database import ConstraintBroken, Database, Writer
from services.registry.eventlog.rebuild import prepare
from tests.support.log_samples import START, STREAMS, SteppingClock, append, assert_sound, everything, fact, make_log


class Gate:
    """A clock that waits until the gate is opened, so that a leader is held inside its transaction."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> datetime:
        self.reached.set()
        assert self.opened.wait(30)
        return datetime.now(UTC)


@contextmanager
def held_leader(commit: Callable[[Append], object], gate: Gate) -> Iterator[ThreadPoolExecutor]:
    """Run appends while another one is in its transaction; it goes on when the block ends."""
    with ThreadPoolExecutor(32) as pool:
        first = pool.submit(commit, append("leader", fact("leader", 1)))
        try:
            assert gate.reached.wait(30)
            yield pool
            threading.Event().wait(0.2)
        finally:
            gate.opened.set()
        first.result(30)


class TestAppend:
    def test_an_event_is_stored_with_who_when_and_why(self, log: Log) -> None:
        [recorded] = log.commit(append("r1", fact("session/1", 1), actor="ann")).events
        assert recorded.fact.message.session_id == "session/1"  # type: ignore[attr-defined]
        assert (recorded.fact.actor, recorded.fact.request_id, recorded.fact.correlation_id) == ("ann", "r1", "run")
        assert recorded.recorded_at == START + timedelta(seconds=1)
        assert len(recorded.fact.event_id) == 32
        assert everything(log) == [recorded]

    def test_the_stored_bytes_are_canonical_and_nobody_signs_for_another(self, log: Log) -> None:
        long_ago = datetime.fromtimestamp(1, UTC)
        of_eve = replace(
            fact("session/1", 1), actor="eve", request_id="other", event_id="chosen", recorded_at=long_ago, payload=b"x"
        )
        [recorded] = log.commit(append("r1", of_eve)).events
        assert recorded == RecordedEvent(1, "session/1", 1, of_eve.topic, recorded.state)
        assert recorded.fact == RecordedEvent(1, "session/1", 1, of_eve.topic, recorded.state).fact
        assert (recorded.envelope.actor, recorded.envelope.request_id) == ("ann", "r1")
        assert recorded.envelope.event_id != "chosen"
        assert recorded.recorded_at > START
        assert recorded.state == recorded.envelope.SerializeToString(deterministic=True)

    def test_positions_stay_dense_after_conflicts(self, log: Log) -> None:
        log.commit(append("r1", fact("session/1", 1)))
        for number in range(3):
            with pytest.raises(StreamConflict):
                log.commit(append(f"conflict{number}", fact("session/1", 1)))
        assert log.commit(append("r2", fact("session/1", 2))).positions == (2,)
        assert_sound(log)

    def test_a_conflict_names_the_stream_and_both_versions(self, log: Log) -> None:
        log.commit(append("r1", fact("session/1", 1), fact("session/1", 2)))
        with pytest.raises(StreamConflict) as raised:
            log.commit(append("r2", fact("session/1", 2)))
        assert raised.value.metadata == {"stream": "session/1", "expected": "1", "actual": "2"}

    @pytest.mark.parametrize("wrong", [0, 2, 3])
    def test_a_batch_is_written_whole_or_not_at_all(self, log: Log, wrong: int) -> None:
        streams = [fact(f"session/{i}", 2 if i == wrong else 1) for i in range(4)]
        with pytest.raises(StreamConflict):
            log.commit(append("r1", *streams))
        assert log.head().position == 0
        for table in ("stored_events", "requests", "merkle_nodes", "streams"):
            assert log.query(f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 0}]
        assert log.commit(append("r1", *[fact(f"session/{i}", 1) for i in range(4)])).positions == (1, 2, 3, 4)
        assert_sound(log)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (append("", fact("session/1", 1)), "request id"),
            (append("r" * 257, fact("session/1", 1)), "request_id"),
            (append("r1"), "at least one event"),
            (append("r1", fact("", 1)), "stream"),
            (append("r1", fact("session/1", 0)), "version 0"),
        ],
    )
    def test_what_could_not_be_read_back_is_never_written(self, log: Log, wrong: Append, words: str) -> None:
        with pytest.raises(InvalidInput, match=words):
            log.commit(wrong)
        assert log.head().position == 0


class TestClock:
    def test_recorded_times_never_step_back_though_the_clock_does(self, open_database: Callable[[], Database]) -> None:
        clock = SteppingClock()
        log = make_log(open_database(), clock=clock)
        log.commit(append("r1", fact("session/1", 1)))
        clock.step_back(3600)
        log.commit(append("r2", fact("session/1", 2)))
        again = make_log(open_database(), clock=clock)
        again.commit(append("r3", fact("session/1", 3)))
        assert [e.recorded_at for e in assert_sound(again)] == [START + timedelta(seconds=1)] * 3


class TestIdempotency:
    def test_the_same_request_gets_its_first_answer(self, log: Log) -> None:
        first = log.commit(append("r1", fact("session/1", 1), fact("session/2", 1)))
        log.commit(append("r2", fact("session/1", 2)))
        again = log.commit(append("r1", fact("session/1", 1), fact("session/2", 1)))
        assert (again.events, again.replayed, first.replayed) == (first.events, True, False)
        assert log.head().position == 3

    def test_the_same_id_with_another_request_is_refused(self, log: Log) -> None:
        log.commit(append("r1", fact("session/1", 1)))
        with pytest.raises(AlreadyExists):
            log.commit(append("r1", fact("session/1", 2), fingerprint=b"other"))
        with pytest.raises(AlreadyExists):
            log.replayed(append("r1", fingerprint=b"other").origin)

    def test_an_answer_can_be_asked_for_before_deciding_again(self, log: Log) -> None:
        origin = append("r1").origin
        assert log.replayed(origin) is None
        first = log.commit(append("r1", fact("session/1", 1)))
        found = log.replayed(origin)
        assert found is not None
        assert found.events == first.events

    def test_a_long_answer_is_rebuilt_whole(self, log: Log) -> None:
        many = [fact("session/1", version) for version in range(1, 1202)]
        first = log.commit(append("r1", *many))
        assert log.commit(append("r1", *many)).events == first.events

    def test_a_refusal_is_judged_anew(self, log: Log) -> None:
        with pytest.raises(StreamConflict):
            log.commit(append("r1", fact("session/1", 2), fingerprint=b"one"))
        assert log.commit(append("r1", fact("session/1", 1), fingerprint=b"two")).positions == (1,)

    def test_a_restart_forgets_no_request(self, open_database: Callable[[], Database]) -> None:
        log = make_log(open_database())
        first = log.commit(append("r1", fact("session/1", 1)))
        log.close()
        again = make_log(open_database()).commit(append("r1", fact("session/1", 1)))
        assert (again.events, again.replayed) == (first.events, True)

    def test_eight_callers_with_one_request_write_it_once(self, log: Log) -> None:
        barrier = threading.Barrier(8)

        def send(_: int) -> tuple[RecordedEvent, ...]:
            barrier.wait(30)
            return log.commit(append("r1", fact("session/1", 1))).events

        with ThreadPoolExecutor(8) as pool:
            answers = set(pool.map(send, range(8)))
        assert len(answers) == 1
        assert log.head().position == 1


class Losing:
    """A database that goes away at the end of a transaction, while `loses`."""

    def __init__(self, database: Database) -> None:
        self._database, self.loses = database, False

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        with self._database.write() as writer:
            yield writer
            if self.loses:
                raise Unreachable("the database went away")


class TestGroupCommit:
    def commit(self, database: Database, gate: Gate, count: Callable[[], None] = lambda: None) -> Commit:
        prepare(database, [STREAMS])
        return Commit(database, [STREAMS], gate, lambda: "id", count)

    def test_concurrent_callers_share_transactions(self, open_database: Callable[[], Database]) -> None:
        gate, transactions = Gate(), []
        commit = self.commit(open_database(), gate, lambda: transactions.append(1))
        with held_leader(commit, gate) as pool:
            sent = [pool.submit(commit, append(f"r{i}", fact(f"session/{i}", 1))) for i in range(16)]
        assert sorted(future.result(30).positions for future in sent) == [(i,) for i in range(2, 18)]
        assert len(transactions) < 17

    def test_who_shared_a_transaction_that_was_lost_is_told_and_nobody_is_answered(
        self, open_database: Callable[[], Database]
    ) -> None:
        database, gate = Losing(open_database()), Gate()
        commit = self.commit(cast(Database, database), gate)
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(commit, append(f"r{i}", fact(f"session/{i}", 1))) for i in range(6)]
            assert gate.reached.wait(30)
            database.loses = True
            gate.opened.set()
            assert {type(future.exception(30)) for future in sent} == {Unreachable}
        database.loses = False
        assert commit(append("r1", fact("session/1", 1))).positions == (1,)

    def test_a_conflict_in_a_group_fails_only_its_own(self, open_database: Callable[[], Database]) -> None:
        gate, database = Gate(), open_database()
        commit = self.commit(database, gate)
        with held_leader(commit, gate) as pool:
            sent = [pool.submit(commit, append(f"r{i}", fact(f"session/{i % 4}", 1))) for i in range(12)]
        errors = [future.exception(30) for future in sent]
        assert sum(error is None for error in errors) == 4
        assert all(isinstance(error, StreamConflict) for error in errors if error)
        assert len(assert_sound(make_log(database))) == 5

    def test_two_processes_worth_of_writers_stay_dense_and_unforked(
        self, open_database: Callable[[], Database]
    ) -> None:
        logs = [make_log(open_database()) for _ in range(2)]

        def write(writer: int) -> None:
            for number in range(25):
                log = logs[(writer + number) % 2]
                log.commit(append(f"{writer}-{number}", fact(f"session/{writer}", number + 1)))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        for log in logs:
            assert len(assert_sound(log)) == 150
        assert log.query("SELECT SUM(events) AS n FROM streams") == [{"n": 150}]

    def test_of_writers_that_expect_the_same_version_one_wins(self, open_database: Callable[[], Database]) -> None:
        logs = [make_log(open_database()) for _ in range(4)]
        for version in range(1, 11):
            barrier = threading.Barrier(4)

            def send(writer: int, version: int = version, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait(30)
                try:
                    logs[writer].commit(append(f"{version}-{writer}", fact("session/1", version)))
                except StreamConflict:
                    return False
                return True

            with ThreadPoolExecutor(4) as pool:
                assert sum(pool.map(send, range(4))) == 1
        assert len(assert_sound(logs[0])) == 10


class TestReadTables:
    def test_a_caller_reads_its_own_write(self, log: Log) -> None:
        log.commit(append("r1", fact("session/1", 1), fact("session/1", 2)))
        rows = log.query(
            "SELECT stream, events, last_position FROM streams WHERE lineage = ?", ("AAPL/range/logistic",)
        )
        assert rows == [{"stream": "session/1", "events": 2, "last_position": 2}]

    def test_a_query_writes_nothing(self, log: Log) -> None:
        log.commit(append("r1", fact("session/1", 1)))
        with pytest.raises(NotAllowed):
            log.query("DELETE FROM streams")
        log.commit(append("r2", fact("session/1", 2)))
        assert log.query("SELECT events FROM streams") == [{"events": 2}]

    def test_a_fault_in_a_projection_undoes_the_append_and_only_that(
        self, open_database: Callable[[], Database]
    ) -> None:
        def fail(recorded: RecordedEvent) -> Iterable[Statement]:
            if recorded.stream == "session/bad":
                raise ZeroDivisionError("a defect")
            return []

        def break_constraint(recorded: RecordedEvent) -> Iterable[Statement]:
            value = None if recorded.stream == "session/worse" else 1
            yield Statement("INSERT INTO {second} (position, one) VALUES (?, ?)", (recorded.position, value))

        first = Table("first", "CREATE TABLE {first} (one BIGINT)", (), fail)
        second = Table("second", "CREATE TABLE {second} (position BIGINT, one BIGINT NOT NULL)", (), break_constraint)
        gate, database = Gate(), open_database()
        tables = [STREAMS, first, second]
        prepare(database, tables)
        commit = Commit(database, tables, gate, lambda: "id", lambda: None)
        with held_leader(commit, gate) as pool:
            sent = {
                name: pool.submit(commit, append(name, fact(f"session/{name}", 1)))
                for name in ("good", "bad", "worse", "fine")
            }
        assert isinstance(sent["bad"].exception(30), ZeroDivisionError)
        assert isinstance(sent["worse"].exception(30), ConstraintBroken)
        assert sent["good"].exception(30) is sent["fine"].exception(30) is None
        log = make_log(database, tables)
        assert {recorded.stream for recorded in assert_sound(log)} == {"leader", "session/good", "session/fine"}
        assert log.query("SELECT COUNT(*) AS n FROM streams") == log.query("SELECT COUNT(*) AS n FROM second")
        assert log.query("SELECT COUNT(*) AS n FROM requests") == [{"n": 3}]
