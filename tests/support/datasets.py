"""Facts of registered snapshots whose rows fit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from ratchet.events.v1 import facts_pb2, model_pb2, rows_pb2
from ratchet.names import Series
from ratchet.patterns.bar_times import encode_times
from ratchet.patterns.snapshot_rows import RowRange

DAY = 86_400


def daily(rows: int, first: int = 0) -> NDArray[np.int64]:
    return first + np.arange(rows, dtype=np.int64) * DAY


def dataset(
    series: str = "AAPL",
    digest: str = "d1",
    rows: int = 9,
    *,
    times: NDArray[np.int64] | None = None,
    kept_rows: int = 0,
    standstills: Sequence[RowRange] = (),
    **more: Any,
) -> facts_pb2.DatasetRegistered:
    """A dataset of bars at `times`, by default `rows` daily ones from 1970 on, whose file nobody reads.

    The file is named like the dataset, and no store has it.
    """
    name = Series.parse(series)
    times = daily(rows) if times is None else times
    return facts_pb2.DatasetRegistered(
        **{"source": "file.csv", "artifact": parquet(digest), **more},
        symbol=name.symbol,
        timeframe=name.timeframe,
        digest=digest,
        rows=len(times),
        first_bar=Timestamp(seconds=int(times[0])),
        last_bar=Timestamp(seconds=int(times[-1])),
        kept_rows=kept_rows,
        times=encode_times(times[kept_rows:]) if kept_rows < len(times) else None,
        standstills=[rows_pb2.RowRange(**run._asdict()) for run in standstills],
    )


def parquet(digest: str, size: int = 10) -> model_pb2.Artifact:
    return model_pb2.Artifact(digest=digest, size_bytes=size, format="parquet")
