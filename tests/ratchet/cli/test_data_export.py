"""data export: a file that is there whole or not at all, and never another one's."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet import errors
from ratchet.trainer.v1 import trainer_pb2, trainer_pb2_grpc

Run = Callable[..., Any]
Serve = Callable[..., str]

PIECES = [b"date,open,high,low,close,volume\n", b"2024-03-01,1.0,1.0,1.0,1.0,1.0\n"]


class Trainer(trainer_pb2_grpc.TrainerServiceServicer):
    """Sends PIECES, or breaks off after the first one."""

    def __init__(self, breaks: bool) -> None:
        self.breaks = breaks
        self.requests: list[trainer_pb2.ExportBarsRequest] = []

    def ExportBars(
        self, request: trainer_pb2.ExportBarsRequest, context: Any
    ) -> Iterator[trainer_pb2.ExportBarsResponse]:
        self.requests.append(request)
        for piece in PIECES:
            yield trainer_pb2.ExportBarsResponse(content=piece)
            if self.breaks:
                raise errors.CorruptData("the snapshot is damaged")


@pytest.fixture
def exporting(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    def start(breaks: bool = False) -> Trainer:
        trainer = Trainer(breaks)
        add = trainer_pb2_grpc.add_TrainerServiceServicer_to_server
        monkeypatch.setenv("RATCHET_TRAINER", serve((add, trainer, "ratchet.trainer.v1.TrainerService")))
        return trainer

    return start


def test_the_pieces_become_one_file(run: Run, exporting: Callable[..., Trainer], tmp_path: Path) -> None:
    trainer = exporting()
    file = tmp_path / "out.csv"
    ran = run("data", "export", "AAPL", str(file), "--timeframe", "1h")
    assert ran.code == 0, ran.err
    assert ran.out == f"AAPL@1h: 63 bytes in {file}\n"
    assert file.read_bytes() == b"".join(PIECES)
    assert trainer.requests == [trainer_pb2.ExportBarsRequest(series="AAPL@1h")]
    assert list(tmp_path.iterdir()) == [file]


def test_it_answers_in_json(run: Run, exporting: Callable[..., Trainer], tmp_path: Path) -> None:
    exporting()
    ran = run("data", "export", "AAPL", "out.csv", "-o", "json")
    assert json.loads(ran.out) == {"series": "AAPL", "file": "out.csv", "size_bytes": 63}


def test_a_file_that_is_there_is_left_alone(run: Run, exporting: Callable[..., Trainer], tmp_path: Path) -> None:
    trainer = exporting()
    file = tmp_path / "mine.csv"
    file.write_bytes(b"mine")
    ran = run("data", "export", "AAPL", str(file))
    assert ran.code == 2
    assert "mine.csv is there already; remove it, or choose another name" in ran.err
    assert file.read_bytes() == b"mine"
    assert not trainer.requests


def test_what_breaks_off_leaves_no_file(run: Run, exporting: Callable[..., Trainer], tmp_path: Path) -> None:
    exporting(breaks=True)
    ran = run("data", "export", "AAPL", str(tmp_path / "out.csv"))
    assert (ran.code, ran.err) == (7, "error: the snapshot is damaged\n")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(run: Run, exporting: Callable[..., Trainer], tmp_path: Path) -> None:
    exporting()
    ran = run("data", "export", "AAPL", str(tmp_path / "none" / "out.csv"))
    assert ran.code == 2
    assert "No such file or directory; choose another FILE" in ran.err
