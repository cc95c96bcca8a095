"""Files of bars that are lost, damaged or of another library version, at an import of the same bars."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratchet.client import Client
from ratchet.errors import CorruptData, DataRefused, NotFound
from ratchet.names import Series
from ratchet.scoring.data import csv_file, snapshot
from ratchet.scoring.data.bars import Bars
from services.platform.artifacts import ArtifactStore
from services.trainer.imports.bars import Importer

FILE = (Path(__file__).parents[3] / "ratchet" / "data" / "FB_SHORT.csv").read_bytes()
FB = Series.parse("FB")


@pytest.fixture
def importer(client: Client, store: ArtifactStore) -> Importer:
    return Importer(client, store)


def snapshot_file(importer: Importer, tmp_path: Path) -> Path:
    digest = importer.add("first", FB, "FB.csv", FILE, False).dataset.registered.artifact.digest
    return tmp_path / "artifacts" / digest[:2] / digest[2:]


def overwrite(file: Path, content: bytes) -> None:
    file.chmod(0o644)
    file.write_bytes(content)


def test_a_lost_snapshot_is_back_after_another_import(importer: Importer, tmp_path: Path) -> None:
    snapshot_file(importer, tmp_path).unlink()
    assert importer.add("second", FB, "FB.csv", FILE, False).unchanged
    assert len(importer.snapshots.latest(FB)[1]) == 196


def test_a_damaged_snapshot_is_not_called_unchanged(importer: Importer, tmp_path: Path) -> None:
    file = snapshot_file(importer, tmp_path)
    overwrite(file, file.read_bytes()[:100])
    with pytest.raises(CorruptData, match="damaged"):
        importer.add("second", FB, "FB.csv", FILE, False)


@pytest.fixture
def other_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, bars are encoded as another library version might: the same values in other bytes."""
    encode = snapshot.encode

    def encoded(bars: Bars) -> bytes:
        sink = pa.BufferOutputStream()
        pq.write_table(pq.read_table(pa.BufferReader(encode(bars))), sink, compression="none")
        return bytes(sink.getvalue())

    return lambda: monkeypatch.setattr(snapshot, "encode", encoded)


def test_another_encoding_of_the_same_bars_is_unchanged(
    client: Client, importer: Importer, store: ArtifactStore, other_version: Callable[[], None]
) -> None:
    first = importer.add("first", FB, "FB.csv", FILE, False)
    head, files = client.get_head().position, set(store.digests())
    other_version()
    again = importer.add("second", FB, "FB.csv", FILE, False)
    assert (again.unchanged, again.dataset) == (True, first.dataset)
    assert (client.get_head().position, set(store.digests())) == (head, files)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: overwrite(path, b"damaged")], ids=["lost", "damaged"])
def test_an_unreadable_file_is_replaced_by_one_of_another_encoding(
    importer: Importer, tmp_path: Path, other_version: Callable[[], None], damage: Callable[[Path], object]
) -> None:
    damage(snapshot_file(importer, tmp_path))
    first = importer.snapshots.newest(FB)
    other_version()
    again = importer.add("second", FB, "FB.csv", FILE, False)
    fact, before = again.dataset.registered, first.registered
    assert again.unchanged
    assert again.dataset.latest
    assert (fact.digest, fact.source, fact.rows_appended) == (before.digest, "FB.csv", before.rows_appended)
    assert fact.artifact.digest != before.artifact.digest
    assert len(importer.snapshots.latest(FB)[1]) == len(importer.snapshots.recorded(fact.digest)) == 196
    assert importer.add("third", FB, "FB.csv", FILE, False).dataset == again.dataset


def test_a_file_of_other_bars_is_refused_and_replaced_by_an_import(
    client: Client, importer: Importer, store: ArtifactStore
) -> None:
    fact = importer.add("first", FB, "FB.csv", FILE, False).dataset.registered
    other = snapshot.encode(csv_file.read(FILE, "FB", "FB.csv").bars.head(100))
    fact.artifact.digest = store.put(other)
    client.register_dataset(fact)
    with pytest.raises(CorruptData, match=f"holds 100 bars of FB with digest .* not those of dataset {fact.digest}"):
        importer.snapshots.latest(FB)
    assert importer.add("second", FB, "FB.csv", FILE, False).unchanged
    assert len(importer.snapshots.latest(FB)[1]) == 196


def test_the_values_of_a_file_are_hashed_once(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    importer.add("first", FB, "FB.csv", FILE, False)
    hashed: list[Bars] = []
    digest = snapshot.digest
    monkeypatch.setattr(snapshot, "digest", lambda bars: hashed.append(bars) or digest(bars))
    for _ in range(3):
        importer.snapshots.latest(FB)
    assert len(hashed) == 1


def test_an_unknown_dataset_has_no_bars(importer: Importer) -> None:
    with pytest.raises(NotFound, match="there is no dataset 'dddd'; give the 64 digits of one"):
        importer.snapshots.recorded("dddd")


def test_a_refused_change_says_that_replace_would_do_it(importer: Importer, tmp_path: Path) -> None:
    snapshot_file(importer, tmp_path)
    with pytest.raises(DataRefused) as refused:
        importer.add("second", FB, "FB.csv", FILE.replace(b"\n2012-05-21", b"\n2012-05-20"), False)
    assert refused.value.metadata == {"remedy": "replace"}
