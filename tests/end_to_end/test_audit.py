"""A log that real sessions wrote, verified by a stranger: served, exported, imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet.decisions import evidence
from ratchet.events.v1 import facts_pb2
from ratchet.transparency.checkpoints import Checkpoint
from ratchet.transparency.event_format import parse_event
from ratchet.transparency.export import event_line, read_events
from tests.support.running import Running


@pytest.fixture(scope="module")
def trained(services: Running) -> Running:
    """Two sessions of a lineage, the second with bars that the first had not seen, and one of another lineage."""
    services.train("AAPL", "logistic", "volume", until="2016-01-04")
    services.train("AAPL", "logistic", "volume")
    services.train("AAPL", "random-forest", "volume")
    return services


@pytest.fixture(scope="module")
def exported(trained: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "log.jsonl"
    file.write_text(trained.cli("log", "export", check=True).stdout, encoding="utf-8")
    return file


def stranger(file: Path, key: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Verifies an export in a process of its own, without a home."""
    words = ["-m", "ratchet", "log", "verify", "--export", str(file), "--key", str(key), *more]
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, timeout=120)


def test_what_real_sessions_wrote_verifies_and_decides_again(trained: Running, tmp_path: Path) -> None:
    remembered = tmp_path / "checkpoints.txt"
    first = trained.cli("log", "verify", "--remember", str(remembered), "-o", "json")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["verified"]
    assert found["checked"]["decisions decided again"] >= 4
    assert found["checked"]["artifacts"] >= 3
    again = trained.cli("log", "verify", "--remember", str(remembered))
    assert again.returncode == 0
    assert "not proven" not in again.stdout


def test_an_export_is_verified_without_the_services(trained: Running, exported: Path) -> None:
    ran = stranger(exported, trained.home / "signing.pub")
    assert ran.returncode == 0, ran.stderr
    assert "decisions decided again" in ran.stdout


def test_one_probability_changed_in_any_real_decision_is_found_at_its_position(
    trained: Running, exported: Path, tmp_path: Path
) -> None:
    """The readable form and the signatures aside: what was decided no longer follows."""
    lines = exported.read_text(encoding="utf-8").splitlines()
    tried = 0
    for event in read_events(exported):
        envelope, fact = parse_event(event.topic, event.state)
        if not isinstance(fact, facts_pb2.ModelPromoted | facts_pb2.PromotionDeclined):
            continue
        for scored in fact.evidence:
            pair = evidence.unpack(scored.packed)
            if not len(pair):
                continue
            p_a = pair.p_a.copy()
            p_a[0] += -0.001 if p_a[0] > 0.5 else 0.001
            scored.packed = evidence.pack(p_a, pair.p_b, pair.y, pair.times)
            envelope.payload = fact.SerializeToString(deterministic=True)
            state = envelope.SerializeToString(deterministic=True)
            line = event_line(event.position, event.stream, event.version, event.topic, state)
            changed = [*lines[: event.position - 1], line, *lines[event.position :]]
            file = tmp_path / "changed.jsonl"
            file.write_text("\n".join(changed) + "\n", encoding="utf-8")
            ran = stranger(file, trained.home / "signing.pub")
            assert ran.returncode == 7
            assert f"position {event.position}: its " in ran.stderr
            tried += 1
            break
    assert tried >= 1


def test_an_imported_log_has_the_same_root(trained: Running, exported: Path, tmp_path: Path) -> None:
    words = ["-m", "ratchet", "log", "import", str(exported), "--home", str(tmp_path / "home"), "-o", "json"]
    ran = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, timeout=120)
    last = json.loads(exported.read_text(encoding="utf-8").splitlines()[-1])
    assert json.loads(ran.stdout)["root"] == Checkpoint.parse(last["checkpoint"]).root.hex()
