"""A recorded model is made again from what its record names, whatever was learned since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratchet.errors import CorruptData, NotFound
from ratchet.names import MODEL_TYPES
from services.trainer.sessions.inputs import read_recorded_inputs
from services.trainer.sessions.reproduction import ReproductionJob, retrain_and_compare
from tests.support.training_services import LINEAGE, TRAINED_ON, Here, World, quiet, rows, world


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("reproducing")
    with world(folder) as found:
        found.train(LINEAGE, found.add("AAPL", rows(2600), replace=True))
        found.train(LINEAGE, found.add("AAPL", rows(3000)))
        found.train(LINEAGE, found.add("AAPL", rows(2300), replace=True))
        yield found


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_is_made_again_to_the_byte(trained: World, version: int) -> None:
    answer = trained.client.reproduce_model(f"{LINEAGE}/v{version}")
    assert answer.identical, list(answer.differences)
    assert answer.same_bytes
    assert answer.artifact_digest == answer.reproduced_digest
    assert answer.largest_difference == 0.0
    assert answer.bars == {1: TRAINED_ON, 2: 2600, 3: 3000, 4: 2300}[version]
    assert not answer.differences


def test_another_past_makes_another_model_and_it_shows(trained: World) -> None:
    model = trained.client.get_model(f"{LINEAGE}/v3")
    job = ReproductionJob(
        read_recorded_inputs(trained.client, trained.store, model), trained.store.get(model.record.artifact.digest)
    )
    assert job.inputs.parent is not None
    orphan = retrain_and_compare(replace(job, inputs=replace(job.inputs, parent=None, trials=())), quiet)
    assert orphan.digest != model.record.artifact.digest
    assert orphan.largest_difference > 1e-6


def test_an_artifact_that_was_changed_is_no_proof(trained: World) -> None:
    digest = trained.client.get_model(f"{LINEAGE}/v1").record.artifact.digest
    file = trained.artifact_file(digest)
    content = file.read_bytes()
    file.chmod(0o644)
    try:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(CorruptData, match=digest[:12]):
            trained.client.reproduce_model(f"{LINEAGE}/v1")
    finally:
        file.write_bytes(content)


def test_a_model_that_was_never_trained_is_not_found(trained: World) -> None:
    with pytest.raises(NotFound, match="v9"):
        trained.client.reproduce_model(f"{LINEAGE}/v9")


@pytest.mark.slow
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_all_model_types_are_reproduced(tmp_path: Path, model_type: str) -> None:
    lineage = f"AAPL/range/{model_type}"
    with world(tmp_path, Here()) as found:
        found.train(lineage, found.add("AAPL", rows(2200), replace=True))
        name = found.train(lineage, found.add("AAPL", rows(2900)))
        answer = found.client.reproduce_model(name)
    assert answer.identical, list(answer.differences)
    assert answer.same_bytes
