"""The clients: learners that import new bars and train on them, governors that promote and roll back, readers."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ratchet import Client
from ratchet.errors import NotFound, RatchetError, Unreachable
from ratchet.transparency.checkpoints import Checkpoint
from tests.soak.ledger import Ledger
from tests.support.running import DATA

Answer = TypeVar("Answer")

SERIES = ("AAPL", "GOOG", "IBM", "MSFT")
TASKS = ("direction", "range")
MODEL_TYPES = ("logistic", "logistic", "gradient-boosting", "random-forest")
FIRST_BARS, FEWEST_NEW, MOST_NEW = 900, 20, 60
GIVEN_UP = 0.05
"""The share of writes that a client gives up after an attempt whose outcome it does not know."""
PATIENCE_SECONDS = 120.0


class Member(threading.Thread):
    """One client: what it is told goes into the ledger, what it does is drawn from the seed and its name."""

    def __init__(self, name: str, client: Client, ledger: Ledger, seed: int, stopping: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.client = client.acting_as(name)
        self.ledger = ledger
        self.chance = random.Random(f"{seed} {name}")
        self.stopping = stopping
        self._requests = 0

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.act()
            except RatchetError:
                self.stopping.wait(0.2)
            except Exception as error:  # noqa: BLE001 whatever it is, it is a finding and not the end of the others
                self.ledger.answered(error)

    def act(self) -> None:
        raise NotImplementedError

    def request_id(self) -> str:
        self._requests += 1
        return f"{self.name}/{self._requests}"

    def ask(self, act: Callable[[], Answer]) -> Answer:
        """The answer; what came instead is counted and raised."""
        try:
            answer = act()
        except Exception as error:
            self.ledger.answered(error)
            raise
        self.ledger.answered(None)
        return answer

    def write(self, act: Callable[[str], Answer]) -> tuple[str, Answer]:
        """A write, sent again with the same request id until it is answered, or given up now and then."""
        request_id, end = self.request_id(), time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return request_id, self.ask(lambda: act(request_id))
            except Unreachable:
                if self.chance.random() < GIVEN_UP or time.monotonic() > end:
                    self.ledger.abandon()
                    raise
                time.sleep(0.2)


class Learner(Member):
    """Imports ever more bars of one series and trains on them; watches most sessions, cancels a few."""

    def __init__(self, series: str, *about: object) -> None:
        super().__init__(f"learner-{series}", *about)  # type: ignore[arg-type]
        self._series = series
        self._lines = (DATA / f"{series}.csv").read_bytes().splitlines(keepends=True)
        self._bars = 0

    def act(self) -> None:
        self._import()
        target, model_type = self.chance.choice(TASKS), self.chance.choice(MODEL_TYPES)
        begin = self.client.start_training
        request_id, training = self.write(lambda id: begin(self._series, model_type, target, request_id=id))
        self.ledger.acknowledge("training", request_id, training.requested_position)
        self.ledger.begun(training.session_id)
        if self.chance.random() < 0.1:
            self.stopping.wait(self.chance.uniform(0.0, 3.0))
            cancelled, _ = self.write(lambda id: self.client.cancel_training(training.session_id, request_id=id))
            [_, end] = self.ask(lambda: list(self.client.read_log(stream=f"session/{training.session_id}")))
            self.ledger.acknowledge("cancellation", cancelled, end.position)
        elif self.chance.random() < 0.8:
            self._watch(training.session_id)

    def _import(self) -> None:
        more = FIRST_BARS if not self._bars else self.chance.randint(FEWEST_NEW, MOST_NEW)
        bars = min(self._bars + more, len(self._lines) - 1)
        if bars == self._bars:
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{self._series}.csv"
            file.write_bytes(b"".join(self._lines[: bars + 1]))
            send = self.client.import_bars
            request_id, imported = self.write(lambda id: send(file, self._series, request_id=id))
        self.ledger.acknowledge("import", request_id, imported.dataset.position)
        self._bars = bars

    def _watch(self, session_id: str) -> None:
        for progress in self.client.watch_training(session_id):
            if progress.HasField("ended") or self.stopping.is_set():
                self.ledger.answered(None)
                return


class Governor(Member):
    """Promotes versions of its choice and rolls champions back, for the champion that it saw."""

    def act(self) -> None:
        self.stopping.wait(self.chance.uniform(0.5, 2.0))
        models = self.ask(lambda: list(self.client.list_models()))
        if not models:
            return
        model = self.chance.choice(models)
        champion = self.ask(lambda: self.client.get_champion(model.lineage)).model.name
        if model.name == champion:
            turn = self.client.rollback_champion
            request_id, decision = self.write(lambda id: turn(model.lineage, "a trial", champion, request_id=id))
        else:
            promote = self.client.promote_model
            request_id, decision = self.write(lambda id: promote(model.name, "a trial", champion, request_id=id))
        self.ledger.acknowledge("decision", request_id, decision.position)


class Reader(Member):
    """Asks for champions of the past, lists, knowledge, predictions and checkpoints."""

    def act(self) -> None:
        self.stopping.wait(self.chance.uniform(0.05, 0.5))
        self.chance.choice((self._past, self._lists, self._known, self._predicts, self._head))()

    def _past(self) -> None:
        head = self.ask(self.client.get_head).position
        position = self.chance.randint(max(1, head // 2), head)
        series, task, kind = (self.chance.choice(names) for names in (SERIES, TASKS, MODEL_TYPES))
        lineage = f"{series}/{task}/{kind}"
        try:
            champion = self.ask(lambda: self.client.get_champion(lineage, as_of=position)).model.name
        except NotFound:
            champion = ""
        self.ledger.name(lineage, position, champion)

    def _lists(self) -> None:
        series = self.chance.choice(SERIES)
        self.ask(lambda: list(self.client.list_trainings(series=series)))
        self.ask(lambda: list(self.client.list_decisions(series=series)))
        self.ask(lambda: list(self.client.list_datasets(series=series)))

    def _known(self) -> None:
        head = self.ask(self.client.get_head).position
        found = self.ask(
            lambda: self.client.get_knowledge(self.chance.choice(SERIES), self.chance.choice(TASKS), min_position=head)
        )
        if found.position < head:
            raise AssertionError(f"knowledge answered as of {found.position} although {head} was asked for")

    def _predicts(self) -> None:
        self.ask(lambda: self.client.predict(self.chance.choice(SERIES), self.chance.choice(TASKS)))

    def _head(self) -> None:
        answer = self.ask(self.client.get_head)
        self.ledger.remember(Checkpoint.parse(answer.checkpoint))


def members(client: Client, ledger: Ledger, seed: int, stopping: threading.Event) -> list[Member]:
    about = client, ledger, seed, stopping
    return [
        *(Learner(series, *about) for series in SERIES),
        Governor("governor", *about),
        *(Reader(f"reader-{number}", *about) for number in (1, 2)),
    ]
