"""ratchet patterns list and show: what a reader is told of rules, in which order, and what is asked for."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ratchet.cli import pattern_text
from ratchet.knowledge.v1 import knowledge_pb2
from tests.support.pattern_services import (
    ALL,
    BAD,
    GUEST,
    HEAD,
    IDS,
    LOGISTIC,
    SURE,
    TWIN,
    Knowledge,
    known,
    printed_commands,
    require_parsed,
)

Run = Callable[..., Any]
Start = Callable[..., Knowledge]


def ids(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines() if line.split()[:1] and line.split()[0] in short_ids()]


def short_ids() -> dict[str, str]:
    return {pattern_text.short_id(identity): name for name, identity in IDS.items()}


class TestList:
    def test_the_patterns_in_force_are_listed_the_surest_first(self, run: Run, services: Start) -> None:
        services(*ALL)
        out = run("patterns", "list", "AAPL").out
        assert [short_ids()[found] for found in ids(out)] == ["sure", "near"]
        _, _, rule, numbers, *_ = out.splitlines()
        assert rule == "aaaaaaaa   ema_12 crosses above ema_26 → wider range"
        told = "▂▅   0.70 [0.65, 0.75]   base 0.51   lift 1.37   hits 148/212   to 2009-12-30   confirmed"
        assert numbers.strip() == told

    def test_the_numbers_stand_under_each_other_within_120_columns(self, run: Run, services: Start) -> None:
        old = knowledge_pb2.KnownPattern()
        old.CopyFrom(TWIN)
        old.confidences.extend([0.6] * 60)
        services(*ALL, old)
        lines = run("patterns", "list", "--all").out.splitlines()
        assert max(map(len, lines)) <= 120
        assert len({line.index("base ") for line in lines if "   base 0" in line}) == 1

    def test_what_is_not_listed_is_counted_with_the_command_that_shows_it(self, run: Run, services: Start) -> None:
        services(*ALL)
        out = run("patterns", "list", "AAPL", "--target", "range", "--horizon", "5").out
        everything = "ratchet patterns list AAPL --target range --horizon 5 --all"
        assert f"besides 1 covered, 1 offered, 1 refuted, 1 retired: {everything}" in out

    def test_all_of_them_say_in_which_state_they_are_and_by_which_other(self, run: Run, services: Start) -> None:
        services(*ALL)
        out = run("patterns", "list", "--all").out
        assert [short_ids()[found] for found in ids(out)] == ["sure", "twin", "near", "gone", "bad", "guest"]
        assert "besides" not in out
        for state in (f"covered by {pattern_text.short_id(IDS['near'])}", "offered from MSFT", "refuted", "retired"):
            assert state in out

    def test_an_offered_pattern_shows_no_number_of_its_own(self, run: Run, services: Start) -> None:
        services(GUEST)
        _, _, rule, numbers, *_ = run("patterns", "list", "--all").out.splitlines()
        assert "volume_ratio_20 > 2" in rule
        assert numbers.strip() == "offered from MSFT"

    def test_one_type_only(self, run: Run, services: Start) -> None:
        services(*ALL)
        found = json.loads(run("patterns", "list", "--type", "level", "-o", "json").out)
        assert [each["pattern"]["id"] for each in found] == [IDS["near"]]
        wrong = run("patterns", "list", "--type", "levle")
        assert (wrong.code, "did you mean level?" in wrong.err) == (2, True)

    def test_a_long_list_is_cut_for_people_and_whole_for_programs(self, run: Run, services: Start) -> None:
        services(*ALL)
        words = ("patterns", "list", "AAPL", "--all", "--limit", "2")
        out = run(*words).out
        assert [short_ids()[found] for found in ids(out)] == ["sure", "twin"]
        assert "4 less sure ones are left out; all of them: ratchet patterns list AAPL --all --limit 0" in out
        assert len(json.loads(run(*words, "-o", "json").out)) == 6

    def test_without_a_pattern_it_says_what_there_is(self, run: Run, services: Start) -> None:
        services(BAD)
        assert run("patterns", "list", "AAPL").out == (
            "no patterns in force, only 1 refuted: ratchet patterns list AAPL --all\n"
        )
        services()
        for words in ((), ("--all",)):
            step = "ratchet train AAPL --model TYPE"
            assert run("patterns", "list", "AAPL", *words).out == (
                f"no patterns yet; training sessions look for them: {step}\n"
            )

    def test_several_scopes_are_told_apart(self, run: Run, services: Start) -> None:
        services(SURE, known("near", "KEPT", "rsi_14 > 70 → higher volume", 0.62, task="volume"))
        out = run("patterns", "list").out
        assert "AAPL/range" in out
        assert "AAPL/volume" in out

    def test_the_past_is_asked_for_on_both_clocks_and_said(self, run: Run, services: Start) -> None:
        knowledge = services(*ALL)
        words = ("patterns", "list", "AAPL", "--as-of", "41", "--known-before", "2009-12-31")
        ran = run(*words)
        (request,) = knowledge.asked
        assert (request.as_of_position, request.min_position) == (41, HEAD)
        assert request.known_before.ToJsonString() == "2009-12-31T00:00:00Z"
        said = "as of log position 41 (log time), from labels known before 2009-12-31T00:00:00Z (market time)"
        assert ran.out.startswith(said)
        assert "list AAPL --as-of 41 --known-before 2009-12-31 --all" in ran.out
        as_json = run(*words, "-o", "json")
        assert as_json.err.strip() == said
        json.loads(as_json.out)
        run("patterns", "list", "--as-of", "2026-03-03")
        assert knowledge.asked[-1].as_of_time.ToJsonString() == "2026-03-03T23:59:59.999999Z"

    def test_a_position_after_the_head_is_not_found(self, run: Run, services: Start) -> None:
        services(*ALL)
        ran = run("patterns", "list", "--as-of", str(HEAD + 1))
        assert ran.code == 3
        assert "the log ends at 90" in ran.err

    def test_a_horizon_needs_its_target(self, run: Run) -> None:
        assert run("patterns", "list", "--horizon", "5").code == 2


class TestShow:
    def test_the_rule_its_meaning_and_its_confidence_are_told(self, run: Run, services: Start) -> None:
        services(*ALL)
        out = run("patterns", "show", IDS["sure"][:6]).out
        for said in (
            "ema_12 crosses above ema_26 → wider range   confirmed\n",
            "where it fired, the range of the next bar was wider than usual on 70 % of 212 bars;"
            " on all 1,203 bars 51 %\n",
            "usual        the median of the 250 bars before",
            "AAPL/range, type cross",
            "0.70 [0.65, 0.75]   ▂▅",
            "212 bars, worth 143 independent ones",
            "with probability 0.999",
            "with probability 0.930",
        ):
            assert said in out
        assert "foreign" not in out

    def test_the_history_has_a_line_a_fact_and_says_who_and_why(self, run: Run, services: Start) -> None:
        services(*ALL)
        out = run("patterns", "show", IDS["sure"]).out
        history = out[out.index("History") : out.index("Models that use it")]
        rows = [line.split() for line in history.splitlines() if line.strip().startswith("2026")]
        assert [row[2] for row in rows] == ["kept", "retired", "confirmed"]
        assert [row[6] for row in rows] == ["▂", "▂", "▅"]
        assert rows[0][8:] == ["250/250", "logistic"]
        assert rows[1][8:] == ["-", "a", "person", "bad", "file"]
        assert rows[2][8:] == ["180/250", "logistic"]

    def test_the_evidence_is_told_by_year(self, run: Run, services: Start) -> None:
        services(*ALL)
        rows = [line.split() for line in run("patterns", "show", IDS["sure"]).out.splitlines()]
        assert ["2008", "250", "50", "35", "0.70", "0.52"] in rows
        assert ["2009", "251", "0", "0", "-", "0.47"] in rows

    def test_the_models_that_use_it_stand_by_lineage_and_the_live_ones_are_marked(
        self, run: Run, services: Start
    ) -> None:
        services(*ALL)
        ran = run("patterns", "show", IDS["sure"])
        assert f"  {LOGISTIC}   v9, v10 ★\n  AAPL/range/lstm   v1\n" in ran.out
        found = json.loads(run("patterns", "show", IDS["sure"], "-o", "json").out)
        assert {"model": f"{LOGISTIC}/v10", "live": True} in found["models"]
        assert len(found["history"]) == 3

    def test_a_retired_one_says_why(self, run: Run, services: Start) -> None:
        services(*ALL)
        assert "retired: confidence 55.0% is not above the line" in run("patterns", "show", IDS["gone"]).out

    def test_an_offered_one_shows_the_foreign_evidence_as_foreign_and_none_of_its_own(
        self, run: Run, services: Start
    ) -> None:
        services(*ALL)
        out = run("patterns", "show", IDS["guest"]).out
        assert "no evidence here; it says: where it fires, the range of the next bar is wider than usual more" in out
        assert f"from MSFT, pattern {'f' * 16}, 2026-03-03T00:00:00Z: same sector" in out
        assert (
            "foreign      MSFT had it kept: confidence 0.68 [0.63, 0.73], base 0.51, hits 144/212;"
            " none of this counts for AAPL"
        ) in out
        assert "a candidate; the next training session tests it" in out
        assert "\n  confidence" not in out
        assert "\n  ratchet train AAPL --model logistic --target range\n" in out

    @pytest.mark.parametrize("name", IDS)
    def test_every_command_that_is_printed_can_be_parsed(self, run: Run, services: Start, name: str) -> None:
        services(*ALL)
        commands = printed_commands(run("patterns", "show", IDS[name]).out)
        assert len(commands) >= 2
        for command in commands:
            require_parsed(command)

    def test_the_past_is_asked_for_and_the_models_are_those_of_now(self, run: Run, services: Start) -> None:
        knowledge = services(*ALL)
        out = run("patterns", "show", IDS["sure"], "--as-of", "2026-03-03").out
        assert knowledge.asked[-1].as_of_time.ToJsonString() == "2026-03-03T23:59:59.999999Z"
        assert out.startswith("as of 2026-03-03T23:59:59.999999Z (log time)\n")
        assert "Models that use it, as of now" in out


@pytest.mark.parametrize(
    ("task", "label", "said"),
    [
        ("direction", True, "the close of the next bar was higher on"),
        ("direction-h3", False, "the close of the bar 3 ahead was not higher on"),
        ("range", False, "the range of the next bar was not wider than usual on"),
        ("volatility", True, "the volatility of the next 5 bars was higher than usual on"),
        ("volume", False, "the volume of the next bar was not higher than usual on"),
    ],
)
def test_a_rule_means_what_its_task_asks(task: str, label: bool, said: str) -> None:
    assert said in pattern_text.describe_rule(known("near", "KEPT", "", 0.62, task=task, label=label))


def test_a_rule_that_never_fired_says_so() -> None:
    silent = known("near", "REFUTED", "", 0.5)
    silent.counts.support = silent.counts.hits = 0
    assert pattern_text.describe_rule(silent).startswith("it fired on no bar yet;")
