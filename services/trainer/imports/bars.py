"""Import of a CSV file: a snapshot in the artifact store and a DatasetRegistered in the log. Export as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.errors import DataRefused, LimitReached
from ratchet.events.v1 import facts_pb2
from ratchet.names import Series
from ratchet.patterns.bar_times import common_rows, encode_times
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.data import csv_file, snapshot
from ratchet.scoring.data.bars import Bars, written
from ratchet.scoring.data.zones import UNKNOWN, Zones
from services.platform.artifacts import ArtifactStore
from services.platform.limits import Limits
from services.platform.snapshots import Snapshots, known_zones


@dataclass(frozen=True)
class ImportResult:
    dataset: registry_pb2.Dataset
    unchanged: bool
    bars: Bars


class Importer:
    """Imports and exports bars. `limits` default to those of the environment."""

    def __init__(self, client: Client, store: ArtifactStore, limits: Limits | None = None) -> None:
        self._client = client
        self._store = store
        self.snapshots = Snapshots(client, store)
        self._limits = limits or Limits.load()

    def acting_as(self, actor: str) -> Importer:
        """This importer for another caller: its records bear that name."""
        return Importer(self._client.acting_as(actor), self._store, self._limits)

    def received(self, pieces: Iterable[bytes]) -> bytes:
        """The content of an uploaded file; LimitReached for a file that is too large."""
        content = bytearray()
        for piece in pieces:
            content += piece
            if len(content) > self._limits.import_bytes:
                raise LimitReached(
                    f"a file of bars may hold {self._limits.import_bytes} bytes;"
                    " leave out columns that are not of bars, or choose a coarser timeframe or a shorter history"
                )
        return bytes(content)

    def export(self, series: Series) -> Iterator[bytes]:
        """The newest snapshot as a CSV file in chunks; importing the file gives the same snapshot."""
        return csv_file.write(self.snapshots.latest(series)[1])

    def add(
        self, request_id: str, series: Series, name: str, content: bytes, replace: bool, zones: Zones = UNKNOWN
    ) -> ImportResult:
        """Imports a CSV file; zones missing in `zones` default to those of the series' newest snapshot.

        Known bars are put into the store again, which restores a lost snapshot; a damaged one is CorruptData. Raises
        DataRefused for a row that breaks a rule, an unclear time zone, or a change of known history or of the market's
        time zone without `replace`.
        """
        previous = self.snapshots.find(series)
        parsed = csv_file.read(content, str(series), name, self._limits.import_rows, known_zones(previous, zones))
        bars = parsed.bars
        encoded = snapshot.encode(bars)
        if previous is not None and previous.registered.digest == snapshot.digest(encoded):
            self._store.put(encoded)
            return ImportResult(previous, unchanged=True, bars=bars)
        known = None if previous is None else self.snapshots.bars(previous.registered.digest)
        fact = describe(series, bars, encoded, name, parsed.timezone, known)
        fact.notes.extend(parsed.notes)
        if previous is None or known is None:
            fact.rows_appended = len(bars)
        else:
            before = previous.registered.market_timezone
            if before != bars.zone:
                if not replace:
                    raise _other_market(series, name, before, bars.zone)
                fact.notes.append(f"market time zone {bars.zone}, before {before}: calendar features change")
            difference = snapshot.difference(known, bars)
            if difference.first_changed is not None and not replace:
                raise DataRefused(
                    f"{series}: {name} changes {difference.changed} and removes {difference.removed} of the known"
                    f" bars, the first on {written(difference.first_changed)}; if the new history is the right one,"
                    " import it with --replace (the older snapshot stays)",
                    metadata={"remedy": "replace"},
                )
            fact.previous_digest = previous.registered.digest
            fact.rows_appended = difference.appended
            fact.rows_changed = difference.changed
            fact.rows_removed = difference.removed
        return ImportResult(self._register(request_id, fact, encoded), unchanged=False, bars=bars)

    def cut(self, request_id: str, dataset: registry_pb2.Dataset, bars: Bars, until: int) -> ImportResult:
        """The snapshot without the bars after `until` (epoch seconds); the same snapshot if there are none."""
        kept = bars.until(until)
        if len(kept) == len(bars):
            return ImportResult(dataset, unchanged=True, bars=bars)
        series = Series.parse(bars.series)
        if not len(kept):
            raise DataRefused(
                f"{series} has no bar until {written(until)}, its first is {written(bars.time[0])};"
                " choose a later --until"
            )
        encoded = snapshot.encode(kept)
        digest = dataset.registered.digest
        source = f"{digest[:12]} until {written(until)}"
        fact = describe(series, kept, encoded, source, dataset.registered.timezone, bars)
        fact.cut_from = digest
        return ImportResult(self._register(request_id, fact, encoded), unchanged=False, bars=kept)

    def _register(self, request_id: str, fact: facts_pb2.DatasetRegistered, encoded: bytes) -> registry_pb2.Dataset:
        self._store.put(encoded)
        return self._client.register_dataset(fact, request_id=request_id)


def _other_market(series: Series, name: str, before: str, now: str) -> DataRefused:
    return DataRefused(
        f"{series}: {name} would change its market time zone from {before} to {now}, and with it weekday and hour of"
        f" bars within a day; keep it with --market-timezone {before}, or, if the new zone is the right one, import the"
        " file with --replace (the older snapshot stays)",
        metadata={"remedy": "replace"},
    )


def describe(
    series: Series, bars: Bars, encoded: bytes, source: str, timezone: str, known: Bars | None
) -> facts_pb2.DatasetRegistered:
    """The fact of a snapshot.

    `known`: the bars of the snapshot before, or of the one from which `bars` were cut, which the caller names in it.
    """
    kept = 0 if known is None else common_rows(known.time, bars.time)
    return facts_pb2.DatasetRegistered(
        symbol=series.symbol,
        timeframe=series.timeframe,
        digest=snapshot.digest(encoded),
        rows=len(bars),
        first_bar=Timestamp(seconds=int(bars.time[0])),
        last_bar=Timestamp(seconds=int(bars.time[-1])),
        source=source,
        size_bytes=len(encoded),
        timezone=timezone,
        market_timezone=bars.zone,
        kept_rows=kept,
        times=encode_times(bars.time[kept:]) if kept < len(bars) else None,
        standstills=[facts_pb2.RowRange(**run._asdict()) for run in bars.standstills()],
    )
