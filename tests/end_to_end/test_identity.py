"""Three services with TLS and tokens, set up as docs/security.md prints it: who did what stands in every fact."""

import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet import Client
from ratchet.client.credentials import Credentials, Tls
from ratchet.client.endpoints import Endpoints
from ratchet.errors import NotAllowed, Unauthenticated
from ratchet.events.v1 import envelope_pb2, pattern_pb2
from ratchet.knowledge.v1 import knowledge_pb2
from ratchet.patterns.evidence import encode
from ratchet.registry.v1 import registry_pb2
from services.platform.identity import token_file
from services.platform.identity.token_file import Role
from tests.support.datasets import dataset
from tests.support.running import DATA, ROOT

SERVICES, CALLER = (
    [line.removeprefix("$ ") for line in block.splitlines()]
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "docs/security.md").read_text(), re.DOTALL)
)
LOGISTIC = "AAPL/range/logistic"


@dataclass
class Home:
    """A folder in which the documented lines ran; `texts`: every token that was ever made there."""

    folder: Path
    environ: dict[str, str]
    texts: list[str]

    def token(self, name: str, role: Role) -> str:
        made, _ = token_file.add(self.folder / ".ratchet" / "tokens.jsonl", name, role, datetime.now(UTC))
        self.texts.append(made)
        return made

    def client(self, token: str) -> Client:
        found = Endpoints.read(self.folder / ".ratchet")
        tls = Tls.load(self.environ)
        return Client(**asdict(found), actor="ada", credentials=Credentials(tls, token))

    def cli(self, token: str, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {**self.environ, "RATCHET_TOKEN": token, "RATCHET_DEBUG": "1"}
        command = [sys.executable, "-m", "ratchet", *words]
        return subprocess.run(command, env=environ, cwd=self.folder, capture_output=True, text=True, check=False)

    def actors(self) -> dict[str, set[str]]:
        """Whose names the facts of each type bear."""
        found = defaultdict(set)
        with self.client(self.token("reader", "viewer")) as client:
            for event in client.read_log():
                found[event.topic.rpartition(".")[2]].add(envelope_pb2.Envelope.FromString(event.state).actor)
        return found


def environment(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in file.read_text().split("\0") if line)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("secured")
    plain = {key: value for key, value in os.environ.items() if not key.startswith("RATCHET_")}
    plain["PATH"] = f"{Path(sys.executable).parent}:{plain['PATH']}"
    assert SERVICES[-1] == "ratchet up"
    lines = "\n".join([*SERVICES[:-1], "env -0 > services.env", "exec ratchet up --port-base 0"])
    with (folder / "said").open("wb") as said:
        services = subprocess.Popen(["sh", "-ec", lines], env=plain, cwd=folder, stdout=said, stderr=said)
    try:
        while not (folder / ".ratchet" / "endpoints.json").exists():
            assert services.poll() is None, (folder / "said").read_text()
            time.sleep(0.05)
        lines = "\n".join([*CALLER, "env -0 > caller.env"])
        subprocess.run(["sh", "-ec", lines], env=plain, cwd=folder, capture_output=True, check=True)
        started, caller = (environment(folder / f"{name}.env") for name in ("services", "caller"))
        for file in ("services.env", "caller.env"):
            (folder / file).unlink()
        yield Home(folder, caller, [caller["RATCHET_TOKEN"], started["RATCHET_TOKEN_TRAINER"]])
    finally:
        services.terminate()
        assert services.wait(60) == 0


@pytest.fixture(scope="module")
def trained(home: Home) -> list[str]:
    """One model by the command line, as a trainer; what was printed."""
    token = home.token("tom", "trainer")
    imported = home.cli(token, "data", "import", "AAPL", str(DATA / "AAPL.csv"))
    model = ["--model", "logistic", "--target", "range", "--until", "2004-12-31"]
    ran = home.cli(token, "train", "AAPL", *model)
    assert (imported.returncode, ran.returncode) == (0, 0), imported.stderr + ran.stderr
    return [imported.stdout, imported.stderr, ran.stdout, ran.stderr]


def test_a_model_is_trained_and_each_fact_bears_the_name_of_who_brought_it(home: Home, trained: list[str]) -> None:
    actors = home.actors()
    assert actors["DatasetRegistered"] == actors["TrainingRequested"] == {"tom"}
    assert actors["ModelTrained"] == actors["TrainingCompleted"] == actors["ModelPromoted"] == {"trainer"}
    assert actors["FeaturesRanked"] == {"trainer"}


def test_who_may_not_is_told_what_is_needed(home: Home, trained: list[str]) -> None:
    refused = home.cli(home.token("vera", "viewer"), "models", "promote", f"{LOGISTIC}/v1", "--reason", "mine")
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "PromoteModel needs the role promoter, vera has viewer" in refused.stderr
    assert home.cli("", "models", "list").returncode == 6
    assert home.cli(home.token("vera", "viewer"), "health", "trainer").returncode == 0


def test_a_person_gets_no_more_through_the_trainer_than_directly(home: Home, trained: list[str]) -> None:
    with home.client(home.token("vera", "viewer")) as viewer:
        assert viewer.predict("AAPL", "range").model == f"{LOGISTIC}/v1"
        for act in (
            lambda: viewer.import_bars(DATA / "AAPL.csv", "AAPL"),
            lambda: viewer.start_training("AAPL", "logistic", "range"),
            lambda: viewer.cancel_training("any"),
            lambda: viewer.reproduce_model(f"{LOGISTIC}/v1"),
        ):
            with pytest.raises(NotAllowed, match="needs the role trainer, vera has viewer"):
                act()


def test_who_cancels_a_session_is_its_own_name_in_the_log(home: Home, trained: list[str]) -> None:
    with home.client(home.texts[1]) as service, home.client(home.texts[0]) as ann:
        digest = next(iter(ann.list_datasets("AAPL"))).registered.digest
        asked = registry_pb2.RequestTrainingRequest(lineage=LOGISTIC, dataset_digest=digest)
        session = service.acting_as("bob").request_training(asked)
        with pytest.raises(NotAllowed, match="only services do that"):
            ann.record_cancellation(registry_pb2.CancelTrainingRequest(session_id=session.session_id))
        assert ann.cancel_training(session.session_id, "not now").requested_by == "bob"
    assert home.actors()["TrainingCancelled"] == {"ann"}


def test_who_retires_a_pattern_or_offers_it_is_its_own_name_in_the_log(home: Home) -> None:
    fired = np.arange(600) % 5 == 0
    span = encode(0, fired, fired | (np.arange(600) % 2 == 0))
    rule = pattern_pb2.Rule(
        conditions=[pattern_pb2.Condition(feature="rsi_14", operator=pattern_pb2.OPERATOR_ABOVE, threshold=70.0)],
        label=True,
    )
    tested = knowledge_pb2.TestedPattern(
        pattern=pattern_pb2.Pattern(
            id="aa11", series="IBM", task="range", rule=rule, wording="rsi_14 > 70 → wider range", type="level"
        ),
        evidence=pattern_pb2.BarEvidence(dataset_digest="d1", spans=[span]),
        p_value=0.001,
        passed=True,
    )
    evidence = knowledge_pb2.RecordEvidenceRequest(
        session_id="s1",
        lineage="IBM/range/logistic",
        tested=[tested],
        candidates_tested=20,
        market_time=Timestamp(seconds=599 * 86_400),
    )
    with home.client(home.texts[1]) as service, home.client(home.texts[0]) as ann:
        with pytest.raises(NotAllowed):
            ann.record_evidence(evidence)
        service.register_dataset(dataset("IBM", "d1", rows=601))
        service.acting_as("trainer").record_evidence(evidence)
        with pytest.raises(NotAllowed):
            service.acting_as("ann").retire_pattern("aa11", "as ann")
        ann.offer_pattern("aa11", "MSFT", "alike")
        ann.retire_pattern("aa11", "no longer")
    actors = home.actors()
    assert actors["PatternDiscovered"] == {"trainer"}
    assert actors["PatternOffered"] == actors["PatternRetired"] == {"ann"}


def test_a_promotion_bears_the_name_of_the_token(home: Home, trained: list[str]) -> None:
    again = home.cli(home.token("tom", "trainer"), "train", "AAPL", "--model", "logistic", "--target", "range")
    assert again.returncode == 0, again.stderr
    with home.client(home.texts[1]) as service, home.client(home.texts[0]) as ann:
        champion = ann.get_champion(LOGISTIC).model.name
        other = ({f"{LOGISTIC}/v1", f"{LOGISTIC}/v2"} - {champion}).pop()
        with pytest.raises(NotAllowed, match="use the token of a person"):
            service.acting_as("ann").promote_model(other, "as ann", champion)
        assert ann.promote_model(other, "the review", champion).actor == "ann"
        assert ann.rollback_champion(LOGISTIC, "the review is over", despite_cause=True).actor == "ann"


def test_who_verifies_removes_nothing_without_being_admin(home: Home) -> None:
    with home.client(home.token("vera", "viewer")) as vera, home.client(home.token("eve", "admin")) as eve:
        assert vera.verify().checked
        with pytest.raises(NotAllowed, match="needs the role admin, vera has viewer"):
            vera.verify(collect_garbage=True)
        assert eve.verify(collect_garbage=True).checked


def test_a_revoked_token_is_refused_at_the_next_call(home: Home) -> None:
    with home.client(home.token("eve", "admin")) as eve:
        eve.list_checkpoints()
        assert eve.rebuild().tables
        token_file.revoke(home.folder / ".ratchet" / "tokens.jsonl", "eve")
        with pytest.raises(Unauthenticated, match="is not in force"):
            eve.rebuild()


def test_no_token_is_left_in_a_log_a_file_or_an_output(home: Home, trained: list[str]) -> None:
    files = [path for path in home.folder.rglob("*") if path.is_file()]
    assert {"registry.log", "knowledge.log", "trainer.log", "log.sqlite", "tokens.jsonl"} <= {
        path.name for path in files
    }
    assert len(home.texts) > 4
    for text in home.texts:
        assert not [path for path in files if text.encode() in path.read_bytes()]
        assert not [said for said in trained if text in said]
