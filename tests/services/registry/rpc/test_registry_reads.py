"""Lists, comparisons, descent, and the process itself."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ratchet.errors import InvalidInput, NotFound
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2, pattern_pb2
from ratchet.patterns.snapshot_rows import RowRange
from ratchet.registry.v1 import registry_pb2 as pb
from services.platform.settings import Settings
from services.registry.bootstrap import build
from services.registry.eventlog.service import NAME as LOG_NAME
from services.registry.servicer import NAME
from tests.support.datasets import daily, dataset, parquet
from tests.support.registry_client import FOREST, LOGISTIC, Registry
from tests.support.registry_samples import record, stamp


def edges(found: pb.GetLineageResponse) -> set[tuple[str, str, str]]:
    return {(edge.source, edge.relation, edge.target) for edge in found.edges}


class TestDatasets:
    def test_the_same_bytes_are_registered_once(self, registry: Registry) -> None:
        assert registry.import_bars().position == registry.import_bars().position

    def test_the_newest_snapshot_is_the_latest_and_cuts_are_not(self, registry: Registry) -> None:
        registry.import_bars(digest="d2")
        cut = registry.import_bars(digest="d3", cut_from="d2")
        assert not cut.latest
        listed = registry.call(pb.ListDatasetsRequest(series="AAPL")).datasets
        assert [(found.registered.digest, found.latest) for found in listed] == [("d1", False), ("d2", True)]
        latest = registry.call(pb.ListDatasetsRequest(series="AAPL", latest_only=True)).datasets
        assert [found.registered.digest for found in latest] == ["d2"]
        assert len(registry.call(pb.ListDatasetsRequest(series="AAPL", include_cuts=True)).datasets) == 3

    def test_an_older_snapshot_that_is_imported_again_is_the_latest_again(self, registry: Registry) -> None:
        registry.import_bars(digest="d2")
        assert registry.import_bars(digest="d1").latest
        latest = registry.call(pb.ListDatasetsRequest(latest_only=True)).datasets
        assert [found.registered.digest for found in latest] == ["d1"]

    def test_two_series_may_hold_the_same_bytes(self, registry: Registry) -> None:
        registry.import_bars("TWIN@1h")
        assert {d.series for d in registry.call(pb.ListDatasetsRequest()).datasets} == {"AAPL", "TWIN@1h"}
        assert registry.request_training("TWIN@1h/range/logistic")
        with pytest.raises(NotFound, match="holds bars of AAPL and TWIN@1h"):
            registry.request_training("OTHER/range/logistic")

    def test_a_dataset_is_found_by_its_digest_now_and_in_the_past(self, registry: Registry) -> None:
        first = registry.import_bars()
        second = registry.import_bars(digest="d2")
        moved = registry.import_bars(artifact=parquet("another-file"))
        assert moved.latest
        assert not registry.call(pb.GetDatasetRequest(digest="d2")).dataset.latest
        assert registry.call(pb.GetDatasetRequest(digest="d1")).dataset == moved
        for then, digest, answer in ((first, "d1", first), (second, "d2", second), (moved, "d1", moved)):
            asked = pb.GetDatasetRequest(digest=digest, as_of=eventlog_pb2.AsOf(position=then.position))
            assert registry.call(asked).dataset == answer

    def test_an_unknown_dataset_is_not_found(self, registry: Registry) -> None:
        with pytest.raises(NotFound, match="there is no dataset 'd9'; give the 64 digits of one: ratchet data list"):
            registry.call(pb.GetDatasetRequest(digest="d9"))
        registry.import_bars(digest="d9")
        with pytest.raises(NotFound, match="there was no dataset d9 as of log position 1"):
            registry.call(pb.GetDatasetRequest(digest="d9", as_of=eventlog_pb2.AsOf(position=1)))
        with pytest.raises(InvalidInput, match="a dataset is asked for by its digest"):
            registry.call(pb.GetDatasetRequest())

    def test_a_dataset_without_a_file_is_refused(self, registry: Registry) -> None:
        with pytest.raises(InvalidInput, match=r"needs the digest of the file of its bars; send dataset\.artifact"):
            registry.import_bars(digest="d9", artifact=None)
        with pytest.raises(InvalidInput, match=r"dataset\.artifact\.digest '\.\./x' is not a digest"):
            registry.import_bars(digest="d9", artifact=parquet("../x"))

    def test_a_snapshot_shares_the_first_rows_of_the_one_before(self, registry: Registry) -> None:
        appended = registry.import_bars(digest="d2", rows=1001, previous_digest="d1", kept_rows=1000)
        cut = registry.import_bars(digest="d3", rows=500, cut_from="d2", kept_rows=500)
        again = registry.import_bars(digest="d1", rows=1000, previous_digest="d2", kept_rows=1000)
        assert [found.registered.kept_rows for found in (appended, cut, again)] == [1000, 500, 1000]
        assert registry.import_bars(digest="d4", rows=700, cut_from="d1", kept_rows=700).registered.rows == 700

    @pytest.mark.parametrize(
        ("dataset", "field"),
        [
            (dataset(digest="d2", rows=10, kept_rows=9), "dataset.kept_rows"),
            (dataset(digest="d2", rows=10, standstills=[RowRange(6, 5)]), "dataset.standstills"),
            (dataset(digest="d2", rows=1002, previous_digest="d1", kept_rows=1001), "dataset.kept_rows"),
            (dataset(digest="d2", times=daily(9, 86_400), previous_digest="d1", kept_rows=8), "dataset.first_bar"),
            (dataset(digest="d2", times=daily(9) * 2, cut_from="d1", kept_rows=9), "dataset.last_bar"),
            (dataset(digest="d1", rows=999), "dataset.rows"),
        ],
    )
    def test_rows_that_do_not_fit_together_are_refused(
        self, registry: Registry, dataset: facts_pb2.DatasetRegistered, field: str
    ) -> None:
        head = registry.call(pb.ListDatasetsRequest(include_cuts=True))
        with pytest.raises(InvalidInput) as caught:
            registry.call(pb.RegisterDatasetRequest(dataset=dataset))
        assert list(caught.value.fields) == [field]
        assert registry.call(pb.ListDatasetsRequest(include_cuts=True)) == head

    @pytest.mark.parametrize("name", ["previous_digest", "cut_from"])
    def test_a_snapshot_that_nobody_registered_is_none_before_it(self, registry: Registry, name: str) -> None:
        with pytest.raises(NotFound, match="'d9' is not registered for AAPL"):
            registry.import_bars(digest="d2", **{name: "d9"})


class TestPages:
    def test_pages_join_to_the_whole_list_while_it_grows(self, registry: Registry) -> None:
        for number in range(5):
            registry.request_training(FOREST if number % 2 else LOGISTIC)
        whole = [found.session_id for found in registry.call(pb.ListTrainingsRequest()).trainings]
        pages, request = [], pb.ListTrainingsRequest(page_size=2)
        while True:
            page = registry.call(request)
            pages += [found.session_id for found in page.trainings]
            assert len(page.trainings) <= 2
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert pages == whole
        assert len(whole) == 5

    def test_a_token_of_another_list_or_a_size_out_of_range_is_refused(self, registry: Registry) -> None:
        for _ in range(2):
            registry.request_training(FOREST)
        token = registry.call(pb.ListTrainingsRequest(page_size=1)).next_page_token
        for wrong in (token, "!", "bm8="):
            with pytest.raises(InvalidInput, match="page_token"):
                registry.call(pb.ListTrainingsRequest(page_size=1, page_token=wrong, lineage=FOREST))
        with pytest.raises(InvalidInput, match="1 to 1000"):
            registry.call(pb.ListModelsRequest(page_size=1001))


def test_the_past_is_asked_for_over_the_wire(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    then = eventlog_pb2.AsOf(position=registry.log.GetHead(eventlog_pb2.GetHeadRequest()).position)
    live = registry.champion(FOREST), registry.best()
    registry.train(FOREST, 221, 400, 0.1)
    assert registry.call(pb.GetChampionRequest(lineage=FOREST, as_of=then)) == live[0] != registry.champion(FOREST)
    assert registry.call(pb.GetSymbolBestRequest(series="AAPL", task="range", as_of=then)) == live[1]
    assert len(registry.call(pb.ListModelsRequest(as_of=then)).models) == 1
    assert not registry.call(pb.ListDecisionsRequest(as_of=eventlog_pb2.AsOf(position=1))).decisions
    with pytest.raises(NotFound, match=f"there was no model {FOREST}/v2 as of log position {then.position}"):
        registry.call(pb.GetModelRequest(model=f"{FOREST}/v2", as_of=then))
    with pytest.raises(InvalidInput, match="the log ends at"):
        registry.call(pb.GetChampionRequest(lineage=FOREST, as_of=eventlog_pb2.AsOf(position=1000)))


def test_models_compare_on_every_recorded_pair(registry: Registry) -> None:
    registry.train(FOREST, 100, 220)
    request = registry.trained(FOREST, 221, 400, 0.1)
    more = record(221, {"p1": 221, "p2": 200}, parent=f"{FOREST}/v1")
    more.features.add(name="atr", source=model_pb2.FEATURE_SOURCE_LIBRARY)
    request.record.CopyFrom(more)
    registry.record(request)
    found = registry.call(pb.CompareModelsRequest(model=f"{FOREST}/v1", other=f"{FOREST}/v2"))
    assert [evidence.contender for evidence in found.evidence] == [f"{FOREST}/v2"]
    assert found.evidence[0].packed == b""
    assert (list(found.features_added), list(found.patterns_added)) == (["atr"], ["p2"])
    assert not found.features_removed


def test_the_decisions_of_a_lineage_a_symbol_and_a_session(registry: Registry) -> None:
    first = registry.train(FOREST, 100, 220)
    registry.train(LOGISTIC, 100, 220, against_best=0.0)
    of_forest = registry.call(pb.ListDecisionsRequest(lineage=FOREST)).decisions
    assert [found.promoted.scope for found in of_forest] == [decision_pb2.SCOPE_LINEAGE, decision_pb2.SCOPE_SYMBOL]
    assert list(first.decisions) == list(of_forest)
    assert len(registry.call(pb.ListDecisionsRequest(series="AAPL", task="range")).decisions) == 4
    one = registry.call(pb.ListDecisionsRequest(session_id=first.training.session_id)).decisions
    assert list(one) == list(of_forest)


def find_pattern(registry: Registry, session_id: str) -> None:
    """A pattern p1, found in a session, as the knowledge service records it."""
    pattern = pattern_pb2.Pattern(id="p1", series="AAPL", task="range", wording="rsi_14 > 70 → wider range")
    fact = facts_pb2.PatternDiscovered(
        pattern=pattern, session_id=session_id, lineage=FOREST, state=pattern_pb2.PATTERN_STATE_KEPT
    )
    event = eventlog_pb2.NewEvent(
        stream="pattern/p1", version=1, topic=fact.DESCRIPTOR.full_name, payload=fact.SerializeToString()
    )
    registry.log.Append(eventlog_pb2.AppendRequest(request_id="found-p1", events=[event]))


class TestDescent:
    @pytest.fixture
    def family(self, registry: Registry) -> Registry:
        registry.import_bars(digest="cut-of-d1", cut_from="d1")
        first = registry.train(FOREST, 100, 220)
        find_pattern(registry, first.training.session_id)
        registry.train(FOREST, 221, 400, 0.1)
        return registry

    def test_ancestors_of_a_model(self, family: Registry) -> None:
        found = family.call(pb.GetLineageRequest(subject=f"{FOREST}/v2", direction=pb.LINEAGE_DIRECTION_ANCESTORS))
        assert edges(found) == {
            ("d1", "trained on", f"{FOREST}/v2"),
            ("d1", "trained on", f"{FOREST}/v1"),
            ("d1", "found in", "p1"),
            (f"{FOREST}/v1", "learned from", f"{FOREST}/v2"),
            ("p1", "uses pattern", f"{FOREST}/v2"),
            ("p1", "uses pattern", f"{FOREST}/v1"),
        }
        nodes = {node.id: node for node in found.nodes}
        assert nodes["p1"].label == "rsi_14 > 70 → wider range"
        assert (nodes[f"{FOREST}/v2"].live, nodes[f"{FOREST}/v1"].live) == (True, False)
        assert {node.id: node.depth for node in found.nodes}[f"{FOREST}/v1"] == 1

    def test_what_a_bad_data_file_touched(self, family: Registry) -> None:
        found = family.call(pb.GetLineageRequest(subject="d1", direction=pb.LINEAGE_DIRECTION_DESCENDANTS))
        assert {node.id for node in found.nodes} == {"d1", "cut-of-d1", "p1", f"{FOREST}/v1", f"{FOREST}/v2"}

    def test_who_was_champion_because_of_a_data_file_and_when(self, family: Registry) -> None:
        request = pb.GetLineageRequest(subject="d1", direction=pb.LINEAGE_DIRECTION_DESCENDANTS)
        found = family.call(request)
        first, second = (next(n for n in found.nodes if n.id == f"{FOREST}/v{v}") for v in (1, 2))
        decisions = family.call(pb.ListDecisionsRequest(lineage=FOREST)).decisions
        began, ended = [d for d in decisions if d.promoted.scope == decision_pb2.SCOPE_LINEAGE]
        [of_lineage, of_symbol] = first.reigns
        assert (of_lineage.scope, of_symbol.scope) == (decision_pb2.SCOPE_LINEAGE, decision_pb2.SCOPE_SYMBOL)
        assert (of_lineage.from_position, getattr(of_lineage, "from")) == (began.position, began.recorded_at)
        assert (of_lineage.to_position, of_lineage.to) == (ended.position, ended.recorded_at)
        assert [(r.to_position, r.HasField("to")) for r in second.reigns] == [(0, False)] * 2
        request.as_of.position = ended.position - 1
        then = {node.id: node for node in family.call(request).nodes}
        assert then[f"{FOREST}/v1"].live
        assert [r.to_position for r in then[f"{FOREST}/v1"].reigns] == [0, 0]
        assert not then[f"{FOREST}/v2"].reigns

    def test_each_thing_is_told_once_however_many_ways_lead_to_it(self, family: Registry) -> None:
        family.train(FOREST, 401, 600, 0.1)
        for subject in ("d1", "p1", f"{FOREST}/v1"):
            found = family.call(pb.GetLineageRequest(subject=subject, direction=pb.LINEAGE_DIRECTION_DESCENDANTS))
            assert len(found.edges) == len(edges(found))
            assert len(found.nodes) == len({node.id for node in found.nodes})
            assert f"{FOREST}/v3" in {node.id for node in found.nodes}

    def test_depth_counts_hops_and_a_digest_may_be_cut_short(self, family: Registry) -> None:
        back, forth = pb.LINEAGE_DIRECTION_ANCESTORS, pb.LINEAGE_DIRECTION_DESCENDANTS
        of_cut = family.call(pb.GetLineageRequest(subject="cut-of", direction=back, depth=1))
        assert edges(of_cut) == {("d1", "cut from", "cut-of-d1")}
        one_hop = family.call(pb.GetLineageRequest(subject=f"{FOREST}/v2", direction=back, depth=1))
        assert {node.id for node in one_hop.nodes} == {f"{FOREST}/v2", f"{FOREST}/v1", "d1", "p1"}
        assert ("d1", "trained on", f"{FOREST}/v1") not in edges(one_hop)
        assert not edges(family.call(pb.GetLineageRequest(subject="cut-of-d1", direction=forth)))

    def test_an_unknown_subject(self, family: Registry) -> None:
        with pytest.raises(NotFound, match=f"did you mean {FOREST}/v"):
            family.call(pb.GetLineageRequest(subject=f"{FOREST}/v7", direction=pb.LINEAGE_DIRECTION_ANCESTORS))
        with pytest.raises(InvalidInput, match="direction"):
            family.call(pb.GetLineageRequest(subject="d1"))


def test_a_restarted_registry_gives_the_same_answers(registry: Registry, settings: Settings) -> None:
    registry.train(FOREST, 100, 220)
    answers = (registry.champion(FOREST), registry.best(), registry.call(pb.ListModelsRequest()))
    server, closers = build(settings)
    server.start()
    second = Registry(f"127.0.0.1:{server.port}")
    assert (second.champion(FOREST), second.best(), second.call(pb.ListModelsRequest())) == answers
    assert second.train(FOREST, 221, 400, 0.1).training.promoted
    assert registry.champion(FOREST).model.name == f"{FOREST}/v2"
    assert stamp(400) == registry.champion(FOREST).last_labelled_bar
    second.close()
    server.stop(0)
    for close in closers:
        close()


def test_the_process_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "import pathlib, sys; from services.platform.settings import Settings;"
        "from services.registry.__main__ import main;"
        "main(Settings.load('registry', pathlib.Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]), {}))"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(port)]) as process:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        grpc.channel_ready_future(channel).result(timeout=30)
        health = health_pb2_grpc.HealthStub(channel)
        served = [health.Check(health_pb2.HealthCheckRequest(service=name)).status for name in (NAME, LOG_NAME)]
        assert served == [health_pb2.HealthCheckResponse.SERVING] * 2
        channel.close()
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_the_process_holds_no_ml_library_and_little_memory() -> None:
    program = (
        "import sys, psutil, services.registry.__main__;"
        "ml = {'sklearn', 'pandas', 'scipy', 'pyarrow', 'xgboost', 'talib', 'optuna', 'skops'} & set(sys.modules);"
        "print(sorted(ml), psutil.Process().memory_info().rss < 150 * 2**20)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["[]", "True"]
