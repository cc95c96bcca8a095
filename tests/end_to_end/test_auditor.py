"""docs/questions.md: every command and every query in it runs, and answers."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratchet.events.v1 import pattern_pb2
from tests.support.running import Running, running

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "questions.md"
LINEAGE = "AAPL/range/random-forest"
DAY = "2026-03-03"
"""The day that the questions ask about: a moment of the test's own in its place."""


@dataclass(frozen=True)
class Question:
    title: str
    commands: tuple[str, ...]
    queries: tuple[str, ...]


def questions() -> list[Question]:
    parts = re.split(r"^## ", DOCS.read_text(), flags=re.MULTILINE)[1:]
    return [
        Question(
            title=part.splitlines()[0],
            commands=tuple(
                line.removeprefix("$ ")
                for block in re.findall(r"```console\n(.*?)```", part, re.DOTALL)
                for line in block.splitlines()
            ),
            queries=tuple(re.findall(r"```sql\n(.*?)```", part, re.DOTALL)),
        )
        for part in parts
    ]


@dataclass(frozen=True)
class Audited:
    """A home with a history: three versions, a promotion by hand and its reversal, a cancelled session."""

    services: Running
    folder: Path
    words: dict[str, str]


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audited")
    with running(folder / ".ratchet") as services:
        services.import_bars("AAPL")
        for until in ("2008-06-30", "2010-06-30", "2013-02-28"):
            services.train("AAPL", "random-forest", "range", until=until)
        person = services.client.acting_as("auditor")
        now = person.get_champion(LINEAGE).model.name
        other = next(name for name in (f"{LINEAGE}/v{n}" for n in (1, 2, 3)) if name != now)
        person.promote_model(other, "simpler, for the review", now)
        person.rollback_champion(LINEAGE, "the review is over", despite_cause=True)
        waiting = services.client.start_training("AAPL", "random-forest", "range")
        person.cancel_training(waiting.session_id, "not needed")
        digest = services.client.get_model(f"{LINEAGE}/v1").record.dataset_digest
        used = services.client.get_model(f"{LINEAGE}/v3").record.patterns_used
        known = list(services.client.list_patterns(series="AAPL", task="range"))
        assert any(each.state != pattern_pb2.PATTERN_STATE_REFUTED for each in known)
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        pattern = used[0].pattern_id if used else known[0].pattern.id
        yield Audited(services, folder, {"DIGEST": digest[:12], "PATTERN": pattern[:12], DAY: moment})


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.title.partition(".")[0])
def test_it_is_answered(question: Question, audited: Audited) -> None:
    assert question.commands or question.queries
    for command in question.commands:
        assert asked(audited, command).strip() or ">" in command
    for query in question.queries:
        home = audited.folder / ".ratchet" / "log.sqlite"
        with sqlite3.connect(f"file:{home}?mode=ro", uri=True) as connection:
            found = connection.execute(query).fetchall()
        assert found or "skill_shown = 0" in query


def asked(audited: Audited, command: str) -> str:
    for word, meaning in audited.words.items():
        command = command.replace(word, meaning)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    found = subprocess.run(
        command,
        shell=True,
        cwd=audited.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, (command, found.stdout, found.stderr)
    return found.stdout


def test_there_are_at_least_twenty() -> None:
    assert len(questions()) >= 20
