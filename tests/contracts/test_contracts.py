"""The contracts keep their promises: lint, format, and no breaking change against the accepted image."""

import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import facts_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.predictor.v1 import predictor_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.trainer.v1 import trainer_pb2
from services.platform.facts import FACTS

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).parent / "buf"

SERVICES = {
    "EventLogService": (
        eventlog_pb2,
        "Append Read Subscribe GetHead ProveInclusion ProveConsistency Verify Rebuild Export",
    ),
    "RegistryService": (
        registry_pb2,
        "RegisterDataset ListDatasets GetDataset RequestTraining FailTraining CancelTraining RecordTraining"
        " ListTrainings GetModel ListModels CompareModels GetChampion GetSymbolBest PromoteModel RollbackChampion"
        " GetSessionInputs"
        " ListDecisions GetLineage",
    ),
    "KnowledgeService": (
        knowledge_pb2,
        "RecordEvidence GetKnowledge ListPatterns GetPattern OfferPattern RetirePattern ListSuccessRates"
        " ListFeatureHistory",
    ),
    "TrainerService": (
        trainer_pb2,
        "ImportBars StartTraining WatchTraining CancelTraining ReproduceModel EvaluateFresh ExportBars",
    ),
    "PredictorService": (predictor_pb2, "Predict Evaluate"),
}


@pytest.fixture
def protos(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


def breaking(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUF, "breaking", "--against", "protos/accepted.binpb"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SERVICES)
def test_every_method_of_the_design_is_in_the_contract(name: str) -> None:
    module, methods = SERVICES[name]
    file: FileDescriptor = module.DESCRIPTOR
    service: ServiceDescriptor = file.services_by_name[name]
    assert set(methods.split()) <= {method.name for method in service.methods}


def test_the_contract_is_the_accepted_one(protos: Path) -> None:
    found = breaking(protos)
    assert found.returncode == 0, found.stdout + found.stderr


def test_removing_an_rpc_is_refused(protos: Path) -> None:
    path = protos / "protos/ratchet/registry/v1/registry.proto"
    line = "  rpc GetChampion(GetChampionRequest) returns (GetChampionResponse);\n"
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, ""))
    found = breaking(protos)
    assert found.returncode != 0
    assert "GetChampion" in found.stdout


def test_renumbering_a_field_of_a_fact_is_refused(protos: Path) -> None:
    path = protos / "protos/ratchet/events/v1/facts.proto"
    assert "string replaced = 4;" in path.read_text()
    path.write_text(path.read_text().replace("string replaced = 4;", "string replaced = 40;"))
    assert breaking(protos).returncode != 0


def test_the_log_knows_every_fact_of_the_contract() -> None:
    assert set(FACTS) == {message.full_name for message in facts_pb2.DESCRIPTOR.message_types_by_name.values()}


def test_no_fact_uses_a_map() -> None:
    seen, queue = set(), list(facts_pb2.DESCRIPTOR.message_types_by_name.values())
    while queue:
        message = queue.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        assert not message.GetOptions().map_entry, message.full_name
        queue.extend(field.message_type for field in message.fields if field.message_type)
    assert "ratchet.events.v1.Evidence" in seen


def test_grpc_is_the_pinned_one() -> None:
    assert f"grpcio=={grpc.__version__}" in (ROOT / "constraints.txt").read_text()
