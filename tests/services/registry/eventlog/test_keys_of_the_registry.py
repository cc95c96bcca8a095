"""Where the registry's key comes from, what it refuses, and how a key is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.errors import InvalidInput, NotAllowed, NotFound, PreconditionFailed
from ratchet.transparency.keys import Key, create_private, key_id, load_trusted, public_bytes
from services.platform.settings import Settings
from services.registry.bootstrap import open_signed_log, rotate_key


def settings(home: Path, key: Path | None = None) -> Settings:
    environ = {"RATCHET_SIGNING_KEY": str(key)} if key else {}
    return Settings.load("registry", home, "127.0.0.1", 0, environ)


def started(home: Path, key: Path | None = None) -> list[Key]:
    """Start the registry's log and stop it; the keys that it has then."""
    log = open_signed_log(settings(home, key))
    found = log.keys()
    log.close()
    return found


def test_a_new_home_gets_a_key_of_its_own(tmp_path: Path) -> None:
    [key] = started(tmp_path)
    assert key.position == 1
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    assert load_trusted(tmp_path / "signing.pub").public_key == key.public_key
    assert started(tmp_path) == [key]


def test_a_home_that_lost_its_key_does_not_get_another(tmp_path: Path) -> None:
    [key] = started(tmp_path)
    (tmp_path / "signing.key").rename(tmp_path / "elsewhere")
    with pytest.raises(PreconditionFailed, match=f"{key.id} since position 1.*signing.key is not there"):
        started(tmp_path)
    assert not (tmp_path / "signing.key").exists()
    assert started(tmp_path, tmp_path / "elsewhere") == [key]


def test_a_named_key_must_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"RATCHET_SIGNING_KEY: .*ratchet log key new"):
        started(tmp_path, tmp_path / "none")
    assert not (tmp_path / "signing.key").exists()


def test_a_named_key_is_used_and_none_is_made(tmp_path: Path) -> None:
    private = create_private(tmp_path / "named")
    [key] = started(tmp_path / "home", tmp_path / "named")
    assert key.public_key == public_bytes(private)
    assert not (tmp_path / "home" / "signing.key").exists()


def test_a_key_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    create_private(tmp_path / "named")
    (tmp_path / "named").chmod(0o644)
    with pytest.raises(NotAllowed, match="chmod 600"):
        started(tmp_path / "home", tmp_path / "named")
    (tmp_path / "named").write_text("junk")
    (tmp_path / "named").chmod(0o600)
    with pytest.raises(InvalidInput, match="not a private key"):
        started(tmp_path / "home", tmp_path / "named")


def test_a_key_that_is_not_the_logs_is_refused(tmp_path: Path) -> None:
    [key] = started(tmp_path / "home")
    other = key_id(public_bytes(create_private(tmp_path / "other")))
    with pytest.raises(PreconditionFailed, match=f"{key.id}.*{other}"):
        started(tmp_path / "home", tmp_path / "other")
    assert started(tmp_path / "home") == [key]


def test_a_rotated_home_goes_on_with_its_new_key(tmp_path: Path) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    [first] = started(home)
    private = create_private(new)
    key = rotate_key(settings(home), new, "ann@desk", "the yearly one")
    assert key == Key(2, public_bytes(private))
    assert started(home) == [first, key]
    assert load_trusted(home / "signing.pub").public_key == key.public_key
    assert (home / "signing.key").stat().st_mode & 0o777 == 0o600


def test_an_interrupted_rotation_is_finished_by_another_call(tmp_path: Path) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    started(home)
    before = (home / "signing.key").read_bytes()
    create_private(new)
    key = rotate_key(settings(home), new, "ann@desk", "the yearly one")
    (home / "signing.key").write_bytes(before)
    with pytest.raises(PreconditionFailed, match=key.id):
        started(home)
    assert rotate_key(settings(home), new, "ann@desk", "the yearly one") == key
    assert started(home)[-1] == key


def test_a_named_key_is_rotated_with_that_key_and_then_named_anew(tmp_path: Path) -> None:
    home, old, new = tmp_path / "home", tmp_path / "old", tmp_path / "new"
    create_private(old)
    create_private(new)
    create_private(tmp_path / "stranger")
    started(home, old)
    with pytest.raises(PreconditionFailed, match="RATCHET_SIGNING_KEY"):
        rotate_key(settings(home, tmp_path / "stranger"), new, "eve@desk", "mine now")
    key = rotate_key(settings(home, old), new, "ann@desk", "the yearly one")
    with pytest.raises(PreconditionFailed, match=key.id):
        started(home, old)
    assert started(home, new)[-1] == key
    assert not (home / "signing.key").exists()
