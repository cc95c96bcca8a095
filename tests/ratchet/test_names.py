"""Names are parsed once, say what is wrong with them, and print as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.names import (
    DEFAULT_HORIZON,
    MAX_HORIZON,
    MODEL_TYPES,
    TARGETS,
    Lineage,
    Model,
    Series,
    Task,
    one_of,
)

symbols = st.from_regex(r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,31}", fullmatch=True)
series = st.builds(Series, symbols, st.from_regex(r"[1-9][0-9]{0,2}[mhdw]", fullmatch=True))
tasks = st.builds(Task, st.sampled_from(TARGETS), st.integers(1, MAX_HORIZON))
lineages = st.builds(Lineage, series, tasks, st.sampled_from(MODEL_TYPES))


@given(lineages, st.integers(1, 999_999_999))
def test_a_model_name_reads_back_as_what_it_was_written_from(lineage: Lineage, version: int) -> None:
    assert Model.parse(str(lineage.version(version))) == Model(lineage, version)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("AAPL", "AAPL"),
        ("AAPL@1d", "AAPL"),
        ("AAPL@1h", "AAPL@1h"),
        ("^GSPC", "^GSPC"),
        ("BTC-USD@15m", "BTC-USD@15m"),
        ("EURUSD=X", "EURUSD=X"),
    ],
)
def test_a_daily_timeframe_is_not_written(text: str, written: str) -> None:
    assert str(Series.parse(text)) == written


@pytest.mark.parametrize("target", TARGETS)
def test_a_default_horizon_is_not_written(target: str) -> None:
    task = Task.of(target)
    assert str(task) == target
    assert Task.parse(f"{target}-h{DEFAULT_HORIZON[task.target]}") == task
    assert str(Task.of(target, 7)) == f"{target}-h7"


@pytest.mark.parametrize(
    ("text", "suggestion"), [("EUR/USD", "EUR-USD"), ("BRK B", "BRK-B"), ("A" * 33, "A" * 32), ("aapl!", "aapl")]
)
def test_a_refused_symbol_comes_with_one_that_works(text: str, suggestion: str) -> None:
    with pytest.raises(InvalidInput, match=f"try {suggestion}$") as refused:
        Series.parse(text)
    assert refused.value.fields == {"series": "not a symbol"}
    assert str(Series.parse(suggestion)) == suggestion


@pytest.mark.parametrize(
    "text", ["", "-AAPL", ".", "AAPL@", "AAPL@h", "AAPL@0h", "AAPL@1y", "AAPL@1h@1h", "ÄPL", "A\n"]
)
def test_what_is_not_a_series_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Series.parse(text)


@pytest.mark.parametrize("text", ["range-h", "range-h0", "range-h61", "range-hx", "range-h-1", "rang", "", "range-h²"])
def test_what_is_not_a_task_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Task.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "AAPL/range/random-forest",
        "AAPL/range/random-forest/v0",
        "AAPL/range/random-forest/v01",
        "AAPL/range/random-forest/3",
        "AAPL/range/v3",
        "AAPL/range/forest/v3",
        "AAPL/range/random-forest/x/v3",
        "",
    ],
)
def test_what_is_not_a_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Model.parse(text)


def test_an_unknown_word_comes_with_the_nearest_known_one() -> None:
    with pytest.raises(InvalidInput, match="did you mean random-forest"):
        one_of("model", "random-forrest", MODEL_TYPES)
    with pytest.raises(InvalidInput, match="choose one of direction, range"):
        one_of("target", "zzz", TARGETS)
