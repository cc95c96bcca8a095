"""Imported bars are snapshots in the store and facts in the log; known history changes only when a person says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ratchet.client import Client
from ratchet.errors import DataRefused, NotFound
from ratchet.events.v1.envelope_pb2 import Envelope
from ratchet.names import Series
from services.kernel.artifacts import ArtifactStore
from services.trainer.data import snapshot
from services.trainer.importing import Imported, Importer

LINES = (Path(__file__).parents[3] / "examples" / "data" / "AAPL.csv").read_bytes().splitlines(keepends=True)
AAPL = Series.parse("AAPL")


def rows(count: int, **changed: bytes) -> bytes:
    """The header and the first bars of the demo file; `row_7=b"…"` replaces the seventh bar, b"" leaves it out."""
    bars = [changed.get(f"row_{number}", line) for number, line in enumerate(LINES[1 : count + 1], start=1)]
    return b"".join([LINES[0], *bars])


@pytest.fixture
def importer(client: Client, store: ArtifactStore) -> Importer:
    return Importer(client, store)


@pytest.fixture
def add(importer: Importer) -> Callable[..., Imported]:
    ids = iter(range(100))
    return lambda content, replace=False: importer.add(f"import/{next(ids)}", AAPL, "AAPL.csv", content, replace)


def test_a_file_becomes_a_snapshot_and_a_fact(
    importer: Importer, store: ArtifactStore, add: Callable[..., Imported]
) -> None:
    imported = add(rows(400))
    fact = imported.dataset.registered
    content = store.get(fact.digest)
    assert hashlib.sha256(content).hexdigest() == fact.digest
    assert (fact.rows, fact.rows_appended, fact.rows_changed, fact.rows_removed) == (400, 400, 0, 0)
    assert (fact.size_bytes, fact.source, fact.previous_digest) == (len(content), "AAPL.csv", "")
    assert (fact.first_bar.seconds, fact.last_bar.seconds) == (imported.bars.time[0], imported.bars.time[-1])
    dataset, bars = importer.latest(AAPL)
    assert dataset == imported.dataset
    assert snapshot.encode(bars) == content


def test_the_same_bars_again_register_nothing(client: Client, add: Callable[..., Imported]) -> None:
    first = add(rows(400))
    head = client.get_head().position
    again = add(rows(400).replace(b"date,open", b"Date,Open"))
    assert again.unchanged
    assert again.dataset == first.dataset
    assert client.get_head().position == head


def test_newer_bars_are_appended(importer: Importer, add: Callable[..., Imported]) -> None:
    first, second = add(rows(400)), add(rows(421))
    fact = second.dataset.registered
    assert (fact.rows, fact.rows_appended, fact.rows_changed, fact.rows_removed) == (421, 21, 0, 0)
    assert fact.previous_digest == first.dataset.registered.digest
    assert importer.latest(AAPL)[0].registered.digest == fact.digest


def test_changed_history_needs_replace_and_the_older_snapshot_stays(
    importer: Importer, store: ArtifactStore, add: Callable[..., Imported]
) -> None:
    first = add(rows(400))
    revised = rows(410, row_7=LINES[7].rpartition(b",")[0] + b",1\n", row_9=b"")
    with pytest.raises(DataRefused, match="changes 1 and removes 1 of the known bars, the first on 2000-03-09"):
        add(revised)
    assert importer.latest(AAPL)[0] == first.dataset
    fact = add(revised, replace=True).dataset.registered
    assert (fact.rows_appended, fact.rows_changed, fact.rows_removed) == (10, 1, 1)
    assert importer.latest(AAPL)[0].registered.digest == fact.digest
    assert len(snapshot.decode(store.get(first.dataset.registered.digest))) == 400


def test_a_cut_knows_nothing_later_and_is_not_the_latest(
    importer: Importer, store: ArtifactStore, add: Callable[..., Imported]
) -> None:
    whole = add(rows(400))
    until = int(whole.bars.time[299])
    cut = importer.cut("cut/1", whole.dataset, whole.bars, until)
    fact = cut.dataset.registered
    assert (fact.rows, fact.last_bar.seconds, fact.cut_from) == (300, until, whole.dataset.registered.digest)
    assert snapshot.decode(store.get(fact.digest)).time[-1] == until
    assert importer.latest(AAPL)[0] == whole.dataset
    same = importer.cut("cut/2", whole.dataset, whole.bars, int(whole.bars.time[-1]))
    assert same.unchanged
    assert same.dataset == whole.dataset
    with pytest.raises(DataRefused, match="AAPL has no bar until 2000-02-29, its first is 2000-03-01"):
        importer.cut("cut/3", whole.dataset, whole.bars, int(whole.bars.time[0]) - 86_400)


def test_a_refused_file_leaves_no_trace(client: Client, importer: Importer, add: Callable[..., Imported]) -> None:
    head = client.get_head().position
    with pytest.raises(DataRefused, match=r"AAPL\.csv row 4"):
        add(rows(400, row_3=b"2000-03-03,4,3,5,4,100\n"))
    assert client.get_head().position == head
    with pytest.raises(NotFound, match="AAPL has no bars yet; import some with ratchet data import AAPL FILE"):
        importer.latest(AAPL)


def test_an_import_bears_the_name_of_its_caller(client: Client, importer: Importer) -> None:
    head = client.get_head().position
    importer.acting_as("ann@desk").add("import/1", AAPL, "AAPL.csv", rows(300), replace=False)
    assert [Envelope.FromString(event.state).actor for event in client.read_log(head + 1)] == ["ann@desk"]
