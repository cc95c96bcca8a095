"""Words for data sets: a sentence for each number of the fact, and none without."""

import pytest

from ratchet.events.v1 import facts_pb2
from ratchet.render import datasets


def said(**fields: object) -> list[str]:
    return list(datasets.import_notes(facts_pb2.DatasetRegistered(**fields)))  # type: ignore[arg-type]


def test_a_file_that_was_read_as_it_is_needs_no_words() -> None:
    assert said(symbol="AAPL", rows=9, market_timezone="UTC", source="AAPL.csv") == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"ignored_columns": ["Dividends", "Splits"], "unnamed_columns": [3]},
            "ignored columns: Dividends, Splits, column 3 without a name",
        ),
        ({"unnamed_columns": [3, 5]}, "ignored columns: column 3 without a name, column 5 without a name"),
        ({"utc_offsets_converted": True}, "times carry a UTC offset and were converted to UTC"),
        (
            {"times_of_day_dropped": True},
            "times of day were dropped: a bar lies at midnight UTC of its date as written",
        ),
        ({"timezone": "Europe/Berlin"}, "times without a zone read as Europe/Berlin"),
        ({"volume_missing": True}, "no volume column: the series has no volume"),
        (
            {"price_factors": facts_pb2.DatasetRegistered.PriceFactors(smallest=0.5, largest=1.0)},
            "adjusted close: its factor (0.5 to 1) was applied to all prices",
        ),
        (
            {"market_timezone": "UTC", "previous_market_timezone": "Europe/Berlin"},
            "market time zone UTC, before Europe/Berlin: calendar features change",
        ),
    ],
)
def test_each_difference_between_file_and_bars_is_a_sentence(fields: dict[str, object], sentence: str) -> None:
    assert said(**fields) == [sentence]


def test_all_of_them_keep_the_order_of_the_reading() -> None:
    found = said(
        ignored_columns=["Dividends"],
        timezone="UTC",
        volume_missing=True,
        market_timezone="UTC",
        previous_market_timezone="Europe/Berlin",
    )
    assert [sentence.partition(" ")[0] for sentence in found] == ["ignored", "times", "no", "market"]


def test_the_source_of_a_cut_is_its_origin_and_its_last_bar() -> None:
    fact = facts_pb2.DatasetRegistered(source="AAPL.csv")
    assert datasets.source(fact) == "AAPL.csv"
    cut = facts_pb2.DatasetRegistered(cut_from="0123456789abcdef")
    cut.last_bar.FromJsonString("2010-06-30T00:00:00Z")
    assert datasets.source(cut) == "0123456789ab until 2010-06-30"
    cut.last_bar.FromJsonString("2010-06-30T15:30:00Z")
    assert datasets.source(cut) == "0123456789ab until 2010-06-30T15:30:00Z"
