"""Datasets: the bars of a series, named by their values and stored as Parquet files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ratchet.errors import CorruptData
from ratchet.scoring.data.bars import COLUMNS, Bars

FORMAT = "parquet"
_SERIES, _ZONE = b"series", b"zone"
_DIGEST_HEADER = "ratchet dataset 1"
_ROW_GROUP = 1 << 16


@dataclass(frozen=True)
class Difference:
    """Changes of a new dataset against an old one, in bars.

    `appended` bars are later than all old ones; `changed` counts differing or inserted bars within the old period;
    `removed` the missing ones. `first_changed` is the time of the first changed or removed bar.
    """

    appended: int
    changed: int
    removed: int
    first_changed: int | None


def encode(bars: Bars) -> bytes:
    """The Parquet file of the bars: their values, series and market time zone.

    Equal bars give equal bytes with the same library versions; the bytes of other versions may differ.
    """
    arrays = [pa.array(bars.time, pa.int64()), *(pa.array(getattr(bars, name), pa.float64()) for name in COLUMNS)]
    fields = [pa.field("time", pa.int64(), nullable=False)]
    fields += [pa.field(name, pa.float64(), nullable=False) for name in COLUMNS]
    metadata = {_SERIES: bars.series.encode(), _ZONE: bars.zone.encode()}
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=_ROW_GROUP,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def decode(content: bytes) -> Bars:
    """The bars of encoded bytes; CorruptData for other bytes."""
    try:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True, use_threads=False)
        names, metadata = table.column_names, table.schema.metadata or {}
        series, zone = (metadata.get(key, b"").decode() for key in (_SERIES, _ZONE))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptData(f"not a file of bars: {_brief(error)}; import the series again") from error
    if names != ["time", *COLUMNS] or not series or not zone or not _typed(table):
        raise CorruptData(
            f"not a file of bars: columns {names} of series {series!r}, zone {zone!r}; import the series again"
        )
    return Bars(series, **{name: np.ascontiguousarray(table[name].to_numpy()) for name in names}, zone=zone)


def digest(bars: Bars) -> str:
    """The name of a dataset: SHA-256 over its values, 64 hex digits, whatever file stores them.

    The hashed bytes are a header and then the columns, without anything between or after them:

    1. The header is UTF-8 text of four lines, each ended by one line feed: `ratchet dataset 1`; the series, such as
       `AAPL` or `AAPL@1h`; the IANA name of the market time zone; the names of the columns, separated by single
       spaces: `time open high low close volume`.
    2. Each column, in the order of the header, is its n values of 8 bytes, little-endian, oldest bar first: `time` as
       int64 in epoch seconds UTC, the others as IEEE 754 float64, in which -0.0 is written as 0.0.

    Further columns will follow `volume` in the header and in the bytes, and only in datasets that have them: a dataset
    of these six columns keeps its digest.
    """
    header = (_DIGEST_HEADER, bars.series, bars.zone, " ".join(("time", *COLUMNS)))
    hashed = hashlib.sha256("".join(f"{line}\n" for line in header).encode())
    hashed.update(np.ascontiguousarray(bars.time, "<i8").data)
    for name in COLUMNS:
        hashed.update(np.ascontiguousarray(getattr(bars, name) + 0.0, "<f8").data)
    return hashed.hexdigest()


def difference(old: Bars, new: Bars) -> Difference:
    """Changes of `new` against `old`, bar by bar at equal times."""
    end = old.time[-1] if len(old) else np.iinfo(np.int64).min
    appended = int(np.count_nonzero(new.time > end)) if len(old) else len(new)
    common, in_old, in_new = np.intersect1d(old.time, new.time, assume_unique=True, return_indices=True)
    differs = _rows(old)[in_old] != _rows(new)[in_new]
    removed = np.setdiff1d(old.time, common, assume_unique=True)
    inserted = np.setdiff1d(new.time[: len(new) - appended], common, assume_unique=True)
    changed = np.concatenate([common[differs.any(axis=1)], inserted])
    touched = np.concatenate([changed, removed])
    return Difference(appended, len(changed), len(removed), int(touched.min()) if len(touched) else None)


def _rows(bars: Bars) -> NDArray[np.float64]:
    return np.column_stack([bars.open, bars.high, bars.low, bars.close, bars.volume])


def _typed(table: pa.Table) -> bool:
    kinds = [pa.int64(), *(pa.float64() for _ in COLUMNS)]
    return bool(table.schema.types == kinds) and all(column.null_count == 0 for column in table.columns)


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
