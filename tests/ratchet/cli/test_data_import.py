"""data import: the time zones that it is given reach the trainer, and are in the command that it names."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet import errors
from ratchet.events.v1 import facts_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc

Run = Callable[..., Any]
Serve = Callable[..., str]


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Takes a file in the zone asked for; refuses another market than New York's without `replace`."""

    def __init__(self) -> None:
        self.headers: list[trainer_pb2.ImportBarsHeader] = []

    def ImportBars(
        self, requests: Iterator[trainer_pb2.ImportBarsRequest], context: Any
    ) -> trainer_pb2.ImportBarsResponse:
        header = next(requests).header
        self.headers.append(header)
        if header.market_timezone != "America/New_York" and not header.replace:
            raise errors.DataRefused("another market time zone", metadata={"remedy": "replace"})
        bars = facts_pb2.DatasetRegistered(
            rows=400, digest="d" * 64, market_timezone=header.market_timezone, volume_missing=True
        )
        bars.first_bar.FromJsonString("2024-01-02T14:30:00Z")
        bars.last_bar.FromJsonString("2024-06-28T19:30:00Z")
        dataset = registry_pb2.Dataset(series=header.series, registered=bars)
        standing = trainer_pb2.Standstill(first_bar=bars.first_bar, last_bar=bars.last_bar, bars=400)
        return trainer_pb2.ImportBarsResponse(dataset=dataset, usable_bars=150, standstills=[standing])


@pytest.fixture
def trainer(serve: Serve, monkeypatch: pytest.MonkeyPatch, run: Run) -> Trainer:
    made = Trainer()
    add = trainer_pb2_grpc.add_TrainerServiceServicer_to_server
    monkeypatch.setenv("RATCHET_TRAINER", serve((add, made, "ratchet.trainer.v1.TrainerService")))
    Path("H1.csv").write_text("date,open,high,low,close,volume\n")
    return made


LINE = ("data", "import", "AAPL", "H1.csv", "--timeframe", "1h")


def test_the_zones_are_sent_and_the_markets_is_shown(run: Run, trainer: Trainer) -> None:
    ran = run(*LINE, "--timezone", "UTC", "--market-timezone", "America/New_York")
    assert ran.code == 0, ran.err
    (header,) = trainer.headers
    assert (header.series, header.timezone, header.market_timezone) == ("AAPL@1h", "UTC", "America/New_York")
    assert ran.out.splitlines()[1:5] == [
        "  no volume column: the series has no volume",
        "  400 bars without trade, 2024-01-02T14:30:00Z to 2024-06-28T19:30:00Z: they carry no label, evidence or"
        " pattern",
        "  market time zone America/New_York",
        f"  150 usable for training, snapshot {'d' * 12}",
    ]


def test_the_command_that_replaces_keeps_the_zones(run: Run, trainer: Trainer) -> None:
    ran = run(*LINE, "--market-timezone", "Europe/Berlin")
    assert ran.code == 8
    command = "ratchet data import AAPL@1h H1.csv --market-timezone Europe/Berlin --replace"
    assert ran.err == f"error: another market time zone: {command}\n"
    assert run(*command.split()[1:]).code == 0
    assert trainer.headers[-1].replace
