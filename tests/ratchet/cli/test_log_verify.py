"""ratchet log verify and import, as a stranger runs them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ratchet.transparency.checkpoint_files import read_checkpoints
from ratchet.transparency.export import read_events
from ratchet.transparency.keys import create_private, public_bytes, vkey, write_public
from services.platform.artifacts import ArtifactStore, open_store
from services.platform.settings import Settings
from services.registry.bootstrap import build, open_signed_log
from tests.support.audited_log import Auditee, write_history

Run = Callable[..., Any]
REMEMBERED = "remembered.txt"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a log and its artifacts."""
    home = tmp_path_factory.mktemp("written")
    settings = Settings.load("registry", home, "127.0.0.1", 0, {})
    log = open_signed_log(settings)
    write_history(Auditee(log, open_store(settings.artifacts)))
    log.close()
    return home


class Served:
    """A registry that runs on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = Settings.load("registry", home, "127.0.0.1", 0, {})
        self.server, self._closers = build(self.settings)
        self.server.start()

    @property
    def artifacts(self) -> ArtifactStore:
        return open_store(self.settings.artifacts)

    def sql(self, *statement: object) -> None:
        with closing(sqlite3.connect(self.home / "log.sqlite")) as db:
            db.execute(*statement)  # type: ignore[arg-type]
            db.commit()

    def stop(self) -> None:
        """As often as wished."""
        self.server.stop(0)
        for close in self._closers:
            close()
        self._closers = ()


Serve = Callable[[Path], Served]


@pytest.fixture
def serve(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a registry and points the command line to it."""
    started: list[Served] = []

    def start(home: Path) -> Served:
        started.append(Served(home))
        monkeypatch.setenv("RATCHET_REGISTRY", f"127.0.0.1:{started[-1].server.port}")
        return started[-1]

    yield start
    for served in started:
        served.stop()


@pytest.fixture
def served(serve: Serve, written: Path, tmp_path: Path) -> Served:
    home = tmp_path / "home"
    _copy(written, home)
    return serve(home)


@pytest.fixture
def exported(served: Served, run: Run, tmp_path: Path) -> Path:
    file = tmp_path / "log.jsonl"
    file.write_text(run("log", "export").out, encoding="utf-8")
    return file


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(path.stat().st_mode)


def home_of(served: Served) -> tuple[str, str]:
    return "--home", str(served.home)


def test_what_was_looked_at_is_listed(served: Served, run: Run) -> None:
    ran = run("log", "verify", *home_of(served))
    assert ran.code == 0, ran.err
    for what in ("decisions decided again", "checkpoints", "Merkle nodes", "rows of model_registry", "artifacts"):
        assert what in ran.out
    assert "note: the tail is not proven" in ran.out
    assert "verified: " in ran.out


def test_a_checkpoint_is_remembered_and_then_compared_with(served: Served, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "kept" / REMEMBERED
    first = run("log", "verify", "--remember", str(file), *home_of(served))
    assert (first.code, len(read_checkpoints(file))) == (0, 1)
    second = run("log", "verify", "--remember", str(file), "-o", "json", *home_of(served))
    found = json.loads(second.out)
    assert (second.code, found["verified"], found["notes"]) == (0, True, [])
    assert found["checked"]["remembered checkpoints"] == 1
    assert len(read_checkpoints(file)) == 1


def test_an_edited_read_table_is_named(served: Served, run: Run) -> None:
    served.sql("UPDATE model_registry SET features = features + 1 WHERE version = 1")
    ran = run("log", "verify", *home_of(served))
    assert ran.code == 7
    assert "table model_registry" in ran.err


@pytest.mark.parametrize("edited", ["CAST(state || x'00' AS BLOB)", "state || x'ff'", "7"])
def test_an_edited_event_is_named_by_its_position_in_json_too(served: Served, run: Run, edited: str) -> None:
    served.sql(f"UPDATE stored_events SET state = {edited} WHERE position = 9")
    ran = run("log", "verify", "-o", "json", *home_of(served))
    assert ran.code == 7
    found = json.loads(ran.out)
    assert not found["verified"]
    assert any(f.startswith(("position 9: ", "after position 8: ")) for f in found["findings"])
    assert json.loads(ran.err)["error"]["reason"] == "CORRUPT_DATA"


def test_a_damaged_and_a_missing_artifact_are_named_with_the_position_that_needs_them(served: Served, run: Run) -> None:
    one, other = sorted(served.artifacts.digests())[:2]
    for digest in (one, other):
        path = served.home / "artifacts" / digest[:2] / digest[2:]
        path.chmod(0o644)
        path.write_bytes(b"damaged") if digest == one else path.unlink()
    ran = run("log", "verify", *home_of(served))
    assert ran.code == 7
    assert f"artifact {one}" in ran.err
    assert "is damaged" in ran.err
    assert f"artifact {other} is not in" in ran.err


def test_orphans_are_listed_and_only_old_ones_removed(served: Served, run: Run) -> None:
    old, young = served.artifacts.put(b"old and forgotten"), served.artifacts.put(b"of a session that runs")
    path = served.home / "artifacts" / old[:2] / old[2:]
    os.utime(path, (path.stat().st_mtime - 90_000,) * 2)
    listed = run("log", "verify", *home_of(served))
    assert listed.code == 0
    assert f"orphan: artifact {old}" in listed.out
    collected = json.loads(run("log", "verify", "--gc", "-o", "json", *home_of(served)).out)
    assert (collected["collected"], collected["orphans"]) == ([old], [young])
    assert not served.artifacts.has(old)


def test_a_home_without_its_key_can_not_be_trusted(served: Served, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    write_public(other, public_bytes(create_private(tmp_path / "other.key")))
    ran = run("log", "verify", "--key", str(other), *home_of(served))
    assert ran.code == 7
    assert "the key that is trusted is none of the log's" in ran.err


class TestAnExport:
    def verify(self, run: Run, served: Served, file: Path, *more: str) -> tuple[int, str]:
        """Without the service."""
        ran = run("log", "verify", "--export", str(file), "--key", str(served.home / "signing.pub"), *more)
        return ran.code, ran.out + ran.err

    def edited(self, file: Path, edit: Callable[[list[str]], list[str]]) -> Path:
        lines = edit(file.read_text(encoding="utf-8").splitlines())
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def test_is_verified_without_any_service(self, run: Run, served: Served, exported: Path) -> None:
        served.stop()
        code, said = self.verify(run, served, exported)
        assert code == 0, said
        assert "decisions decided again" in said

    def test_an_edited_payload_beside_intact_bytes_is_found(self, run: Run, served: Served, exported: Path) -> None:
        def edit(lines: list[str]) -> list[str]:
            return [line.replace('"reason": "trust me"', '"reason": "it is better"') for line in lines]

        code, said = self.verify(run, served, self.edited(exported, edit))
        assert code == 7
        assert "its readable payload is not what its bytes say" in said

    def test_a_form_that_another_program_wrote_is_the_same(self, run: Run, served: Served, exported: Path) -> None:
        def edit(lines: list[str]) -> list[str]:
            return [json.dumps(json.loads(line), separators=(",", ":"), sort_keys=True) for line in lines]

        assert self.verify(run, served, self.edited(exported, edit))[0] == 0

    @pytest.mark.parametrize(
        "edit",
        [
            lambda lines: lines[:40] + lines[41:],
            lambda lines: [*lines[:40], lines[41], lines[40], *lines[42:]],
            lambda lines: lines[:-1],
            lambda lines: lines[:-3] + lines[-1:],
            lambda lines: lines[:-3],
            lambda lines: [lines[0], *lines],
            lambda lines: [*lines[:-1], lines[-1].replace("ratchet.log/", "ratchet.log/0")],
            lambda lines: [*lines[:-1], '{"checkpoint": 1}'],
            lambda lines: [*lines, lines[3]],
            lambda lines: [*lines[:7], "{", *lines[8:]],
            lambda lines: [lines[0].replace('"state": "', '"state": "A'), *lines[1:]],
            lambda lines: [lines[0].replace('{"position"', '{"position": 2, "position"'), *lines[1:]],
        ],
    )
    def test_any_other_edit_is_found(
        self, run: Run, served: Served, exported: Path, edit: Callable[[list[str]], list[str]]
    ) -> None:
        code, said = self.verify(run, served, self.edited(exported, edit))
        assert code == 7, said

    def test_a_checkpoint_that_was_remembered_must_be_continued(
        self, run: Run, served: Served, exported: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / REMEMBERED
        assert run("log", "verify", "--remember", str(file), *home_of(served)).code == 0
        code, said = self.verify(run, served, exported, "--checkpoints", str(file))
        assert code == 0
        assert "not proven" not in said

    def test_goes_with_a_vkey(self, run: Run, served: Served, exported: Path) -> None:
        key = json.loads(run("log", "key", "show", "-o", "json", *home_of(served)).out)[-1]
        assert run("log", "verify", "--export", str(exported), "--key", key["vkey"]).code == 0
        other = vkey("ratchet.log/0123456789abcdef", bytes.fromhex(key["public_key"]))
        assert run("log", "verify", "--key", key["vkey"], *home_of(served)).code == 0
        for where in (("--export", str(exported)), home_of(served)):
            wrong = run("log", "verify", "--key", other, *where)
            assert (wrong.code, "is one of ratchet.log/0123456789abcdef: another log" in wrong.err) == (7, True)

    def test_goes_with_a_key_and_without_a_home(self, run: Run, exported: Path) -> None:
        assert run("log", "verify", "--export", str(exported)).code == 2
        assert run("log", "verify", "--export", str(exported), "--key", "no.pub").code == 3
        assert run("log", "verify", "--export", "no.jsonl", "--key", "no.pub").code == 3


class TestAnImport:
    def test_has_the_same_root_and_verifies(
        self, run: Run, serve: Serve, served: Served, exported: Path, tmp_path: Path
    ) -> None:
        before = json.loads(run("log", "verify", "-o", "json", *home_of(served)).out)
        home = tmp_path / "elsewhere"
        key = str(served.home / "signing.pub")
        ran = run("log", "import", str(exported), "--home", str(home), "--key", key, "-o", "json")
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["root"] == before["checkpoint"]["root"]
        served.stop()
        _copy(served.home / "artifacts", home / "artifacts")
        (home / "signing.key").write_bytes((served.home / "signing.key").read_bytes())
        (home / "signing.key").chmod(0o600)
        serve(home)
        after = json.loads(run("log", "verify", "--key", key, "-o", "json", "--home", str(home)).out)
        assert (after["verified"], after["checkpoint"]["root"]) == (True, before["checkpoint"]["root"])
        assert after["checked"]["rows of training_history"] == before["checked"]["rows of training_history"]

    def test_a_registry_on_it_needs_the_key_of_the_log(
        self, run: Run, exported: Path, tmp_path: Path, serve: Serve
    ) -> None:
        home = tmp_path / "elsewhere"
        ran = run("log", "import", str(exported), "--home", str(home))
        assert ran.code == 0
        assert "RATCHET_SIGNING_KEY" in ran.out
        with pytest.raises(Exception, match="the log is signed with the key"):
            serve(home)

    def test_is_refused_where_there_are_events(self, run: Run, served: Served, exported: Path) -> None:
        ran = run("log", "import", str(exported), *home_of(served))
        assert ran.code == 4
        assert "import into an empty home" in ran.err

    def test_leaves_nothing_behind_when_the_export_does_not_verify(
        self, run: Run, exported: Path, tmp_path: Path
    ) -> None:
        lines = exported.read_text(encoding="utf-8").splitlines()
        broken = tmp_path / "broken.jsonl"
        broken.write_text("\n".join(lines[:50] + lines[51:]) + "\n", encoding="utf-8")
        home = tmp_path / "elsewhere"
        ran = run("log", "import", str(broken), "--home", str(home))
        assert ran.code == 7
        assert run("log", "import", str(exported), "--home", str(home)).code == 0
        assert len(list(read_events(exported))) == len(lines) - 1
