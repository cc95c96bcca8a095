"""Snapshots of a series: the newest one by the registry, its bars from the artifact store."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from ratchet.client import Client
from ratchet.errors import InvalidInput, NotFound
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


class Snapshots:
    """Reads the snapshots of series. Thread-safe."""

    def __init__(self, client: Client, store: ArtifactStore) -> None:
        self._client = client
        self._store = store

    def find(self, series: Series) -> registry_pb2.Dataset | None:
        """The newest snapshot of a series, without its bars; None without an import."""
        return next(iter(self._client.list_datasets(series=str(series), latest_only=True)), None)

    def newest(self, series: Series) -> registry_pb2.Dataset:
        """The newest snapshot of a series, without its bars; NotFound without an import."""
        found = self.find(series)
        if found is None:
            raise NotFound(f"{series} has no bars yet; import some with ratchet data import {series} FILE")
        return found

    def bars(self, digest: str) -> Bars:
        """The bars of a snapshot; NotFound if the store lost it, CorruptData if its bytes changed."""
        return snapshot.decode(self._store.get(digest))

    def latest(self, series: Series) -> tuple[registry_pb2.Dataset, Bars]:
        """The newest snapshot of a series and its bars."""
        dataset = self.newest(series)
        return dataset, self.bars(dataset.registered.digest)

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


def known_zones(newest: registry_pb2.Dataset | None, asked: Zones = UNKNOWN) -> Zones:
    """The requested zones, with those of the series' newest snapshot as defaults."""
    if newest is None:
        return asked
    fact = newest.registered
    return dataclasses.replace(asked, timezone_before=fact.timezone, market_before=fact.market_timezone)
