"""An exported log in another database is the same log, and goes on there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.errors import AlreadyExists, Conflict, CorruptData, PreconditionFailed
from ratchet.eventlog.v1 import eventlog_pb2 as pb
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.export import checkpoint_line, event_line
from services.platform.artifacts import open_store
from services.platform.settings import Settings
from services.registry.audit import Audit, import_export
from services.registry.bootstrap import open_signed_log
from services.registry.eventlog import Log
from services.registry.projections import TABLES
from tests.support.audited_log import FOREST, Auditee, write_history
from tests.support.tampered_log import events_of


def settings_of(home: Path) -> Settings:
    return Settings.load("registry", home, "127.0.0.1", 0, {})


def audit_of(log: Log, settings: Settings) -> Audit:
    return Audit(log, TABLES, settings, clock=lambda: datetime.now(UTC))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a log, its artifacts and an export."""
    home = tmp_path_factory.mktemp("written")
    settings = settings_of(home)
    log = open_signed_log(settings)
    write_history(Auditee(log, open_store(settings.artifacts)))
    lines = [
        event_line(event.position, event.stream, event.version, event.topic, event.state)
        for batch in log.read()
        for event in batch
    ]
    note = log.note(log.head().position)
    (home / "log.jsonl").write_text("\n".join([*lines, checkpoint_line(note)]) + "\n", encoding="utf-8")
    log.close()
    return home


@pytest.fixture
def imported(written: Path, tmp_path: Path) -> Settings:
    """Another home with the same log, key and artifacts."""
    home = tmp_path / "home"
    home.mkdir()
    settings = settings_of(home)
    import_export(settings, written / "log.jsonl", ())
    (home / "signing.key").write_bytes((written / "signing.key").read_bytes())
    (home / "signing.key").chmod(0o600)
    (home / "artifacts").symlink_to(written / "artifacts")
    return settings


def rows_of(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_everything_that_follows_from_the_events_is_the_same(written: Path, imported: Settings) -> None:
    one, other = written / "log.sqlite", imported.home / "log.sqlite"
    assert events_of(one) == events_of(other)
    for sql in (
        "SELECT * FROM merkle_nodes ORDER BY level, idx",
        "SELECT request_id, first_position, last_position FROM requests ORDER BY first_position",
        *(f"SELECT * FROM {table.name} ORDER BY 1, 2, 3" for table in TABLES),
    ):
        assert rows_of(one, sql) == rows_of(other, sql)


def test_the_imported_log_goes_on_and_verifies(imported: Settings) -> None:
    log = open_signed_log(imported)
    before = log.head().position
    Auditee(log, open_store(imported.artifacts), first=1000).import_bars("MSFT")
    assert log.head().position == before + 1
    answer = audit_of(log, imported)(pb.VerifyRequest())
    assert list(answer.findings) == []
    assert Checkpoint.parse(answer.checkpoint).size == before + 1
    log.close()


def test_a_request_from_before_the_import_is_refused_as_another_one(imported: Settings) -> None:
    """An export does not tell what a request asked for, so that its answer can't be given again."""
    log = open_signed_log(imported)
    with pytest.raises(AlreadyExists, match="was used for another request"):
        Auditee(log, open_store(imported.artifacts)).import_bars("MSFT")
    log.close()


def test_a_log_with_events_is_not_overwritten(written: Path, imported: Settings) -> None:
    with pytest.raises(PreconditionFailed, match="import into an empty home"):
        import_export(imported, written / "log.jsonl", ())


@pytest.mark.parametrize("left_out", [0, 40, -2, -1])
def test_an_export_that_does_not_verify_leaves_an_empty_log(written: Path, tmp_path: Path, left_out: int) -> None:
    lines = (written / "log.jsonl").read_text(encoding="utf-8").splitlines()
    del lines[left_out]
    broken = tmp_path / "broken.jsonl"
    broken.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(CorruptData):
        import_export(settings_of(tmp_path), broken, ())
    assert rows_of(tmp_path / "log.sqlite", "SELECT COUNT(*) FROM stored_events") == [(0,)]


def test_one_audit_runs_at_a_time(imported: Settings) -> None:
    log = open_signed_log(imported)
    audit = audit_of(log, imported)
    refused: list[str] = []

    def ask_again() -> bool:
        with pytest.raises(Conflict) as conflict:
            audit(pb.VerifyRequest())
        refused.append(conflict.value.message)
        return True

    assert audit(pb.VerifyRequest(), ask_again).verified
    assert "is being verified already" in refused[0]
    log.close()


def test_nothing_is_collected_from_a_log_that_does_not_verify(imported: Settings, written: Path) -> None:
    with closing(sqlite3.connect(imported.home / "log.sqlite")) as db:
        db.execute("UPDATE model_registry SET lineage = ? WHERE version = 1", (f"{FOREST}s",))
        db.commit()
    log = open_signed_log(imported)
    answer = audit_of(log, imported)(pb.VerifyRequest(collect_garbage=True))
    assert not answer.verified
    assert any("nothing was collected" in note for note in answer.notes)
    log.close()
