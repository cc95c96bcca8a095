"""ratchet tokens: shown once, listed without their text, revoked by name."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ratchet.cli.connect import with_home_option
from services.platform.identity import token_file
from services.platform.identity.token_file import ROLES

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def no_file_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RATCHET_TOKENS", raising=False)


def test_a_token_is_printed_once_alone_on_stdout(run: Run, tmp_path: Path) -> None:
    ran = run("tokens", "add", "ann", "--role", "promoter")
    [text] = ran.out.splitlines()
    [known] = token_file.read(tmp_path / ".ratchet" / "tokens.jsonl")
    assert (known.name, known.role, known.sha256) == ("ann", "promoter", token_file.digest(text))
    assert text not in ran.err
    assert "export RATCHET_TOKENS=" in ran.err
    for listing in (run("tokens", "list"), run("tokens", "list", "-o", "json")):
        assert known.id in listing.out
        assert text not in listing.out + listing.err


@pytest.mark.parametrize("role", ROLES)
def test_every_role_can_be_given(run: Run, role: str) -> None:
    assert json.loads(run("tokens", "add", "ann", "--role", role, "-o", "json").out)["role"] == role


def test_a_role_must_be_one_that_there_is(run: Run) -> None:
    assert run("tokens", "add", "ann", "--role", "root").code == 2
    assert run("tokens", "add", "ann").code == 2


def test_a_token_ends_when_it_was_said_to(run: Run) -> None:
    found = json.loads(run("tokens", "add", "ann", "--role", "viewer", "--expires", "30", "-o", "json").out)
    left = datetime.fromisoformat(found["expires"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
    assert "in force" in run("tokens", "list").out
    assert run("tokens", "add", "ann", "--role", "viewer", "--expires", "0").code == 2


def test_the_list_tells_what_has_expired(run: Run, tmp_path: Path) -> None:
    token_file.add(tmp_path / "t", "ann", "viewer", datetime(2020, 1, 1, tzinfo=UTC), days=1)
    assert "expired" in run("tokens", "list", "--file", "t").out


def test_revoking_names_how_many(run: Run) -> None:
    for name in ("ann", "ann", "bob"):
        run("tokens", "add", name, "--role", "viewer")
    assert run("tokens", "revoke", "ann", "--older").out == "1 of ann revoked\n"
    assert run("tokens", "revoke", "ann").out == "1 of ann revoked\n"
    gone = run("tokens", "revoke", "ann")
    assert (gone.code, gone.out) == (3, "")
    assert [each["name"] for each in json.loads(run("tokens", "list", "-o", "json").out)] == ["bob"]


def test_the_file_is_the_named_one_or_the_environments_or_the_homes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["--file", "named"], ["--home", "h"]):
        run("tokens", "add", "ann", "--role", "viewer", *words)
    monkeypatch.setenv("RATCHET_TOKENS", str(tmp_path / "environment"))
    run("tokens", "add", "ann", "--role", "viewer", "--home", "h")
    files = ["named", "environment", "h/tokens.jsonl"]
    assert [len(token_file.read(tmp_path / file)) for file in files] == [1, 1, 1]


def test_a_file_that_cannot_be_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for words in (["add", "ann", "--role", "viewer"], ["revoke", "ann"]):
        ran = run("tokens", *words, "--file", "file/tokens.jsonl")
        assert (ran.code, ran.out) == (6, "")
        assert "file/tokens.jsonl can't be" in ran.err


def test_without_a_file_the_first_step_is_said(run: Run) -> None:
    ran = run("tokens", "list", "--home", "h")
    assert (ran.code, ran.out) == (3, "")
    assert "ratchet tokens add NAME --role ROLE --file h/tokens.jsonl" in ran.err


def test_a_command_that_a_service_names_is_for_the_home_that_was_named(run: Run) -> None:
    said = "make them with ratchet certs; or ask for ratchet tokens add ann --role trainer; see ratchet health trainer"
    shown = with_home_option(said, "h")
    for command in ("ratchet certs", "ratchet tokens add ann --role trainer", "ratchet health trainer"):
        assert f"{command} --home h" in shown
    assert run("tokens", "add", "ann", "--role", "trainer", "--home", "h").code == 0
    assert run("certs", "--home", "h").code == 0
