"""The checks by hand of docs/checkpoints.md run as printed, on a checkpoint that Ratchet has signed."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ratchet.transparency.checkpoint_files import append_checkpoint
from ratchet.transparency.checkpoints import Checkpoint, sign, verify
from ratchet.transparency.keys import origin_of, parse_vkey, public_bytes, write_public

PAGE = (Path(__file__).parents[3] / "docs/checkpoints.md").read_text(encoding="utf-8")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROOT = bytes(range(100, 132))


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".ratchet").mkdir()
    write_public(tmp_path / ".ratchet/signing.pub", public_bytes(KEY))
    for size in (2, 3):
        signed = sign(KEY, origin_of(public_bytes(KEY)), size, ROOT, 1_700_000_000)
        append_checkpoint(tmp_path / ".ratchet/checkpoints.txt", signed)
    return tmp_path


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_example_is_a_checkpoint_of_the_example_key() -> None:
    note, key = re.findall(r"```\n(ratchet\.log/.*?)```", PAGE, flags=re.DOTALL)
    trusted, checkpoint = parse_vkey(key.strip()), Checkpoint.parse(note)
    assert verify(checkpoint, trusted.public_key)
    assert trusted.admits(checkpoint.origin)


def test_openssl_verifies_a_checkpoint(folder: Path) -> None:
    done = ran(folder, "sh", "-e", "-c", block("sh"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert "2023" in done.stdout


def test_a_few_lines_of_python_verify_a_checkpoint(folder: Path) -> None:
    ran(folder, "sh", "-e", "-c", block("sh"))
    done = ran(folder, sys.executable, "-c", block("python"))
    assert (done.returncode, done.stdout) == (0, f"{origin_of(public_bytes(KEY))} signed at 1700000000\n"), done.stderr


def test_both_refuse_another_root(folder: Path) -> None:
    file = folder / ".ratchet/checkpoints.txt"
    changed = file.read_text(encoding="utf-8").replace(b64encode(ROOT).decode(), b64encode(ROOT[::-1]).decode())
    file.write_text(changed, encoding="utf-8")
    assert ran(folder, "sh", "-e", "-c", block("sh")).returncode != 0
    assert ran(folder, sys.executable, "-c", block("python")).returncode != 0
