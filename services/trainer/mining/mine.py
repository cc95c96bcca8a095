"""One round of mining: search the older rows, test on the later ones that no earlier test has used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.rule import Floats, Rule, pattern_id
from ratchet.statistics.scores import CLASS_ROWS, defined
from services.trainer.mining.conditions import WIDEST
from services.trainer.mining.search import CARRIED, SUPPORT, search
from services.trainer.mining.test import TestedRule, evidence_of, tested

SEARCHED = 0.65
FEWEST_TEST_ROWS = 250
OFFERED = 5
"""Rules of other series that one round tests."""


@dataclass(frozen=True, eq=False)
class MiningRows:
    """All rows that mining may see, consecutive, oldest first: X float64[n, k] under `names`, and labels y [n].

    `times` is int64[n + horizon]: the bar times of the rows and of the bars that complete the last labels.
    """

    X: Floats
    names: tuple[str, ...]
    y: Floats
    times: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mined:
    """What a round found. `mined_through` is the time through which bars have served tests, this round included."""

    rules: tuple[TestedRule, ...]
    searched: int
    test_rows: int
    mined_through: int | None
    waits: str


def mine(
    rows: MiningRows,
    series: str,
    task: str,
    kinds: Mapping[str, str],
    tested_before: Sequence[str] = (),
    mined_through: int | None = None,
    preferred: Sequence[str] = (),
    known: Sequence[Rule] = (),
    settled: Sequence[Rule] = (),
    offered: Sequence[Rule] = (),
) -> Mined:
    """Search the first SEARCHED of the rows, test on the rest, purged by the horizon.

    Only rows after `mined_through` test, and no rule whose id is in `tested_before` is tested again. With fewer than
    FEWEST_TEST_ROWS such rows, or CLASS_ROWS of a class among them, nothing is mined, and `waits` says so. `preferred`:
    features that the search tries first; the test is the same for all rules. `known`: rules in force, which explain
    their share of the labels first and are not carried again. `settled`: rules that were tested and are not in force;
    what nearly is one of them is not carried either. `offered`: rules found elsewhere; the first OFFERED that can be
    tested here are, together with what the search found, within CARRIED.
    """
    n = len(rows.y)
    horizon = len(rows.times) - n
    fresh = 0 if mined_through is None else int(np.searchsorted(rows.times[:n], mined_through, side="right"))
    start = max(int(SEARCHED * n), fresh)
    found_on = max(0, start - horizon)
    if n - start < FEWEST_TEST_ROWS:
        waits = f"waits: {n - start} rows that no test has used, {FEWEST_TEST_ROWS} needed"
        return Mined((), 0, n - start, mined_through, waits)
    if not defined(rows.y[start:]):
        waits = f"waits: fewer than {CLASS_ROWS} of a class among the {n - start} rows that no test has used"
        return Mined((), 0, n - start, mined_through, waits)
    before = frozenset(tested_before)

    def was_tested(rule: Rule) -> bool:
        return pattern_id(rule, series, task) in before

    found = search(rows.X[:found_on], rows.names, rows.y[:found_on], kinds, was_tested, preferred, known, settled)
    guests = [rule for rule in dict.fromkeys(offered) if not was_tested(rule) and _testable(rule, rows, found_on)]
    guests = [rule for rule in guests if rule not in known][:OFFERED]
    own = [rule for rule in found if rule not in guests]
    rules = (*own[: CARRIED - len(guests)], *guests)
    evidence = [evidence_of(rule, rows.X[start:], rows.names, rows.y[start:], rows.times[start:]) for rule in rules]
    through = int(rows.times[n - 1]) if rules else mined_through
    return Mined(tested(rules, evidence), found_on, n - start, through, "")


def _testable(rule: Rule, rows: MiningRows, found_on: int) -> bool:
    """Whether the features are there and the rule has enough support in the searched rows."""
    if found_on == 0 or not set(rule.features) <= set(rows.names):
        return False
    return SUPPORT[0] <= float(rule.fires(rows.X[:found_on], rows.names).mean()) <= WIDEST
