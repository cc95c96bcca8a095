"""Datasets of a series: found by the registry, their bars read from the artifact store."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeAlias

from ratchet.client import Client
from ratchet.errors import CorruptData, InvalidInput, NotFound
from ratchet.events.v1 import facts_pb2
from ratchet.names import Series
from ratchet.predictor.v1 import predictor_pb2
from ratchet.registry.v1 import registry_pb2
from ratchet.scoring import evaluation
from ratchet.scoring.data import snapshot
from ratchet.scoring.data.bars import Bars
from ratchet.scoring.data.zones import UNKNOWN, Zones
from ratchet.trainer.v1 import trainer_pb2
from services.platform.artifacts import ArtifactStore

Period: TypeAlias = predictor_pb2.EvaluateRequest | trainer_pb2.EvaluateFreshRequest

REMEMBERED = 4096
"""Number of datasets whose file is known to hold their values."""


@dataclass(frozen=True)
class StoredDataset:
    """A dataset and the artifact of its file, by their digests."""

    digest: str
    artifact: str

    @classmethod
    def of(cls, fact: facts_pb2.DatasetRegistered) -> StoredDataset:
        return cls(fact.digest, fact.artifact.digest)


class Snapshots:
    """Reads the datasets of series. Thread-safe."""

    def __init__(self, client: Client, store: ArtifactStore) -> None:
        self._client = client
        self._store = store
        self._verified: set[StoredDataset] = set()

    def find(self, series: Series) -> registry_pb2.Dataset | None:
        """The newest dataset of a series, without its bars; None without an import."""
        return next(iter(self._client.list_datasets(series=str(series), latest_only=True)), None)

    def newest(self, series: Series) -> registry_pb2.Dataset:
        """The newest dataset of a series, without its bars; NotFound without an import."""
        found = self.find(series)
        if found is None:
            raise NotFound(f"{series} has no bars yet; import some with ratchet data import {series} FILE")
        return found

    def bars(self, stored: StoredDataset) -> Bars:
        """The bars of a dataset.

        The values of a file are compared with the digest of the dataset once in the life of this object: the store
        compares its bytes with its own digest each time.

        Raises:
            NotFound: the store lost the file.
            CorruptData: the bytes of the file have changed, or its values are not those of the dataset.
        """
        bars = snapshot.decode(self._store.get(stored.artifact))
        if stored not in self._verified:
            _require_values(stored, bars)
            if len(self._verified) >= REMEMBERED:
                self._verified.clear()
            self._verified.add(stored)
        return bars

    def recorded(self, digest: str) -> Bars:
        """The bars of a dataset that is known by its digest only; errors as of `bars`, NotFound for an unknown one."""
        return self.bars(StoredDataset.of(self._client.get_dataset(digest).registered))

    def latest(self, series: Series) -> tuple[registry_pb2.Dataset, Bars]:
        """The newest dataset of a series and its bars."""
        dataset = self.newest(series)
        return dataset, self.bars(StoredDataset.of(dataset.registered))

    def period(self, series: Series, horizon: int, request: Period) -> tuple[Bars, int]:
        """The bars for an evaluation from first_bar to last_bar with their outcomes, and the index of the first.

        Raises:
            InvalidInput: the request lacks first_bar or last_bar.
            DataRefused: the series has no bar in the period.
        """
        for name in ("first_bar", "last_bar"):
            if not request.HasField(name):
                raise InvalidInput(f"an evaluation needs its {name}", fields={name: "missing"})
        traded = self.latest(series)[1].traded()
        return evaluation.segment_bars(traded, horizon, request.first_bar.seconds, request.last_bar.seconds)


def _require_values(stored: StoredDataset, bars: Bars) -> None:
    """CorruptData for bars other than those of the dataset."""
    digest = snapshot.digest(bars)
    if digest != stored.digest:
        raise CorruptData(
            f"artifact {stored.artifact} holds {len(bars)} bars of {bars.series} with digest {digest}, not those of"
            f" dataset {stored.digest}, whose file it is; import the series again",
            metadata={"digest": stored.digest, "actual": digest},
        )


def known_zones(newest: registry_pb2.Dataset | None, asked: Zones = UNKNOWN) -> Zones:
    """The requested zones, with those of the newest dataset of the series as defaults."""
    if newest is None:
        return asked
    fact = newest.registered
    return dataclasses.replace(asked, timezone_before=fact.timezone, market_before=fact.market_timezone)
