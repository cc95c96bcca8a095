"""What the store lost or holds damaged, seen by an import of the same bars."""

from pathlib import Path

import pytest

from ratchet.client import Client
from ratchet.errors import CorruptData, DataRefused
from ratchet.names import Series
from services.platform.artifacts import ArtifactStore
from services.trainer.imports.bars import Importer

FILE = (Path(__file__).parents[3] / "ratchet" / "data" / "FB_SHORT.csv").read_bytes()
FB = Series.parse("FB")


@pytest.fixture
def importer(client: Client, store: ArtifactStore) -> Importer:
    return Importer(client, store)


def snapshot_file(importer: Importer, tmp_path: Path) -> Path:
    digest = importer.add("first", FB, "FB.csv", FILE, False).dataset.registered.digest
    return tmp_path / "artifacts" / digest[:2] / digest[2:]


def test_a_lost_snapshot_is_back_after_another_import(importer: Importer, tmp_path: Path) -> None:
    snapshot_file(importer, tmp_path).unlink()
    assert importer.add("second", FB, "FB.csv", FILE, False).unchanged
    assert len(importer.snapshots.latest(FB)[1]) == 196


def test_a_damaged_snapshot_is_not_called_unchanged(importer: Importer, tmp_path: Path) -> None:
    file = snapshot_file(importer, tmp_path)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorruptData, match="damaged"):
        importer.add("second", FB, "FB.csv", FILE, False)


def test_a_refused_change_says_that_replace_would_do_it(importer: Importer, tmp_path: Path) -> None:
    snapshot_file(importer, tmp_path)
    with pytest.raises(DataRefused) as refused:
        importer.add("second", FB, "FB.csv", FILE.replace(b"\n2012-05-21", b"\n2012-05-20"), False)
    assert refused.value.metadata == {"remedy": "replace"}
