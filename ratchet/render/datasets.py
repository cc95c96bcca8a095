"""Words for data sets."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.events.v1 import facts_pb2


def import_notes(fact: facts_pb2.DatasetRegistered) -> Iterator[str]:
    """The differences between a file and the bars that were read from it, a sentence each."""
    ignored = (*fact.ignored_columns, *(f"column {number} without a name" for number in fact.unnamed_columns))
    if ignored:
        yield f"ignored columns: {', '.join(ignored)}"
    if fact.utc_offsets_converted:
        yield "times carry a UTC offset and were converted to UTC"
    if fact.times_of_day_dropped:
        yield "times of day were dropped: a bar lies at midnight UTC of its date as written"
    if fact.timezone:
        yield f"times without a zone read as {fact.timezone}"
    if fact.volume_missing:
        yield "no volume column: the series has no volume"
    if fact.HasField("price_factors"):
        factors = f"{fact.price_factors.smallest:.6g} to {fact.price_factors.largest:.6g}"
        yield f"adjusted close: its factor ({factors}) was applied to all prices"
    if fact.previous_market_timezone:
        before = fact.previous_market_timezone
        yield f"market time zone {fact.market_timezone}, before {before}: calendar features change"


def source(fact: facts_pb2.DatasetRegistered) -> str:
    """The name of the imported file; of a cut, the data set that it was cut from and its last bar."""
    if not fact.cut_from:
        return fact.source
    return f"{fact.cut_from[:12]} until {fact.last_bar.ToJsonString().removesuffix('T00:00:00Z')}"
