"""Bars go out as they came in: the exported file, imported again, is the same snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet.errors import InvalidInput, NotFound
from tests.support.training_services import FILE, World, hourly, world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.mark.parametrize(
    ("series", "content"), [("MSFT", FILE.read_bytes()), ("AAPL@1h", hourly(2000)), ("AAPL@1w", FILE.read_bytes())]
)
def test_an_exported_file_is_imported_as_the_same_snapshot(
    made: World, tmp_path: Path, series: str, content: bytes
) -> None:
    first = made.add(series, content)
    file = tmp_path / "bars.csv"
    file.write_bytes(b"".join(made.client.export_bars(series)))
    again = made.client.import_bars(file, series)
    assert again.unchanged
    assert again.dataset.registered.digest == first.registered.digest


def test_it_is_the_newest_snapshot(made: World) -> None:
    lines = b"".join(made.client.export_bars("AAPL")).splitlines()
    newest = next(made.client.list_datasets("AAPL", latest_only=True)).registered
    assert len(lines) == newest.rows + 1
    assert lines[-1].startswith(newest.last_bar.ToJsonString()[:10].encode())


def test_a_series_without_bars_says_how_to_import_some(made: World) -> None:
    with pytest.raises(NotFound, match="TSLA has no bars yet; import some with ratchet data import TSLA FILE"):
        list(made.client.export_bars("TSLA"))
    with pytest.raises(InvalidInput, match="symbol '' is not a name"):
        list(made.client.export_bars(""))
