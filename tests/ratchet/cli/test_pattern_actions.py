"""ratchet patterns offer, retire and rates: what they did, and what comes next."""

import json
from collections.abc import Callable
from typing import Any

from ratchet.errors import AlreadyExists, NotFound, PreconditionFailed
from tests.support.pattern_services import ALL, IDS, LOGISTIC, Knowledge, printed_commands, require_parsed

Run = Callable[..., Any]
Start = Callable[..., Knowledge]


class TestOffer:
    LINE = ("patterns", "offer", IDS["sure"], "--reason", "same sector")

    def test_each_series_is_told_what_happened_and_what_comes_next(self, run: Run, services: Start) -> None:
        knowledge = services(*ALL)
        ran = run(*self.LINE, "--to", "MSFT", "--to", "IBM", "--to", "MSFT")
        assert (ran.code, ran.err) == (0, "")
        assert [request.series for request in knowledge.asked] == ["MSFT", "IBM"]
        assert {request.reason for request in knowledge.asked} == {"same sector"}
        assert "a candidate there: the next training session tests it on bars of its own" in ran.out
        assert printed_commands(ran.out) == [
            "ratchet train MSFT --model random-forest --target range --horizon 5",
            "ratchet train IBM --model logistic --target range --horizon 5",
        ]
        for command in printed_commands(ran.out):
            require_parsed(command)

    def test_a_refusal_does_not_hide_the_others_and_the_first_gives_the_exit_code(
        self, run: Run, services: Start
    ) -> None:
        knowledge = services(
            *ALL, map_errors={"IBM": PreconditionFailed("no bars of IBM"), "GOOG": NotFound("GOOG is unknown")}
        )
        ran = run(*self.LINE, "--to", "IBM", "--to", "GOOG", "--to", "MSFT")
        assert [request.series for request in knowledge.asked] == ["IBM", "GOOG", "MSFT"]
        assert ran.code == PreconditionFailed.exit_code
        assert "MSFT/range-h5" in ran.out
        assert ran.err == "error: 2 of 3 series refused: IBM: no bars of IBM; GOOG: GOOG is unknown\n"

    def test_a_lone_refusal_is_its_own_error(self, run: Run, services: Start) -> None:
        services(*ALL, map_errors={"IBM": AlreadyExists("pattern aa is known for IBM")})
        ran = run(*self.LINE, "--to", "IBM")
        assert (ran.code, ran.out, ran.err) == (4, "", "error: pattern aa is known for IBM\n")

    def test_as_json_each_series_has_its_pattern_or_its_error(self, run: Run, services: Start) -> None:
        services(*ALL, map_errors={"IBM": PreconditionFailed("no bars of IBM")})
        ran = run(*self.LINE, "--to", "IBM", "--to", "MSFT", "-o", "json")
        first, second = json.loads(ran.out)
        assert first == {"series": "IBM", "error": {"reason": "PRECONDITION_FAILED", "message": "no bars of IBM"}}
        assert second["pattern"]["offer"]["series"] == "MSFT"
        assert json.loads(ran.err)["error"]["exit_code"] == 4

    def test_it_needs_a_series_and_a_reason(self, run: Run) -> None:
        assert run("patterns", "offer", "aa", "--reason", "r").code == 2
        assert run("patterns", "offer", "aa", "--to", "IBM").code == 2


def test_retiring_says_what_it_was_and_which_models_keep_it(run: Run, services: Start) -> None:
    knowledge = services(*ALL)
    ran = run("patterns", "retire", IDS["sure"][:6], "--reason", "an artefact of the old feed")
    assert knowledge.asked[-1].pattern_id == IDS["sure"]
    assert "was confirmed, is retired" in ran.out
    assert "keep it, frozen as it was" in ran.out
    assert f"{LOGISTIC}   v9, v10 ★" in ran.out
    for command in printed_commands(ran.out):
        require_parsed(command)
    as_json = json.loads(run("patterns", "retire", IDS["near"], "--reason", "r", "-o", "json").out)
    assert as_json["retired_reason"] == "r"


class TestRates:
    def test_what_became_of_the_rules_is_a_row_a_type(self, run: Run, services: Start) -> None:
        knowledge = services()
        out = run("patterns", "rates", "AAPL", "--target", "volume", "--as-of", "41").out
        request = knowledge.asked[-1]
        assert (request.series, request.task, request.as_of_position) == ("AAPL", "volume", 41)
        together, level = (" ".join(line.split()) for line in out.splitlines() if "0.25" in line)
        assert together == "all series all 40 10 0.25 [0.14, 0.40] 6 3 1 0.63 of 1,200 0.50"
        assert level == "level 40 10 0.25 0 0 0 - -"

    def test_the_rates_are_whole_as_json(self, run: Run, services: Start) -> None:
        services()
        found = json.loads(run("patterns", "rates", "-o", "json").out)
        assert [each["later_hits"] for each in found] == [756, 0]
