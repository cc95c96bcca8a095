"""A file of bars has bounds, and so has what a prediction or an evaluation is asked of."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.client import Client
from ratchet.errors import DataRefused, InvalidInput, LimitReached
from ratchet.names import Series
from ratchet.trainer.v1 import trainer_pb2 as pb
from services.platform.artifacts import ArtifactStore
from services.platform.limits import Limits
from services.trainer.api.servicer import _header
from services.trainer.imports.bars import Importer

LINES = (Path(__file__).parents[3] / "ratchet" / "data" / "AAPL.csv").read_bytes().splitlines(keepends=True)
AAPL = Series.parse("AAPL")


def test_a_file_that_is_too_large_is_refused_before_it_is_there(client: Client, store: ArtifactStore) -> None:
    importer, taken = Importer(client, store, Limits(import_bytes=100)), []

    def pieces() -> object:
        for number in range(1000):
            taken.append(number)
            yield b"0123456789"

    with pytest.raises(LimitReached, match="may hold 100 bytes; leave out columns"):
        importer.received(pieces())  # type: ignore[arg-type]
    assert len(taken) == 11
    assert importer.received([b"01234"] * 20) == b"01234" * 20


def test_a_file_of_too_many_rows_is_refused_with_both_numbers(client: Client, store: ArtifactStore) -> None:
    importer = Importer(client, store, Limits(import_rows=300)).acting_as("ann")
    with pytest.raises(DataRefused, match=r"AAPL\.csv: 301 rows, 300 at most; use a coarser timeframe"):
        importer.add("import/1", AAPL, "AAPL.csv", b"".join(LINES[:302]), replace=False)
    assert len(importer.add("import/2", AAPL, "AAPL.csv", b"".join(LINES[:301]), replace=False).bars) == 300


def test_the_limits_of_an_import_are_those_of_the_environment(
    client: Client, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_LIMIT_IMPORT_BYTES", "10")
    with pytest.raises(LimitReached, match="may hold 10 bytes"):
        Importer(client, store).received([b"0123456789", b"0"])


def test_an_import_begins_with_its_header() -> None:
    content = pb.ImportBarsRequest(content=b"Date,Open")
    header = pb.ImportBarsRequest(header=pb.ImportBarsHeader(series="AAPL"))
    assert _header(iter([header, content])).series == "AAPL"
    for pieces in ([], [content, header]):
        with pytest.raises(InvalidInput, match="begins with a header"):
            _header(iter(pieces))
