"""Imported bars are files in the store and facts in the log; known history changes only when a person says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from ratchet.client import Client
from ratchet.errors import DataRefused, NotFound
from ratchet.events.v1 import model_pb2
from ratchet.events.v1.envelope_pb2 import Envelope
from ratchet.names import Series
from ratchet.patterns.snapshot_rows import SnapshotRows
from ratchet.patterns.snapshots import SnapshotIndex
from ratchet.scoring import features
from ratchet.scoring.data import snapshot
from ratchet.scoring.data.zones import UNKNOWN, Zones
from services.platform.artifacts import ArtifactStore
from services.trainer.imports.bars import Importer, ImportResult

LINES = (Path(__file__).parents[3] / "ratchet" / "data" / "AAPL.csv").read_bytes().splitlines(keepends=True)
AAPL = Series.parse("AAPL")
NEW_YORK = "America/New_York"


def rows(count: int, **changed: bytes) -> bytes:
    """The header and the first bars of the demo file; `row_7=b"…"` replaces the seventh bar, b"" leaves it out."""
    bars = [changed.get(f"row_{number}", line) for number, line in enumerate(LINES[1 : count + 1], start=1)]
    return b"".join([LINES[0], *bars])


@pytest.fixture
def importer(client: Client, store: ArtifactStore) -> Importer:
    return Importer(client, store)


@pytest.fixture
def add(importer: Importer) -> Callable[..., ImportResult]:
    ids = iter(range(100))
    return lambda content, replace=False: importer.add(f"import/{next(ids)}", AAPL, "AAPL.csv", content, replace)


def test_a_file_becomes_a_dataset_and_a_fact(
    importer: Importer, store: ArtifactStore, add: Callable[..., ImportResult]
) -> None:
    imported = add(rows(400))
    fact = imported.dataset.registered
    content = store.get(fact.artifact.digest)
    assert snapshot.digest(snapshot.decode(content)) == fact.digest
    assert fact.artifact == model_pb2.Artifact(
        digest=hashlib.sha256(content).hexdigest(), size_bytes=len(content), format="parquet"
    )
    assert (fact.rows, fact.rows_appended, fact.rows_changed, fact.rows_removed) == (400, 400, 0, 0)
    assert (fact.source, fact.previous_digest) == ("AAPL.csv", "")
    assert (fact.first_bar.seconds, fact.last_bar.seconds) == (imported.bars.time[0], imported.bars.time[-1])
    dataset, bars = importer.snapshots.latest(AAPL)
    assert dataset == imported.dataset
    assert snapshot.encode(bars) == content


def test_the_fact_says_in_numbers_how_the_file_was_read(importer: Importer) -> None:
    text = (
        "Date,,Open,High,Low,Close,Adj Close,Dividends\n2012-01-03 09:30,,10,12,8,10,5,0\n2012-01-04,,10,12,8,11,11,0\n"
    )
    fact = importer.add("import/1", Series.parse("TEST"), "", text.encode(), replace=False).dataset.registered
    assert (list(fact.ignored_columns), list(fact.unnamed_columns)) == (["Dividends"], [2])
    assert (fact.price_factors.smallest, fact.price_factors.largest) == (0.5, 1.0)
    assert (fact.volume_missing, fact.times_of_day_dropped, fact.utc_offsets_converted) == (True, True, False)
    assert (fact.source, fact.timezone) == ("", "")


def test_a_file_without_a_name_is_called_the_file(importer: Importer) -> None:
    with pytest.raises(DataRefused, match="the file row 4"):
        importer.add("import/1", AAPL, "", rows(400, row_3=b"2000-03-03,4,3,5,4,100\n"), replace=False)


def test_the_same_bars_again_register_nothing(client: Client, add: Callable[..., ImportResult]) -> None:
    first = add(rows(400))
    head = client.get_head().position
    again = add(rows(400).replace(b"date,open", b"Date,Open"))
    assert again.unchanged
    assert again.dataset == first.dataset
    assert client.get_head().position == head


def test_newer_bars_are_appended(importer: Importer, add: Callable[..., ImportResult]) -> None:
    first, second = add(rows(400)), add(rows(421))
    fact = second.dataset.registered
    assert (fact.rows, fact.rows_appended, fact.rows_changed, fact.rows_removed) == (421, 21, 0, 0)
    assert fact.previous_digest == first.dataset.registered.digest
    assert importer.snapshots.latest(AAPL)[0].registered.digest == fact.digest


def test_changed_history_needs_replace_and_the_older_snapshot_stays(
    importer: Importer, store: ArtifactStore, add: Callable[..., ImportResult]
) -> None:
    first = add(rows(400))
    revised = rows(410, row_7=LINES[7].rpartition(b",")[0] + b",1\n", row_9=b"")
    with pytest.raises(DataRefused, match="changes 1 and removes 1 of the known bars, the first on 2000-03-09"):
        add(revised)
    assert importer.snapshots.latest(AAPL)[0] == first.dataset
    fact = add(revised, replace=True).dataset.registered
    assert (fact.rows_appended, fact.rows_changed, fact.rows_removed) == (10, 1, 1)
    assert importer.snapshots.latest(AAPL)[0].registered.digest == fact.digest
    assert len(snapshot.decode(store.get(first.dataset.registered.artifact.digest))) == 400


def rows_of(*imports: ImportResult) -> SnapshotRows:
    """The rows of the last snapshot, by the facts alone."""
    known = SnapshotIndex()
    for each in imports:
        known.register("AAPL", each.dataset.registered)
    return known.rows(imports[-1].dataset.registered.digest, "AAPL")


def test_a_fact_states_the_times_that_the_snapshot_before_does_not_have(
    importer: Importer, add: Callable[..., ImportResult]
) -> None:
    first, second = add(rows(400)), add(rows(421))
    third = add(rows(430, row_101=b""), replace=True)
    cut = importer.cut("cut/1", third.dataset, third.bars, int(third.bars.time[299]))
    told = (first, second, third, cut)
    assert [each.dataset.registered.kept_rows for each in told] == [0, 400, 100, 300]
    assert [each.dataset.registered.HasField("times") for each in told] == [True, True, True, False]
    for end in range(1, 5):
        assert rows_of(*told[:end]).times.tolist() == told[end - 1].bars.time.tolist()


def test_the_times_of_ten_years_of_days_take_three_kilobytes(add: Callable[..., ImportResult]) -> None:
    assert add(rows(2520)).dataset.registered.times.ByteSize() < 3000


def test_a_fact_names_the_rows_on_which_nothing_trades(importer: Importer, add: Callable[..., ImportResult]) -> None:
    """A cut names those of its own bars: too short a rest of a standstill trades."""
    still = {f"row_{number}": LINES[number].partition(b",")[0] + b",7,7,7,7,0\n" for number in range(101, 111)}
    whole = add(rows(400, **still))
    cuts = [importer.cut(f"cut/{end}", whole.dataset, whole.bars, int(whole.bars.time[end - 1])) for end in (106, 103)]
    expected: list[list[tuple[int, int]]] = [[(100, 10)], [(100, 6)], []]
    for each, runs in zip((whole, *cuts), expected, strict=True):
        assert [(run.first_row, run.rows) for run in each.dataset.registered.standstills] == runs
        traded, of_fact = each.bars.traded().time, rows_of(whole, each)
        assert of_fact.times[of_fact.traded.rows(np.arange(len(traded)))].tolist() == traded.tolist()


def test_a_cut_knows_nothing_later_and_is_not_the_latest(
    importer: Importer, store: ArtifactStore, add: Callable[..., ImportResult]
) -> None:
    whole = add(rows(400))
    until = int(whole.bars.time[299])
    cut = importer.cut("cut/1", whole.dataset, whole.bars, until)
    fact = cut.dataset.registered
    assert (fact.rows, fact.last_bar.seconds, fact.cut_from) == (300, until, whole.dataset.registered.digest)
    assert fact.source == ""
    assert snapshot.decode(store.get(fact.artifact.digest)).time[-1] == until
    assert importer.snapshots.latest(AAPL)[0] == whole.dataset
    same = importer.cut("cut/2", whole.dataset, whole.bars, int(whole.bars.time[-1]))
    assert same.unchanged
    assert same.dataset == whole.dataset
    with pytest.raises(DataRefused, match="AAPL has no bar until 2000-02-29, its first is 2000-03-01"):
        importer.cut("cut/3", whole.dataset, whole.bars, int(whole.bars.time[0]) - 86_400)


@pytest.fixture
def hourly(importer: Importer) -> Callable[..., ImportResult]:
    """Import bars of New York's sessions, with UTC offsets or in local time."""
    ids = iter(range(100))

    def add(local: bool, zones: Zones = UNKNOWN, series: str = "AAPL@1h", replace: bool = False) -> ImportResult:
        return importer.add(f"hourly/{next(ids)}", Series.parse(series), "H1.csv", session_bars(local), replace, zones)

    return add


def session_bars(local: bool) -> bytes:
    """The demo file's bars as if they were those of sessions from 9:30 on, over both changes of the clocks."""
    days = (datetime(2023, 9, 1, 9, 30, tzinfo=ZoneInfo(NEW_YORK)) + timedelta(days=day) for day in range(290))
    times = [day.replace(hour=hour) for day in days if day.weekday() < 5 for hour in range(9, 16)]
    form = "%Y-%m-%d %H:%M" if local else "%Y-%m-%dT%H:%M%z"
    bars = (line.partition(b",")[2] for line in LINES[1:])
    return LINES[0] + b"".join(b"%b,%b" % (f"{t:{form}}".encode(), bar) for t, bar in zip(times, bars, strict=False))


def test_local_times_and_times_with_offsets_make_the_same_calendar(hourly: Callable[..., ImportResult]) -> None:
    zoned = hourly(False, Zones(market=NEW_YORK), "ZONED@1h").bars
    local = hourly(True, Zones(NEW_YORK), "LOCAL@1h").bars
    calendar = [name for name, kind in features.FEATURE_KIND.items() if kind == "calendar"]
    assert np.array_equal(features.compute(zoned, calendar), features.compute(local, calendar))
    assert np.array_equal(zoned.time, local.time)
    assert set(features.compute(zoned, ["hour"])[:, 0]) == set(range(9, 16))


def test_the_zones_of_a_series_are_recorded_and_stay(importer: Importer, hourly: Callable[..., ImportResult]) -> None:
    first = hourly(True, Zones(NEW_YORK))
    fact = first.dataset.registered
    assert (fact.timezone, fact.market_timezone, fact.previous_market_timezone) == (NEW_YORK, NEW_YORK, "")
    assert not fact.utc_offsets_converted
    for local in (True, False):
        again = hourly(local)
        assert (again.unchanged, again.dataset) == (True, first.dataset)
    cut = importer.cut("cut/1", first.dataset, first.bars, int(first.bars.time[99]))
    assert cut.bars.zone == NEW_YORK
    assert (cut.dataset.registered.timezone, cut.dataset.registered.market_timezone) == (NEW_YORK, NEW_YORK)


def test_another_market_zone_needs_replace(hourly: Callable[..., ImportResult]) -> None:
    hourly(False, Zones(market=NEW_YORK))
    with pytest.raises(DataRefused, match=f"from {NEW_YORK} to Europe/Berlin.* --market-timezone {NEW_YORK}"):
        hourly(False, Zones(market="Europe/Berlin"))
    fact = hourly(False, Zones(market="Europe/Berlin"), replace=True).dataset.registered
    assert (fact.market_timezone, fact.rows_appended, fact.rows_changed, fact.rows_removed) == (
        "Europe/Berlin",
        0,
        0,
        0,
    )
    assert fact.previous_market_timezone == NEW_YORK
    assert fact.utc_offsets_converted


def test_an_unclear_zone_leaves_no_trace(client: Client, hourly: Callable[..., ImportResult]) -> None:
    head = client.get_head().position
    for local in (True, False):
        with pytest.raises(DataRefused, match="--market-timezone"):
            hourly(local)
    assert client.get_head().position == head


def test_a_refused_file_leaves_no_trace(client: Client, importer: Importer, add: Callable[..., ImportResult]) -> None:
    head = client.get_head().position
    with pytest.raises(DataRefused, match=r"AAPL\.csv row 4"):
        add(rows(400, row_3=b"2000-03-03,4,3,5,4,100\n"))
    assert client.get_head().position == head
    with pytest.raises(NotFound, match="AAPL has no bars yet; import some with ratchet data import AAPL FILE"):
        importer.snapshots.latest(AAPL)


def test_an_import_bears_the_name_of_its_caller(client: Client, importer: Importer) -> None:
    head = client.get_head().position
    importer.acting_as("ann@desk").add("import/1", AAPL, "AAPL.csv", rows(300), replace=False)
    assert [Envelope.FromString(event.state).actor for event in client.read_log(head + 1)] == ["ann@desk"]
