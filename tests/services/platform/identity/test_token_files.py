"""The file of tokens holds hashes alone, changes in one step, and is believed only when nobody else could write it."""

import hashlib
import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ratchet.errors import InvalidInput, NotAllowed, NotFound
from services.platform.identity import Identity, token_file

NOW = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)


def test_a_token_has_256_random_bits_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    texts = [token_file.add(file, "ann", "viewer", NOW)[0] for _ in range(3)]
    assert len(set(texts)) == 3
    assert all(len(text) == len("ratchet_") + 43 for text in texts)
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["sha256"] for line in written] == [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert not [text for text in texts if text.removeprefix("ratchet_") in file.read_text()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "new" / "tokens"
    made = [token_file.add(file, "ann", "viewer", NOW)[1], token_file.add(file, "ci@host", "trainer", NOW, days=30)[1]]
    assert list(token_file.read(file)) == made
    assert (made[0].expires, made[1].expires) == (None, NOW.replace(microsecond=0) + timedelta(days=30))


def test_older_tokens_go_when_the_newest_has_taken_their_place(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    first, second = (token_file.add(file, "ann", "viewer", NOW)[1] for _ in range(2))
    other = token_file.add(file, "bob", "admin", NOW)[1]
    assert token_file.revoke(file, "ann", older=True) == [first]
    assert token_file.read(file) == (second, other)
    assert token_file.revoke(file, "ann", older=True) == []
    assert token_file.revoke(file, "ann") == [second]
    with pytest.raises(NotFound, match=r"ann has no token in .*ratchet tokens list"):
        token_file.revoke(file, "ann")
    assert token_file.read(file) == (other,)


def test_changes_at_the_same_time_all_count(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    threads = [threading.Thread(target=token_file.add, args=(file, f"n{n}", "viewer", NOW)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {token.name for token in token_file.read(file)} == {f"n{n}" for n in range(16)}
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "é", "a" * 65, "a\n"])
def test_a_name_is_one_that_a_fact_can_bear(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="can't own a token"):
        token_file.add(tmp_path / "tokens", name, "viewer", NOW)
    assert not (tmp_path / "tokens").exists()


SOUND = {"name": "ann", "role": "viewer", "sha256": "0" * 64, "created": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        json.dumps(SOUND | {"role": "root"}),
        json.dumps(SOUND | {"name": "ann and bob"}),
        json.dumps(SOUND | {"sha256": "ratchet_secret"}),
        json.dumps(SOUND | {"created": "yesterday"}),
        json.dumps(SOUND | {"expires": "never"}),
        json.dumps({key: SOUND[key] for key in ("name", "role", "created")}),
    ],
)
def test_a_line_that_is_no_token_is_named_and_not_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(json.dumps(SOUND) + "\n\n" + line + "\n")
    file.chmod(0o600)
    with pytest.raises(InvalidInput, match="tokens, line 3: not a token") as caught:
        token_file.read(file)
    assert "ratchet_secret" not in str(caught.value)


def test_a_server_does_not_start_on_a_file_that_it_cannot_trust(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    with pytest.raises(NotFound, match=f"ratchet tokens add NAME --role ROLE --file {file}"):
        Identity.load({"RATCHET_TOKENS": str(file)})
    token_file.add(file, "ann", "viewer", NOW)
    assert Identity.load({"RATCHET_TOKENS": str(file)}) is not None
    for mode in (0o620, 0o602):
        file.chmod(mode)
        with pytest.raises(NotAllowed, match=f"chmod 600 {file}"):
            Identity.load({"RATCHET_TOKENS": str(file)})
    assert Identity.load({}) is None
