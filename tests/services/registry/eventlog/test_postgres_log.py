"""What PostgreSQL adds: who may come in, what is durable, and connections that break."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest

from ratchet.errors import CorruptData, InvalidInput, LogFull, NotAllowed, RatchetError, Unreachable
from services.registry.eventlog import Log, Statement, Table, open_log, subscription
from services.registry.eventlog import postgres as postgres_log
from services.registry.eventlog.postgres import PostgresDatabase
from tests.support.log_samples import STREAMS, append, assert_sound, everything, fact, make_log
from tests.support.postgres import Postgres


def opened(url: str) -> Log:
    return open_log(url, [STREAMS], lambda: datetime.now(UTC))


@pytest.fixture
def database(postgres_url: str) -> Iterator[PostgresDatabase]:
    found = PostgresDatabase(postgres_url)
    yield found
    found.close()


def broken_off(url: str) -> int:
    """End every connection to the database of `url`, as a restart of the server does; how many there were."""
    with psycopg.connect(url) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return len(ended.fetchall())


@pytest.fixture
def locked(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """The URL of a user who needs the password `sesame`, given the password to try."""
    name, before = psycopg.conninfo.conninfo_to_dict(postgres.fresh())["dbname"], postgres.hba.read_text()
    postgres.execute("postgres", "CREATE ROLE locked LOGIN PASSWORD 'sesame'")
    postgres.execute("postgres", f"ALTER DATABASE {name} OWNER TO locked")
    postgres.hba.write_text(f"local all locked scram-sha-256\n{before}")
    postgres.control("reload")
    yield lambda password: postgres.url(str(name), "locked", password)
    postgres.hba.write_text(before)
    postgres.control("reload")
    postgres.drop(postgres.url(str(name)))
    postgres.execute("postgres", "DROP ROLE locked")


@pytest.fixture
def barred(postgres: Postgres) -> Iterator[str]:
    """The URL of a user whom the server's pg_hba.conf rejects."""
    before = postgres.hba.read_text()
    postgres.execute("postgres", "CREATE ROLE barred LOGIN")
    postgres.hba.write_text(f"local all barred reject\n{before}")
    postgres.control("reload")
    yield postgres.url("postgres", "barred")
    postgres.hba.write_text(before)
    postgres.control("reload")
    postgres.execute("postgres", "DROP ROLE barred")


class TestOpening:
    def test_a_password_lets_in_from_the_url_or_the_environment(
        self, locked: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened(locked("sesame")).close()
        monkeypatch.setenv("PGPASSWORD", "sesame")
        opened(locked("")).close()

    @pytest.mark.parametrize("password", ["open-up", ""])
    def test_a_wrong_password_is_said_and_never_shown(self, locked: Callable[[str], str], password: str) -> None:
        with pytest.raises(NotAllowed, match=r"password.*RATCHET_LOG or PGPASSWORD") as refused:
            opened(locked(password))
        assert "open-up" not in "".join(traceback.format_exception(refused.value))

    def test_a_database_that_is_not_there_is_named_with_how_to_make_it(self, postgres: Postgres) -> None:
        with pytest.raises(Unreachable, match='database "none" does not exist; make it with createdb'):
            opened(postgres.url("none"))

    def test_a_user_who_is_not_known_is_named(self, postgres: Postgres) -> None:
        with pytest.raises(NotAllowed, match='role "ghost" does not exist'):
            opened(postgres.url("postgres", "ghost"))

    def test_a_user_whom_the_server_does_not_let_in_is_told(self, barred: str) -> None:
        with pytest.raises(NotAllowed, match=r"can't be opened: .*; let this user and host in, in the server's pg_hba"):
            opened(barred)

    def test_a_server_that_does_not_answer_is_named(self) -> None:
        with pytest.raises(Unreachable, match=r"ledger at 127.0.0.1:1\).*refused.*check that the server runs"):
            opened("postgresql://ann:sesame@127.0.0.1:1/ledger")

    def test_a_database_in_another_encoding_is_refused(self, postgres: Postgres) -> None:
        postgres.execute("postgres", "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        with pytest.raises(InvalidInput, match=r"LATIN1.*--encoding=UTF8"):
            opened(postgres.url("latin"))
        postgres.drop(postgres.url("latin"))

    def test_a_user_who_may_not_make_tables_is_told(self, postgres: Postgres, postgres_url: str) -> None:
        postgres.execute("postgres", "CREATE ROLE guest LOGIN")
        try:
            with pytest.raises(NotAllowed, match=r"permission denied.*own the database"):
                opened(postgres_url.replace("//postgres:", "//guest:"))
        finally:
            postgres.execute("postgres", "DROP ROLE guest")

    def test_a_schema_that_the_url_names_holds_the_log(self, postgres: Postgres, postgres_url: str) -> None:
        name = str(psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"])
        postgres.execute(name, "CREATE SCHEMA mine")
        log = opened(f"{postgres_url}&options=-csearch_path%3Dmine")
        log.commit(append("r1", fact("session/1", 1)))
        assert postgres.execute(name, "SELECT COUNT(*) FROM mine.stored_events") == [(1,)]
        assert all(table.identical for table in log.rebuild())
        log.close()


class TestDurability:
    def test_a_commit_is_synced_whatever_the_server_s_default(self, postgres: Postgres, postgres_url: str) -> None:
        name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
        postgres.execute("postgres", f"ALTER DATABASE {name} SET synchronous_commit = off")
        postgres.execute("postgres", f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
        database = PostgresDatabase(postgres_url)
        with database.write() as writer:
            [row] = writer.rows(
                "SELECT current_setting('synchronous_commit') AS sync, current_setting('transaction_isolation') AS iso"
            )
        assert row == {"sync": "on", "iso": "read committed"}
        database.close()

    def test_a_full_disk_refuses_cleanly_and_reads_go_on(self, postgres: Postgres, postgres_url: str) -> None:
        name = str(psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"])
        log = opened(postgres_url)
        log.commit(append("r1", fact("session/1", 1)))
        postgres.execute(
            name,
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION"
            " 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$",
        )
        postgres.execute(name, "CREATE TRIGGER no_space AFTER INSERT ON merkle_nodes EXECUTE FUNCTION no_space()")
        for _ in range(2):
            with pytest.raises(LogFull, match="No space left on device; nothing of this request was written"):
                log.commit(append("r2", fact("session/1", 2)))
        assert [recorded.position for recorded in everything(log)] == [1]
        assert log.query("SELECT events FROM streams") == [{"events": 1}]
        postgres.execute(name, "DROP TRIGGER no_space ON merkle_nodes")
        assert log.commit(append("r2", fact("session/1", 2))).positions == (2,)
        assert_sound(log)
        log.close()

    @pytest.mark.parametrize(
        ("state", "kind", "words"),
        [
            ("53200", Unreachable, "the server has no memory left"),
            ("53300", Unreachable, "allow more connections"),
            ("25006", NotAllowed, "name the primary server"),
            ("42501", NotAllowed, "let this user own the database"),
            ("55P03", Unreachable, "another process has held it"),
            ("25P03", Unreachable, "this process stood still inside a transaction"),
            ("40001", Unreachable, "try again"),
            ("40P01", Unreachable, "try again"),
            ("57014", Unreachable, "the server cancelled it: check its statement_timeout"),
            ("54000", InvalidInput, "send shorter names"),
            ("58030", Unreachable, "its disk does not answer as it should"),
            ("XX001", CorruptData, "the database is damaged: restore it"),
            ("XX002", CorruptData, "an index of the database is damaged"),
            ("22001", InvalidInput, "send another value"),
        ],
    )
    def test_what_the_server_refuses_is_said_with_what_to_do(
        self, postgres: Postgres, database: PostgresDatabase, state: str, kind: type[RatchetError], words: str
    ) -> None:
        raised = f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{state}'; END $$"

        def write() -> None:
            with database.write() as writer:
                writer.execute(raised)

        with pytest.raises(kind, match=f"as told; {words}") as refused:
            write()
        assert type(refused.value) is kind

    def test_texts_sort_by_their_bytes_whatever_the_locale(self, database: PostgresDatabase) -> None:
        make_log(database)
        with database.read() as reader:
            found = reader.rows(
                "SELECT DISTINCT collation_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND data_type = 'text'"
            )
            assert [row["collation_name"] for row in found] == ["C"]


class TestBrokenConnections:
    def test_connections_that_broke_while_idle_are_replaced_unseen(self, postgres_url: str) -> None:
        log = opened(postgres_url)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: log.commit(append(f"r{n}", fact(f"session/{n}", 1))), range(8)))
        for number in range(8, 11):
            assert broken_off(postgres_url) >= 1
            assert log.query("SELECT COUNT(*) AS n FROM streams") == [{"n": number}]
            log.commit(append(f"r{number}", fact(f"session/{number}", 1)))
        assert_sound(log)
        log.close()

    def test_a_connection_that_breaks_inside_a_transaction_fails_it_and_no_other(self, postgres_url: str) -> None:
        breaking = [True]

        def cut(_: object) -> list[Statement]:
            if breaking:
                breaking.clear()
                broken_off(postgres_url)
            return [Statement("INSERT INTO {cut} (one) VALUES (1)")]

        log = open_log(
            postgres_url, [Table("cut", "CREATE TABLE {cut} (one BIGINT)", (), cut)], lambda: datetime.now(UTC)
        )
        with pytest.raises(Unreachable, match="try again"):
            log.commit(append("r1", fact("session/1", 1)))
        assert log.head().position == 0
        assert log.commit(append("r1", fact("session/1", 1))).positions == (1,)
        assert_sound(log)
        log.close()

    def test_a_commit_whose_answer_was_lost_is_found_by_its_request(
        self, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = make_log(database)
        with monkeypatch.context() as patch:
            patch.setattr(database, "_commit", b"COMMIT; SELECT pg_terminate_backend(pg_backend_pid())")
            with pytest.raises(Unreachable, match="send it again with the same request id"):
                log.commit(append("r1", fact("session/1", 1)))
        again = log.commit(append("r1", fact("session/1", 1)))
        assert (again.positions, again.replayed) == ((1,), True)
        log.commit(append("r2", fact("session/1", 2)))
        assert len(assert_sound(log)) == 2

    def test_a_follower_whose_server_was_away_still_hears_of_other_processes(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subscription, "POLL_SECONDS", 3600.0)
        here, elsewhere = opened(postgres_url), opened(postgres_url)
        here.commit(append("r1", fact("session/1", 1)))
        batches = here.follow(0)
        assert next(batches)[1] == 1
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(next, batches)
            broken_off(postgres_url)
            elsewhere.commit(append("r2", fact("session/1", 2)))
            assert waiting.result(30)[1] == 2
        for log in (here, elsewhere):
            log.close()

    def test_a_server_that_vanished_is_found_out_within_half_a_minute(self, database: PostgresDatabase) -> None:
        with database._connections.connect() as connection:
            said = {name: int(value) for name, value in connection.info.get_parameters().items() if value.isdecimal()}
        silent, each, often = (said[f"keepalives_{name}"] for name in ("idle", "interval", "count"))
        assert silent + each * often <= 30
        assert said["tcp_user_timeout"] <= 30_000
        assert said["connect_timeout"] <= 10

    def test_connections_are_bounded_and_some_are_kept(
        self, postgres: Postgres, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in (("MAX_CONNECTIONS", 3), ("MAX_IDLE", 1), ("WAIT_SECONDS", 0.1)):
            monkeypatch.setattr(f"services.registry.eventlog.postgres_connections.{name}", value)
        refused = pytest.raises(Unreachable, match=r"all 3 connections to .* are busy; try again")
        with database.read(), database.read(), database.read(), refused, database.read():
            pass
        assert len(database._connections._idle) == 1


class TestListening:
    def test_the_commits_of_others_are_heard_and_ones_own_are_known(self, postgres_url: str) -> None:
        before, heard = set(threading.enumerate()), threading.Semaphore(0)
        one, other = PostgresDatabase(postgres_url), PostgresDatabase(postgres_url)
        one.listen(heard.release)
        assert heard.acquire(timeout=30), "what was missed before it listened"
        for database in (one, one, other):
            with database.write():
                pass
        assert heard.acquire(timeout=30)
        assert not heard.acquire(blocking=False)
        [listening] = [thread for thread in set(threading.enumerate()) - before if thread.name == "listen"]
        for database in (one, other):
            database.close()
        listening.join(30)
        assert not listening.is_alive()


class TestTransactions:
    def test_an_error_that_nobody_saw_commits_nothing(self, database: PostgresDatabase) -> None:
        """PostgreSQL answers COMMIT with ROLLBACK then, and says no word."""
        make_log(database)

        def write() -> None:
            with database.write() as writer:
                writer.execute("INSERT INTO read_tables (name, definition) VALUES ('x', 'y')")
                with pytest.raises(psycopg.Error):
                    list(writer.rows("SELECT nonsense"))

        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            write()
        with database.read() as reader:
            assert list(reader.rows("SELECT * FROM read_tables WHERE name = 'x'")) == []

    def test_long_queries_are_fetched_in_parts_several_at_a_time(self, database: PostgresDatabase) -> None:
        log = make_log(database)
        log.commit(append("r1", *[fact("session/1", version) for version in range(1, 1202)]))
        with database.read() as reader:
            streams = [reader.stream("SELECT position FROM stored_events ORDER BY position") for _ in range(2)]
            assert [next(stream)["position"] for stream in streams * 2] == [1, 1, 2, 2]
            assert list(reader.rows("SELECT COUNT(*) AS n FROM pg_cursors WHERE name LIKE 'rows%'")) == [{"n": 2}]
            assert [row["position"] for row in streams[0]] == list(range(3, 1202))
        with database.read() as reader:
            assert list(reader.rows("SELECT COUNT(*) AS n FROM pg_cursors WHERE name LIKE 'rows%'")) == [{"n": 0}]

    def test_a_reader_sees_one_snapshot(self, database: PostgresDatabase) -> None:
        log = make_log(database)
        log.commit(append("r1", fact("session/1", 1)))
        with database.read() as reader:
            before = list(reader.rows("SELECT COUNT(*) AS n FROM stored_events"))
            log.commit(append("r2", fact("session/1", 2)))
            assert list(reader.rows("SELECT COUNT(*) AS n FROM stored_events")) == before == [{"n": 1}]

    def test_who_reads_while_a_table_is_put_right_never_finds_it_empty(self, database: PostgresDatabase) -> None:
        log = make_log(database)
        log.commit(append("r1", *[fact(f"session/{n}", 1) for n in range(50)]))
        done = threading.Event()

        def read() -> set[int]:
            seen = set()
            while not done.is_set():
                seen.add(log.query("SELECT COUNT(*) AS n FROM streams")[0]["n"])
            return seen

        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(read) for _ in range(2)]
            try:
                for _ in range(5):
                    with database.write() as writer:
                        writer.execute("UPDATE streams SET events = 7")
                    assert [table.identical for table in log.rebuild()] == [False]
            finally:
                done.set()
            assert [future.result(30) for future in reading] == [{50}, {50}]

    def test_a_writer_that_waits_too_long_is_told_to_try_again(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = PostgresDatabase(postgres_url), PostgresDatabase(postgres_url)
        monkeypatch.setattr(postgres_log, "_WRITE", postgres_log._WRITE.replace(b"'30s'", b"'50ms'"))
        with one.write(), pytest.raises(Unreachable, match="another process has held it"), other.write():
            pass
        with other.write() as writer:
            assert writer.alive
        for each in (one, other):
            each.close()
