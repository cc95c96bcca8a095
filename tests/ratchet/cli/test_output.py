"""Messages as JSON, numbers and times as people read them, tables that cut nothing off."""

import json
import math

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratchet.cli.output import enum_word, format_day, format_time, interval, newest, number, show, table, to_json
from ratchet.eventlog.v1 import eventlog_pb2
from ratchet.events.v1 import decision_pb2, facts_pb2, model_pb2
from ratchet.registry.v1 import registry_pb2

NEW_YEAR = Timestamp(seconds=1167609600)


def test_json_keeps_field_names_and_has_plain_numbers_times_and_enum_names() -> None:
    model = registry_pb2.Model(
        name="AAPL/range/logistic/v1",
        position=2**53 - 1,
        recorded_at=Timestamp(seconds=1167609600, nanos=250_000_000),
        verdict=decision_pb2.VERDICT_PROMOTED,
        improvement_over_parent=model_pb2.Interval(value=1.5, low=0.5),
    )
    found = to_json(model)
    assert found["position"] == 2**53 - 1
    assert found["recorded_at"] == "2007-01-01T00:00:00Z"
    assert found["verdict"] == "VERDICT_PROMOTED"
    assert found["improvement_over_parent"] == {"value": 1.5, "low": 0.5, "high": None}
    assert found["lineage_champion"] is False
    assert found["auc"] is None
    assert found["record"] is None


def test_json_has_only_the_member_of_a_oneof_that_is_set() -> None:
    promoted = registry_pb2.Decision(promoted=facts_pb2.ModelPromoted(model="a"))
    found = to_json(promoted)
    assert found["promoted"]["model"] == "a"
    assert "declined" not in found


def test_short_bytes_are_hex_and_evidence_is_left_out() -> None:
    assert to_json(eventlog_pb2.GetHeadResponse(root=b"\x00\xff"))["root"] == "00ff"
    assert "packed" not in to_json(decision_pb2.Evidence(packed=bytes(65)))


def test_numbers_that_json_does_not_know_are_words() -> None:
    judged = decision_pb2.Judgement(e_value=math.inf, dm_p=math.nan)
    found = json.loads(json.dumps(to_json(judged), allow_nan=False))
    assert (found["e_value"], found["dm_p"]) == ("Infinity", "NaN")


def test_show_prints_one_document_or_what_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    show([registry_pb2.Model(name="é")], "json", lambda _: None)
    assert json.loads(capsys.readouterr().out)[0]["name"] == "é"
    show("x", "table", lambda text: print(f"<{text}>"))
    assert capsys.readouterr().out == "<x>\n"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.12345, 3, "0.123"),
        (0.0, 3, "0.000"),
        (-1.5, 1, "-1.5"),
        (1234567.0, 2, "1.2e+06"),
        (29562.4, 2, "29,562"),
        (0.00004, 3, "4e-05"),
        (math.inf, 2, "∞"),
        (-math.inf, 2, "-∞"),
        (math.nan, 2, "?"),
    ],
)
def test_a_number_never_reads_as_zero_when_it_is_not(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_an_interval_has_its_bounds_when_there_are_any() -> None:
    assert interval(model_pb2.Interval(value=0.5, low=-0.25, high=0.75), 2, signed=True) == "+0.50 [-0.25, 0.75]"
    assert interval(model_pb2.Interval(value=-0.5), 2, signed=True) == "-0.50"
    assert interval(model_pb2.Interval(value=0, low=-1e-5, high=1e-5), 1) == "0.0 [0.0, 0.0]"


def test_times_are_utc_and_a_daily_bar_is_a_date() -> None:
    assert format_time(NEW_YEAR) == "2007-01-01T00:00:00Z"
    assert format_day(NEW_YEAR) == "2007-01-01"
    assert format_day(Timestamp(seconds=NEW_YEAR.seconds + 3600)) == "2007-01-01T01:00:00Z"
    assert format_time(Timestamp()) == ""


def test_an_unspecified_enum_is_a_dash() -> None:
    assert enum_word("VERDICT_NO_NEW_EVIDENCE", "VERDICT_") == "NO_NEW_EVIDENCE"
    assert enum_word("VERDICT_UNSPECIFIED", "VERDICT_") == "-"


def test_a_table_cuts_nothing_off_and_takes_text_literally(capsys: pytest.CaptureFixture[str]) -> None:
    long = "AAPL@15m/volatility-h60/gradient-boosting/v123456789 [0.1, 0.2] " * 2
    table("title", ("name", ">n"), [(long.strip(), "1"), ("[red]x[/red]", "22")])
    out = capsys.readouterr().out
    assert long.strip() in out
    assert "[red]x[/red]" in out


def on_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")


def test_a_narrow_terminal_gets_a_block_a_row_with_every_word_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("b5d417a2eb7541d8", "AAPL/range/random-forest", ""), ("53aa97dd370c4b64", "AAPL/range/logistic", "open")]
    on_a_terminal(40, monkeypatch)
    table("Sessions", ("session", "lineage", ">state"), rows)
    blocks = capsys.readouterr().out
    assert blocks.startswith("Sessions\nsession  b5d417a2eb7541d8\nlineage  AAPL/range/random-forest\n\nsession  53aa")
    on_a_terminal(80, monkeypatch)
    table("Sessions", ("session", "lineage", ">state"), rows)
    assert any({*rows[1]} <= {*line.split()} for line in capsys.readouterr().out.splitlines())


def test_a_pipe_gets_each_row_on_one_line_however_wide(capsys: pytest.CaptureFixture[str]) -> None:
    table("", ("pattern", ">n"), [("rsi_14 > 70 and " * 40, "7")])
    assert any("rsi_14" in line and line.split()[-1] == "7" for line in capsys.readouterr().out.splitlines())


def test_the_newest_are_the_last_and_zero_is_all() -> None:
    assert newest([1, 2, 3], 2) == [2, 3]
    assert newest([1, 2, 3], 0) == [1, 2, 3]
