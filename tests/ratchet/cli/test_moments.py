"""--as-of and --known-before: two clocks, and what a day means on each."""

from datetime import UTC, datetime

import click
import pytest
from click.testing import CliRunner

from ratchet.cli.as_of import (
    PRESENT,
    TimePoint,
    as_of_option,
    known_before_option,
    parse_as_of,
    parse_known_before,
    print_as_of,
    require_recorded,
)
from ratchet.errors import NotFound


@click.command()
@as_of_option
@known_before_option
def asking(as_of: TimePoint, known_before: TimePoint) -> None:
    click.echo(f"{as_of.given} {known_before.given}")
    print_as_of(as_of, "table", known_before)


def test_a_number_is_a_log_position() -> None:
    found = parse_as_of("41")
    assert (found.position, found.time, str(found)) == (41, None, "log position 41")


def test_a_day_of_log_time_is_its_end_and_of_market_time_its_beginning() -> None:
    recorded, labelled = parse_as_of("2026-03-03"), parse_known_before("2026-03-03")
    assert recorded.position == 0
    assert recorded.moment == datetime(2026, 3, 3, 23, 59, 59, 999999, UTC)
    assert labelled.moment == datetime(2026, 3, 3, tzinfo=UTC)
    assert recorded.time is not None
    assert recorded.time.ToDatetime(UTC) == recorded.moment


@pytest.mark.parametrize("text", ["2026-03-03T16:00:00Z", "2026-03-03T16:00:00", "2026-03-03T18:00:00+02:00"])
def test_a_time_is_in_utc_unless_it_says_where(text: str) -> None:
    for parse in (parse_as_of, parse_known_before):
        assert parse(text).moment == datetime(2026, 3, 3, 16, tzinfo=UTC)


def test_it_is_repeated_as_it_was_asked() -> None:
    assert parse_as_of("2026-03-03").arguments == ["--as-of", "2026-03-03"]
    assert parse_known_before("2026-03-03").arguments == ["--known-before", "2026-03-03"]
    assert PRESENT.arguments == []


@pytest.mark.parametrize(
    "text", ["0", "9" * 30, "yesterday", "2026-13-01", "2026-02-30", "", "-3", "0001-01-01T00:00+14"]
)
def test_what_is_no_moment_is_refused_with_the_forms_that_are(text: str) -> None:
    ran = CliRunner().invoke(asking, ["--as-of", text])
    assert ran.exit_code == 2
    assert "write a log position, a date such as 2026-03-03" in ran.output
    assert "write a date such as 2009-12-31" in CliRunner().invoke(asking, ["--known-before", "x"]).output


def test_an_answer_about_the_past_says_which_past_on_which_clock() -> None:
    told = CliRunner().invoke(asking, ["--as-of", "41", "--known-before", "2009-12-31"]).output.splitlines()
    assert told == [
        "True True",
        "as of log position 41 (log time), from labels known before 2009-12-31T00:00:00Z (market time)",
    ]
    assert CliRunner().invoke(asking, []).output == "False False\n"


def test_a_position_that_the_log_has_not_reached_is_not_found() -> None:
    require_recorded(parse_as_of("41"), 41, None)
    require_recorded(parse_as_of("2999-01-01"), 41, None)
    with pytest.raises(NotFound, match=r"the log ends at 41; see ratchet log tail --home here"):
        require_recorded(parse_as_of("42"), 41, "here")
