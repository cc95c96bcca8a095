"""A session over the real services, trained in this process: what it reads and records, and a champion that moves."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from ratchet.client import Client
from ratchet.events.v1 import facts_pb2, model_pb2
from ratchet.names import Series
from ratchet.registry.v1 import registry_pb2 as pb
from ratchet.scoring.rule import pattern_id
from services.platform.artifacts import ArtifactStore
from services.platform.workers import Job, Report, Result
from services.trainer.imports.bars import Importer
from services.trainer.learning.inputs import SessionInputs
from services.trainer.learning.session import plan
from services.trainer.sessions.inputs import seed_of
from services.trainer.sessions.runner import SessionRunner

AAPL = Series.parse("AAPL")
LINEAGE = "AAPL/range/logistic"
LINES = (Path(__file__).parents[3] / "ratchet" / "data" / "AAPL.csv").read_bytes().splitlines(keepends=True)


class Here:
    """Workers of this very process."""

    count = 1

    def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
        return work(job, report)

    def close(self) -> None:
        pass


def quiet(phase: str, fraction: float) -> None:
    pass


@dataclass(frozen=True)
class World:
    client: Client
    runner: SessionRunner
    importer: Importer
    addresses: tuple[str, str]

    def asked(self, bars: int, lineage: str = LINEAGE) -> pb.Training:
        """A request to train on the first bars of the demo file."""
        imported = self.importer.add(uuid.uuid4().hex, AAPL, "AAPL.csv", b"".join(LINES[: bars + 1]), replace=True)
        digest = imported.dataset.registered.digest
        return self.client.request_training(pb.RequestTrainingRequest(lineage=lineage, dataset_digest=digest))

    def trained(self, bars: int, lineage: str = LINEAGE) -> pb.Training:
        training = self.asked(bars, lineage)
        job = self.runner.read_inputs(training)
        return self.runner.record(training, job, self.runner.train(job, quiet))

    def decision(self, session_id: str) -> pb.Decision:
        return next(iter(self.client.list_decisions(session_id=session_id, lineage=LINEAGE)))


@pytest.fixture
def world(registry_address: str, knowledge_address: str, store: ArtifactStore) -> Iterator[World]:
    client = Client(registry_address, knowledge_address, actor="trainer")
    addresses = registry_address, knowledge_address
    yield World(client, SessionRunner(client, store, Here()), Importer(client, store), addresses)
    client.close()


def test_a_session_asks_the_same_few_questions_whatever_its_lineage_went_through(world: World) -> None:
    asked: list[str] = []

    class Counted(Here):
        def run(self, work: Callable[[Job, Report], Result], job: Job, report: Report) -> Result:
            asked.append("worker")
            return work(job, report)

    counting = Client(*world.addresses, actor="trainer")
    for transport in (counting.registry, counting.knowledge):
        unary = transport.unary

        def counted(method: Any, request: Any, *rest: Any, unary: Any = unary, **options: Any) -> Any:
            asked.append(type(request).__name__.removesuffix("Request"))
            return unary(method, request, *rest, **options)

        transport.unary = counted  # type: ignore[method-assign]
    runner = SessionRunner(counting, world.runner.store, Counted())
    sessions = []
    for bars in (1500, 1600, 1500, 1700):
        training = world.asked(bars)
        asked.clear()
        runner.record(training, job := runner.read_inputs(training), runner.train(job, quiet))
        sessions.append([name for name in asked if name != "worker"])
    counting.close()
    assert sessions[0] == ["GetDataset", "GetSessionInputs", "GetKnowledge", "RecordEvidence", "RecordTraining"]
    assert sessions == sessions[:1] * 4


def ranked(world: World, lineage: str) -> list[model_pb2.RankedFeature]:
    """The features of its last session."""
    return list(list(world.client.list_feature_history(lineage))[-1].features)


def test_evidence_names_the_traded_rows_of_the_sessions_own_snapshot(world: World) -> None:
    """A cut of a series with a standstill: bars are found again by the digest of the model's own record."""
    still = [line.partition(b",")[0] + b",7,7,7,7,0\n" for line in LINES[1201:1211]]
    content = b"".join([*LINES[:1201], *still, *LINES[1211:2001]])
    whole = world.importer.add("import", AAPL, "AAPL.csv", content, replace=False)
    cut = world.importer.cut("cut", whole.dataset, whole.bars, int(whole.bars.time[1899])).dataset.registered.digest
    training = world.client.request_training(pb.RequestTrainingRequest(lineage=LINEAGE, dataset_digest=cut))
    job = world.runner.read_inputs(training)
    outcome = world.runner.train(job, quiet)
    world.runner.record(training, job, outcome)
    assert world.client.get_model(f"{LINEAGE}/v1").record.dataset_digest == cut
    assert outcome.mining.rules
    for tested in outcome.mining.rules:
        assert tested.evidence.times[0] < whole.bars.time[1200] < tested.evidence.times[-1]
        answer = world.client.get_pattern(pattern_id(tested.rule, "AAPL", "range"))
        [change] = answer.history
        assert (change.dataset_digest, change.bars) == (cut, len(tested.evidence))
        assert change.first_bar.seconds == tested.evidence.times[0]
        assert answer.pattern.tested_through.seconds == tested.evidence.times[len(tested.evidence) - 1]
        assert answer.pattern.evidence_end.seconds == tested.evidence.end


@dataclass(frozen=True)
class Watched:
    """An artifact store that says which artifact is being read."""

    inner: ArtifactStore
    reading: Callable[[str], None]

    def get(self, digest: str) -> bytes:
        self.reading(digest)
        return self.inner.get(digest)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@pytest.mark.parametrize("moves", [1, 2, 5])
def test_a_champion_that_moves_meanwhile_is_scored_against_and_is_no_parent(world: World, moves: int) -> None:
    """It moves once before the session is recorded, and again while that is scored."""
    world.trained(1500)
    assert world.trained(1600).model == f"{LINEAGE}/v2"
    if world.client.get_champion(LINEAGE).model.version == 1:
        world.client.promote_model(f"{LINEAGE}/v2", "a second opinion", f"{LINEAGE}/v1")
    training = world.asked(1900)
    job = world.runner.read_inputs(training)
    assert job.parent is not None
    assert job.parent.name == f"{LINEAGE}/v2"
    outcome = world.runner.train(job, quiet)
    of_champion = {world.client.get_model(f"{LINEAGE}/v{n}").record.artifact.digest: n for n in (1, 2)}
    reigns = [f"{LINEAGE}/v2"]

    def move(digest: str = "") -> None:
        in_force = reigns[-1]
        being_scored = not digest or in_force == f"{LINEAGE}/v{of_champion.get(digest, 0)}"
        if being_scored and len(reigns) <= moves:
            reigns.append(f"{LINEAGE}/v{1 if in_force.endswith('v2') else 2}")
            world.client.promote_model(reigns[-1], "the other one is calmer", in_force)

    move()
    runner = replace(world.runner, store=cast(ArtifactStore, Watched(world.runner.store, move)))
    ended = runner.record(training, job, outcome)
    assert (ended.state, ended.model) == (pb.TRAINING_STATE_COMPLETED, f"{LINEAGE}/v3")
    assert len(reigns) == 1 + moves
    record = world.client.get_model(ended.model).record
    assert record.parent == f"{LINEAGE}/v2"
    decision = world.decision(training.session_id)
    decided = decision.promoted if decision.WhichOneof("outcome") == "promoted" else decision.declined
    assert {each.champion for each in decided.evidence} == {reigns[-1]}


def test_bars_on_which_nothing_trades_are_no_part_of_a_session(world: World) -> None:
    world.trained(1500)
    before = world.runner.read_inputs(world.asked(1500))
    day, price = datetime.fromtimestamp(int(before.bars.time[-1]), UTC), f"{before.bars.close[-1]},".encode() * 4
    still = b"".join(f"{day + timedelta(days=n):%Y-%m-%d},".encode() + price + b"0\n" for n in range(1, 401))
    imported = world.importer.add(uuid.uuid4().hex, AAPL, "AAPL.csv", b"".join(LINES[:1501]) + still, replace=True)
    asked = pb.RequestTrainingRequest(lineage=LINEAGE, dataset_digest=imported.dataset.registered.digest)
    after = world.runner.read_inputs(world.client.request_training(asked))
    assert after.bars.time.tolist() == before.bars.time.tolist()
    assert plan(after.bars, "range", 1, after.last_labelled_time).new_bars == 0


def test_a_session_that_is_run_twice_gathers_and_makes_the_same(world: World) -> None:
    world.trained(1500)
    training = world.asked(1800)
    job = world.runner.read_inputs(training)
    outcome = world.runner.train(job, quiet)
    again = world.runner.read_inputs(training)
    assert again.seed == job.seed
    assert (again.patterns, again.tested_rules, again.mined_through) == (
        job.patterns,
        job.tested_rules,
        job.mined_through,
    )
    repeated = world.runner.train(again, quiet)
    assert repeated.artifact == outcome.artifact
    world.runner.record(training, job, outcome)
    head = world.client.get_head().position
    assert world.runner.record(training, job, outcome).model == f"{LINEAGE}/v2"
    assert world.client.get_head().position == head


def test_the_seed_is_asked_for_or_follows_from_lineage_snapshot_and_until_alone() -> None:
    asked = facts_pb2.TrainingRequested(session_id="one", lineage=LINEAGE, dataset_digest="ab", policy="strict")
    other = facts_pb2.TrainingRequested(session_id="two", lineage=LINEAGE, dataset_digest="ab", policy="plain")
    assert seed_of(asked) == seed_of(other) == 8571724138226162766
    other.until.FromSeconds(1)
    assert seed_of(other) != seed_of(asked)
    asked.seed = 7
    assert seed_of(asked) == 7


def test_what_is_asked_of_knowledge_ends_before_tune(world: World) -> None:
    world.trained(3000)
    training = world.asked(3100)
    job = world.runner.read_inputs(training)
    before = plan(job.bars, "range", 1, job.last_labelled_time).known_before
    assert job.tested_rules
    assert all(pattern.evidence_end < before for pattern in job.patterns)


def test_a_session_remembers_what_the_lineage_tried_and_what_was_useless_to_it(world: World) -> None:
    for bars in (1500, 1700, 1900):
        world.trained(bars)
    job = world.runner.read_inputs(world.asked(2100))
    records = [world.client.get_model(f"{LINEAGE}/v{version}").record for version in (1, 2, 3)]
    assert len(job.trials) == sum(len(record.trials) for record in records)
    assert job.trials[0].score == 1.0
    last = records[2].trials
    assert job.trials[-1].score == last[-1].tune_score / last[0].tune_score
    useless = [{feature.name for feature in record.importance if feature.useless} for record in records]
    assert set(job.useless) == set.intersection(*useless)
    assert job.policy == "balanced"
    shares = {feature.name: feature.share.value for feature in records[2].importance}
    assert all(shares[name] > 0.1 for name in job.important)
    leaned_on = [feature for feature in records[2].importance if feature.share.value > 0.1 and not feature.useless]
    assert set(job.important) == {feature.name for feature in leaned_on if not feature.name.startswith("rule:")}


OF_THE_REQUEST = {"bars", "seed", "read_position"}
OF_THE_RACE = {"champion", "contenders", "symbol_best"}


def remembered(job: SessionInputs) -> dict[str, object]:
    return {name: value for name, value in vars(job).items() if name not in OF_THE_REQUEST | OF_THE_RACE}


def test_features_that_a_later_session_of_another_type_found_important_are_not_tried(world: World) -> None:
    world.trained(1500)
    before = world.runner.read_inputs(world.asked(1700))
    world.trained(3000, "AAPL/range/xgboost")
    leaned_on = {feature.name for feature in ranked(world, "AAPL/range/xgboost") if feature.share.value > 0.1}
    assert not leaned_on <= set(before.important)
    assert remembered(world.runner.read_inputs(world.asked(1700))) == remembered(before)
    assert leaned_on <= set(world.runner.read_inputs(world.asked(3100)).important)


def test_a_session_that_goes_back_remembers_no_later_session_of_its_lineage(world: World) -> None:
    """Neither studies nor useless features, steps, holdout, patterns or parent; it races against the one in force."""
    for bars in (1500, 1700):
        world.trained(bars)
    before = world.runner.read_inputs(world.asked(1900))
    for bars in (2600, 2900, 3200):
        world.trained(bars)
    if world.client.get_champion(LINEAGE).model.version != 5:
        in_force = world.client.get_champion(LINEAGE).model.name
        world.client.promote_model(f"{LINEAGE}/v5", "the newest", in_force)
    training = world.asked(1900)
    job = world.runner.read_inputs(training)
    assert remembered(job) == remembered(before)
    assert job.sessions == 2
    assert job.champion is not None
    assert before.parent is not None
    assert job.champion.name == f"{LINEAGE}/v5"
    ended = world.runner.record(training, job, world.runner.train(job, quiet))
    record = world.client.get_model(ended.model).record
    assert (record.parent, record.windows.new_bars) == (before.parent.name, 200)
    assert not ended.promoted
    assert world.client.get_champion(LINEAGE).model.name == f"{LINEAGE}/v5"
    assert world.client.verify().verified


def test_a_promotion_by_a_person_counts_where_the_promoted_model_does(world: World) -> None:
    for bars in (1500, 1700, 3000):
        world.trained(bars)
    for version in (1, 2, 3, 1):
        in_force = world.client.get_champion(LINEAGE).model.name
        if in_force != f"{LINEAGE}/v{version}":
            world.client.promote_model(f"{LINEAGE}/v{version}", "a second opinion", in_force)
            parent = world.runner.read_inputs(world.asked(1900)).parent
            assert parent is not None
            assert parent.name == f"{LINEAGE}/v{version if version != 3 else 2}"
