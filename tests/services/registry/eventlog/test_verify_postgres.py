"""Nothing that is changed in a log's PostgreSQL goes unnoticed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.transparency.keys import TrustedKey, public_bytes
from ratchet.transparency.verification import UNPROVEN_TAIL
from services.platform.artifacts import open_store
from services.registry.eventlog import Statement, Table, open_log
from services.registry.eventlog.checkpoints import Signer
from services.registry.eventlog.postgres import PostgresDatabase, PostgresTransaction
from services.registry.eventlog.verify import LogVerification, verify, verify_tables
from services.registry.projections import TABLES
from tests.support.audited_log import Auditee, SteppingClock, write_history
from tests.support.log_samples import append, fact
from tests.support.postgres import Postgres

KEY = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
PUBLIC = public_bytes(KEY)

FLIPPED = "set_byte({0}, length({0}) / 2, get_byte({0}, length({0}) / 2) # 1)"
ROOT_LINE = "split_part(note, chr(10), 3)"
LAST_REQUEST = "first_position = (SELECT MAX(first_position) FROM requests)"
EVENTS = "position, originator_id, originator_version, topic, state"

BY_HAND = {
    "an event's byte": f"UPDATE stored_events SET state = {FLIPPED.format('state')} WHERE position = 40",
    "an event's last byte": "UPDATE stored_events SET state = set_byte(state, length(state) - 1,"
    " get_byte(state, length(state) - 1) # 128) WHERE position = 70",
    "an event that is longer": r"UPDATE stored_events SET state = state || '\x7801' WHERE position = 3",
    "an event's stream": "UPDATE stored_events SET originator_id = originator_id || 'x' WHERE position = 12",
    "an event's topic": "UPDATE stored_events SET topic = 'ratchet.events.v1.ModelPromoted' WHERE position = 2",
    "an event's version": "UPDATE stored_events SET originator_version = originator_version + 1000 WHERE position = 9",
    "an event's position": "UPDATE stored_events SET position = position + 1000 WHERE position = 9",
    "an event gone": "DELETE FROM stored_events WHERE position = 20",
    "the first event gone": "DELETE FROM stored_events WHERE position = 1",
    "the last event gone": "DELETE FROM stored_events WHERE position = (SELECT MAX(position) FROM stored_events)",
    "all events gone": "DELETE FROM stored_events",
    "two events swapped": "UPDATE stored_events SET position = -1 WHERE position = 8;"
    " UPDATE stored_events SET position = 8 WHERE position = 9;"
    " UPDATE stored_events SET position = 9 WHERE position = -1",
    "an event more": f"INSERT INTO stored_events ({EVENTS}) SELECT (SELECT MAX(position) + 1 FROM stored_events),"
    " originator_id, originator_version + 1000, topic, state FROM stored_events WHERE position = 2",
    "a node": f"UPDATE merkle_nodes SET hash = {FLIPPED.format('hash')} WHERE level = 0 AND idx = 5",
    "an inner node": f"UPDATE merkle_nodes SET hash = {FLIPPED.format('hash')} WHERE level = 3 AND idx = 2",
    "a node gone": "DELETE FROM merkle_nodes WHERE level = 1 AND idx = 7",
    "a node more": "INSERT INTO merkle_nodes VALUES (2, 10000, 'more')",
    "a level more": "INSERT INTO merkle_nodes VALUES (63, 0, 'more')",
    "a node elsewhere": "UPDATE merkle_nodes SET idx = -idx - 1 WHERE level = 1 AND idx = 3",
    "a request gone": f"DELETE FROM requests WHERE {LAST_REQUEST}",
    "a request that goes further": f"UPDATE requests SET last_position = last_position + 1 WHERE {LAST_REQUEST}",
    "a request's name": f"UPDATE requests SET request_id = request_id || 'x' WHERE {LAST_REQUEST}",
    "a request more": "INSERT INTO requests VALUES ('another', 'x', 5, 5)",
    "a checkpoint's signature": "UPDATE checkpoints SET note = left(note, -8) || 'AAAAAA=' || chr(10) WHERE size = 1",
    "a checkpoint's root": f"UPDATE checkpoints SET note = replace(note, {ROOT_LINE}, repeat('A', 43) || '=')"
    " WHERE size = 1",
    "a checkpoint's text": "UPDATE checkpoints SET note = note || 'more' || chr(10) WHERE size = 1",
    "a checkpoint's size": "UPDATE checkpoints SET size = size + 1000 WHERE size = 1",
    "the newest checkpoint gone": "DELETE FROM checkpoints WHERE size = (SELECT MAX(size) FROM checkpoints)",
    "all checkpoints gone": "DELETE FROM checkpoints",
    "the events' table gone": "DROP TABLE stored_events",
    "the nodes' table gone": "DROP TABLE merkle_nodes",
    "a read table gone": "DROP TABLE pattern_use",
    "a read table with a column more": "ALTER TABLE model_registry ADD COLUMN extra BIGINT",
    "a read table with a column less": "ALTER TABLE model_registry DROP COLUMN brier",
    "a read table of other numbers": "ALTER TABLE model_registry ALTER COLUMN brier TYPE TEXT",
    "a read table's mark": "UPDATE read_tables SET definition = definition || ' ' WHERE name = 'model_registry'",
    "a score": "UPDATE model_registry SET brier = brier + 1e-9 WHERE version = 1",
    "a score gone": "UPDATE model_registry SET brier = NULL WHERE version = 1",
    "a flag": "UPDATE model_states SET is_symbol_best = 1 - is_symbol_best WHERE model LIKE '%/v2'",
    "a row twice": "ALTER TABLE decision_history DROP CONSTRAINT decision_history_pkey;"
    " INSERT INTO decision_history SELECT * FROM decision_history LIMIT 1",
    **{
        f"a row of {table.name}": f"DELETE FROM {table.name} WHERE ctid = (SELECT MIN(ctid) FROM {table.name})"
        for table in TABLES
    },
}


@pytest.fixture(scope="module")
def written(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log with every kind of decision in it; what is changed in it is undone."""
    url = postgres.fresh()
    log = open_log(url, TABLES, clock=SteppingClock())
    log.sign_with(Signer(KEY))
    write_history(Auditee(log, open_store(tmp_path_factory.mktemp("artifacts").as_uri())))
    log.close()
    return url


@pytest.fixture(scope="module")
def database(written: str) -> Iterator[PostgresDatabase]:
    found = PostgresDatabase(written)
    yield found
    found.close()


class _Undone(Exception):
    pass


@dataclass
class _Inside:
    """What a transaction sees that is not committed."""

    writer: PostgresTransaction

    @contextmanager
    def read(self) -> Iterator[PostgresTransaction]:
        yield self.writer


def verified(database: PostgresDatabase, *changes: str) -> LogVerification:
    """The log after changes by hand, which are undone."""
    found: list[LogVerification] = []
    with suppress(_Undone), database.write() as writer:
        for sql in changes:
            # As whoever has the database does it: several statements at a time.
            assert writer._connection.execute(sql.encode()).rowcount != 0, sql
        found.append(verify(_Inside(writer), TABLES, trusted=[TrustedKey(PUBLIC)]))
        raise _Undone
    return found[0]


def test_a_log_as_it_was_written_verifies(database: PostgresDatabase) -> None:
    found = verified(database)
    assert found.findings == ()
    assert found.notes == (UNPROVEN_TAIL,)
    checked = dict(found.checked)
    assert checked["events"] > 100
    assert checked["decisions decided again"] > 30
    assert checked["rows of decision_history"] == checked["decisions decided again"]


@pytest.mark.parametrize("change", BY_HAND.values(), ids=BY_HAND)
def test_no_change_by_hand_is_missed(database: PostgresDatabase, change: str) -> None:
    assert verified(database, change).findings != ()


def test_no_byte_of_any_event_is_changed_unseen(database: PostgresDatabase) -> None:
    rng = random.Random(7)
    with database.read() as reader:
        sizes = [
            (row["position"], row["size"])
            for row in reader.rows("SELECT position, length(state) AS size FROM stored_events ORDER BY position")
        ]
    for position, size in rng.sample(sizes, 30):
        at, bit = rng.randrange(size), 1 << rng.randrange(8)
        flipped = f"set_byte(state, {at}, get_byte(state, {at}) # {bit})"
        flip = f"UPDATE stored_events SET state = {flipped} WHERE position = {position}"
        assert verified(database, flip).findings != (), flip


def test_rows_without_a_value_are_compared_in_the_same_order(postgres: Postgres) -> None:
    """PostgreSQL sorts them last by itself, and what they are compared with first."""
    halves = Table(
        "halves",
        "CREATE TABLE {halves} (half BIGINT, name TEXT)",
        (),
        lambda event: [
            Statement(
                "INSERT INTO {halves} (half, name) VALUES (?, ?)",
                (event.position // 2 if event.position % 2 == 0 else None, f"Ä{event.position}" * (event.position % 3)),
            )
        ],
    )
    log = open_log(postgres.fresh(), [halves], clock=SteppingClock())
    log.commit(append("r1", *[fact("session/1", version) for version in range(1, 31)]))
    with log.database.read() as reader:
        assert verify_tables(reader, [halves]) == ((), {"halves": 30})
    log.close()


def test_what_was_changed_in_read_tables_is_put_right_by_a_rebuild(postgres: Postgres) -> None:
    url = postgres.fresh()
    log = open_log(url, TABLES, clock=SteppingClock())
    log.sign_with(Signer(KEY))
    with TemporaryDirectory() as folder:
        write_history(Auditee(log, open_store(Path(folder).as_uri())))
    for change in ("a score", "a read table with a column more", "a row of decision_history", "a read table gone"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(BY_HAND[change].encode())
        assert [table.name for table in log.rebuild() if not table.identical] != []
        assert all(table.identical for table in log.rebuild())
    assert verify(log.database, TABLES, trusted=[TrustedKey(PUBLIC)]).findings == ()
    log.close()
