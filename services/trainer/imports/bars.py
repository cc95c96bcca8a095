"""Import of a CSV file: a Parquet file in the artifact store and a DatasetRegistered in the log. Export as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.client import Client
from ratchet.errors import CorruptData, DataRefused, LimitReached, NotFound
from ratchet.events.v1 import facts_pb2, model_pb2, rows_pb2
from ratchet.names import Series
from ratchet.patterns.bar_times import common_rows, encode_times
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring.data import csv_file, snapshot
from ratchet.scoring.data.bars import Bars, written
from ratchet.scoring.data.csv_file import ParsedFile
from ratchet.scoring.data.zones import UNKNOWN, Zones
from services.platform.artifacts import ArtifactStore
from services.platform.artifacts.content_address import digest_of
from services.platform.limits import Limits
from services.platform.snapshots import Snapshots, StoredDataset, known_zones


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
        """The newest dataset as a CSV file in chunks; importing the file gives the same dataset."""
        return csv_file.write(self.snapshots.latest(series)[1])

    def add(
        self, request_id: str, series: Series, name: str, content: bytes, replace: bool, zones: Zones = UNKNOWN
    ) -> ImportResult:
        """Imports a CSV file; zones missing in `zones` default to those of the newest dataset of the series.

        `name` is that of the file, as the caller gave it, or empty. The same bars again are unchanged, and restore a
        lost file.

        Raises:
            DataRefused: a row breaks a rule, a time zone is unclear, or, without `replace`, known history or the
                market's time zone changes.
            CorruptData: the bars are known and their file is damaged.
        """
        previous = self.snapshots.find(series)
        shown = name or "the file"
        parsed = csv_file.read(content, str(series), shown, self._limits.import_rows, known_zones(previous, zones))
        bars = parsed.bars
        if previous is not None and previous.registered.digest == snapshot.digest(bars):
            return ImportResult(self._restored(request_id, previous, bars), unchanged=True, bars=bars)
        known = None if previous is None else self.snapshots.bars(StoredDataset.of(previous.registered))
        fact = _describe_file(series, parsed, name, known)
        if previous is None or known is None:
            fact.rows_appended = len(bars)
        else:
            before = previous.registered.market_timezone
            if before != bars.zone:
                if not replace:
                    raise _other_market(series, shown, before, bars.zone)
                fact.previous_market_timezone = before
            difference = snapshot.difference(known, bars)
            if difference.first_changed is not None and not replace:
                raise DataRefused(
                    f"{series}: {shown} changes {difference.changed} and removes {difference.removed} of the known"
                    f" bars, the first on {written(difference.first_changed)}; if the new history is the right one,"
                    " import it with --replace (the older dataset stays)",
                    metadata={"remedy": "replace"},
                )
            fact.previous_digest = previous.registered.digest
            fact.rows_appended = difference.appended
            fact.rows_changed = difference.changed
            fact.rows_removed = difference.removed
        return ImportResult(self._register(request_id, fact, bars), unchanged=False, bars=bars)

    def cut(self, request_id: str, dataset: registry_pb2.Dataset, bars: Bars, until: int) -> ImportResult:
        """The dataset without the bars after `until` (epoch seconds); the same dataset if there are none."""
        kept = bars.until(until)
        if len(kept) == len(bars):
            return ImportResult(dataset, unchanged=True, bars=bars)
        series = Series.parse(bars.series)
        if not len(kept):
            raise DataRefused(
                f"{series} has no bar until {written(until)}, its first is {written(bars.time[0])};"
                " choose a later --until"
            )
        fact = describe(series, kept, dataset.registered.timezone, bars)
        fact.cut_from = dataset.registered.digest
        return ImportResult(self._register(request_id, fact, kept), unchanged=False, bars=kept)

    def _register(self, request_id: str, fact: facts_pb2.DatasetRegistered, bars: Bars) -> registry_pb2.Dataset:
        """Stores the file of the bars, then records the fact, which names it."""
        content = snapshot.encode(bars)
        fact.artifact.CopyFrom(
            model_pb2.Artifact(digest=self._store.put(content), size_bytes=len(content), format=snapshot.FORMAT)
        )
        return self._client.register_dataset(fact, request_id=request_id)

    def _restored(self, request_id: str, dataset: registry_pb2.Dataset, bars: Bars) -> registry_pb2.Dataset:
        """The dataset of known bars, with a readable file.

        The file is put into the store again. If this version encodes the bars to another file, and only if the recorded
        one cannot be read, the dataset is registered with the other file.
        """
        stored, content = StoredDataset.of(dataset.registered), snapshot.encode(bars)
        if digest_of(content) == stored.artifact:
            self._store.put(content)
            return dataset
        try:
            self.snapshots.bars(stored)
        except (NotFound, CorruptData):
            return self._register(request_id, dataset.registered, bars)
        return dataset


def _other_market(series: Series, name: str, before: str, now: str) -> DataRefused:
    return DataRefused(
        f"{series}: {name} would change its market time zone from {before} to {now}, and with it weekday and hour of"
        f" bars within a day; keep it with --market-timezone {before}, or, if the new zone is the right one, import the"
        " file with --replace (the older dataset stays)",
        metadata={"remedy": "replace"},
    )


def _describe_file(series: Series, parsed: ParsedFile, name: str, known: Bars | None) -> facts_pb2.DatasetRegistered:
    """The fact of the dataset of a CSV file, without its Parquet file."""
    fact = describe(series, parsed.bars, parsed.timezone, known)
    fact.source = name
    fact.ignored_columns.extend(parsed.ignored_columns)
    fact.unnamed_columns.extend(parsed.unnamed_columns)
    fact.volume_missing = parsed.volume_missing
    fact.utc_offsets_converted = parsed.utc_offsets_converted
    fact.times_of_day_dropped = parsed.times_of_day_dropped
    if parsed.price_factors:
        fact.price_factors.smallest, fact.price_factors.largest = parsed.price_factors
    return fact


def describe(series: Series, bars: Bars, timezone: str, known: Bars | None) -> facts_pb2.DatasetRegistered:
    """The fact of a dataset, without its Parquet file.

    `known`: the bars of the dataset before, or of the one from which `bars` were cut, which the caller names in it.
    """
    kept = 0 if known is None else common_rows(known.time, bars.time)
    return facts_pb2.DatasetRegistered(
        symbol=series.symbol,
        timeframe=series.timeframe,
        digest=snapshot.digest(bars),
        rows=len(bars),
        first_bar=Timestamp(seconds=int(bars.time[0])),
        last_bar=Timestamp(seconds=int(bars.time[-1])),
        timezone=timezone,
        market_timezone=bars.zone,
        kept_rows=kept,
        times=encode_times(bars.time[kept:]) if kept < len(bars) else None,
        standstills=[rows_pb2.RowRange(**run._asdict()) for run in bars.standstills()],
    )
