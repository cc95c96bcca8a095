"""A lineage grows: the whole path through three services and one log."""

import json

import pytest

from ratchet.errors import NotFound
from ratchet.events.v1 import decision_pb2
from ratchet.registry.v1 import registry_pb2
from tests.support.running import DATA, Running

FOREST = "MSFT/range/random-forest"
LOGISTIC = "MSFT/range/logistic"


@pytest.fixture(scope="module")
def trained(services: Running) -> list[registry_pb2.Training]:
    services.import_bars("MSFT")
    cuts = [{"until": "2006-12-29"}, {"until": "2009-12-31"}, {}, {}]
    forests = [services.train("MSFT", "random-forest", **cut) for cut in cuts]
    return [*forests, services.train("MSFT", "logistic")]


def test_every_session_ends_with_a_model(trained: list[registry_pb2.Training]) -> None:
    assert [training.model for training in trained] == [f"{FOREST}/v{n}" for n in (1, 2, 3, 4)] + [f"{LOGISTIC}/v1"]
    assert {training.state for training in trained} == {registry_pb2.TRAINING_STATE_COMPLETED}


def test_the_first_is_promoted_because_nothing_is_there(
    services: Running, trained: list[registry_pb2.Training]
) -> None:
    first = next(services.client.list_decisions(session_id=trained[0].session_id))
    assert first.promoted.model == f"{FOREST}/v1"
    assert first.promoted.basis == decision_pb2.BASIS_FIRST
    assert not first.promoted.evidence


def test_every_later_decision_brings_its_evidence(services: Running, trained: list[registry_pb2.Training]) -> None:
    for training in trained[1:3]:
        found = services.client.list_decisions(
            session_id=training.session_id, lineage=FOREST, include_evidence_bytes=True
        )
        decision = next(found)
        outcome = decision.promoted if decision.HasField("promoted") else decision.declined
        own = [each for each in outcome.evidence if each.contender == training.model]
        assert len(own) == 1
        assert own[0].judgement.bars >= 120
        assert own[0].packed


def test_no_bar_that_scored_a_model_was_known_to_it(services: Running, trained: list[registry_pb2.Training]) -> None:
    seen = 0
    for decision in services.client.list_decisions(lineage=FOREST):
        outcome = decision.promoted if decision.HasField("promoted") else decision.declined
        for evidence in outcome.evidence:
            for name in (evidence.champion, evidence.contender):
                windows = services.client.get_model(name).record.windows
                assert evidence.first_bar.seconds > windows.fit_label_end.seconds
                seen += 1
    assert seen >= 4


def test_training_again_on_the_same_bars_is_no_new_evidence(
    services: Running, trained: list[registry_pb2.Training]
) -> None:
    again = trained[3]
    assert again.verdict == decision_pb2.VERDICT_NO_NEW_EVIDENCE
    assert not again.promoted
    declined = next(services.client.list_decisions(session_id=again.session_id)).declined
    assert declined.basis == decision_pb2.BASIS_NO_NEW_BARS
    steps = [step.kind for step in declined.diagnosis[0].advice]
    assert steps == [decision_pb2.ADVICE_KIND_IMPORT_NEWER_BARS, decision_pb2.ADVICE_KIND_BACKTEST]


def test_a_later_version_uses_what_earlier_sessions_found(
    services: Running, trained: list[registry_pb2.Training]
) -> None:
    known = {pattern.pattern.id for pattern in services.client.list_patterns(series="MSFT", task="range")}
    records = [services.client.get_model(training.model).record for training in trained]
    used = {use.pattern_id for record in records for use in record.patterns_used}
    assert used
    assert used <= known
    assert not records[0].patterns_used
    parent, child = records[0], records[1]
    names = [feature.name for feature in child.features]
    assert names[: len(parent.features)] == [feature.name for feature in parent.features]


def test_both_candidates_are_always_reported(services: Running, trained: list[registry_pb2.Training]) -> None:
    for training in trained[1:4]:
        candidates = services.client.get_model(training.model).record.candidates
        assert len(candidates) == 2
        assert sum(candidate.chosen for candidate in candidates) == 1


def test_lineage_leads_from_the_last_model_to_the_first_bars(
    services: Running, trained: list[registry_pb2.Training]
) -> None:
    answer = services.client.get_lineage(f"{FOREST}/v3")
    kinds = {node.kind for node in answer.nodes}
    assert {"model", "dataset"} <= kinds
    first = next(iter(services.client.list_datasets(series="MSFT", include_cuts=True)))
    down = services.client.get_lineage(first.registered.digest, descendants=True)
    assert any(node.kind == "model" for node in down.nodes)


def test_champion_and_symbol_best_are_there(services: Running, trained: list[registry_pb2.Training]) -> None:
    champion = services.client.get_champion(FOREST).model
    assert champion.lineage_champion
    best = services.client.get_symbol_best("MSFT", "range").model
    assert best.symbol_best
    with pytest.raises(NotFound):
        services.client.get_champion("MSFT/volume/logistic")


def test_importing_newer_bars_says_what_was_appended(services: Running) -> None:
    rows = (DATA / "IBM.csv").read_bytes().splitlines(keepends=True)
    short = services.home / "IBM.csv"
    short.write_bytes(b"".join(rows[:2001]))
    assert services.client.import_bars(short, "IBM").dataset.registered.rows == 2000
    whole = services.client.import_bars(DATA / "IBM.csv", "IBM")
    assert whole.dataset.registered.rows_appended == 1270
    assert services.client.import_bars(DATA / "IBM.csv", "IBM").unchanged


def test_every_command_answers_in_json(services: Running, trained: list[registry_pb2.Training]) -> None:
    pattern = next(services.client.list_patterns(series="MSFT")).pattern.id
    for words in (
        ["data", "list"],
        ["data", "show", "MSFT"],
        ["trainings", "list"],
        ["trainings", "show", trained[0].session_id],
        ["models", "list", "MSFT"],
        ["models", "show", f"{FOREST}/v1"],
        ["models", "compare", f"{FOREST}/v1", f"{FOREST}/v2"],
        ["models", "champion", FOREST],
        ["models", "best", "MSFT", "--target", "range"],
        ["models", "history", FOREST],
        ["lineage", f"{FOREST}/v2"],
        ["patterns", "list", "MSFT"],
        ["patterns", "show", pattern],
        ["features", FOREST],
        ["log", "tail"],
        ["log", "show", "1"],
    ):
        found = services.cli(*words, "-o", "json")
        assert found.returncode == 0, (words, found.stderr)
        json.loads(found.stdout)


def test_two_requests_with_one_id_are_one_session(services: Running, trained: list[registry_pb2.Training]) -> None:
    first = services.client.start_training("MSFT", "logistic", "direction", until="2005-12-30", request_id="once")
    second = services.client.start_training("MSFT", "logistic", "direction", until="2005-12-30", request_id="once")
    assert first.session_id == second.session_id
    services.ended(first.session_id)
    assert len(list(services.client.list_trainings(lineage="MSFT/direction/logistic"))) == 1


def test_a_session_that_waited_knows_what_the_one_before_it_found(
    services: Running, trained: list[registry_pb2.Training]
) -> None:
    started = [services.client.start_training("MSFT", "logistic", "volume", until=cut) for cut in ("2006-12-29", "")]
    first, second = (services.ended(training.session_id) for training in started)
    assert (first.model, second.model) == ("MSFT/volume/logistic/v1", "MSFT/volume/logistic/v2")
    record = services.client.get_model(second.model).record
    assert record.parent == first.model
    assert started[1].requested_position < record.read_position
    assert record.read_position == services.client.get_model(first.model).position


def test_what_a_person_reads_names_patterns_in_words(services: Running, trained: list[registry_pb2.Training]) -> None:
    compared = services.cli("models", "compare", f"{FOREST}/v1", f"{FOREST}/v3", check=True).stdout
    assert "→" in compared
    for words in (["models", "show", f"{FOREST}/v3"], ["features", FOREST]):
        assert "rule:" not in services.cli(*words, check=True).stdout


def test_mining_says_what_it_did_or_what_it_waits_for(services: Running, trained: list[registry_pb2.Training]) -> None:
    for training in trained:
        mined = services.client.get_model(training.model).record.mining
        assert bool(mined.rules) != bool(mined.skipped), mined
