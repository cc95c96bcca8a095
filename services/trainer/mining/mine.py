"""One round of mining: search the older rows, test on later rows that no earlier test has used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ratchet.scoring.rule import Floats, Rule, pattern_id
from ratchet.statistics.scores import defined
from services.trainer.mining.conditions import MAX_SUPPORT
from services.trainer.mining.search import MAX_CANDIDATES, SUPPORT, search
from services.trainer.mining.test import TestedRule, rule_evidence, tested

MiningSkipped = Literal["not_asked_for", "too_few_rows", "rare_class"]

SEARCH_SHARE = 0.65
MIN_TEST_ROWS = 250
MAX_OFFERED = 5
"""Maximum number of offered rules (of other series) tested in one round."""


@dataclass(frozen=True, eq=False)
class MiningData:
    """Rows for mining, consecutive, oldest first: X float64[n, k] under `names`, and labels y [n].

    `times` is int64[n + horizon]: the bar times of the rows and of the bars that complete the last labels.
    """

    X: Floats
    names: tuple[str, ...]
    y: Floats
    times: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MiningResult:
    """Result of a round. `mined_through`: the time through which bars have served tests, this round included;
    `skipped`: the reason for skipping the round."""

    rules: tuple[TestedRule, ...]
    searched: int
    test_rows: int
    mined_through: int | None
    skipped: MiningSkipped | None = None


def mine(
    rows: MiningData,
    series: str,
    task: str,
    kinds: Mapping[str, str],
    tested_before: Sequence[str] = (),
    mined_through: int | None = None,
    preferred: Sequence[str] = (),
    known: Sequence[Rule] = (),
    settled: Sequence[Rule] = (),
    offered: Sequence[Rule] = (),
) -> MiningResult:
    """Searches the first SEARCH_SHARE of the rows, and tests on the rest, purged by the horizon.

    Only rows after `mined_through` serve tests, and no rule with an id in `tested_before` is tested again. With fewer
    than MIN_TEST_ROWS such rows, or CLASS_ROWS of a class among them, the round is skipped, and `skipped` is
    the reason. `preferred`: features that the search tries first; the test is the same for all rules. `known`: rules in
    force, which explain their share of the labels first and are no candidates. `settled`: tested rules that are not in
    force; their near-duplicates are no candidates either. `offered`: rules of other series; the first MAX_OFFERED that
    are testable here count within MAX_CANDIDATES.
    """
    n = len(rows.y)
    horizon = len(rows.times) - n
    fresh = 0 if mined_through is None else int(np.searchsorted(rows.times[:n], mined_through, side="right"))
    start = max(int(SEARCH_SHARE * n), fresh)
    found_on = max(0, start - horizon)
    if n - start < MIN_TEST_ROWS:
        return MiningResult((), 0, n - start, mined_through, "too_few_rows")
    if not defined(rows.y[start:]):
        return MiningResult((), 0, n - start, mined_through, "rare_class")
    before = frozenset(tested_before)

    def was_tested(rule: Rule) -> bool:
        return pattern_id(rule, series, task) in before

    found = search(rows.X[:found_on], rows.names, rows.y[:found_on], kinds, was_tested, preferred, known, settled)
    guests = [rule for rule in dict.fromkeys(offered) if not was_tested(rule) and _testable(rule, rows, found_on)]
    guests = [rule for rule in guests if rule not in known][:MAX_OFFERED]
    own = [rule for rule in found if rule not in guests]
    rules = (*own[: MAX_CANDIDATES - len(guests)], *guests)
    evidence = [rule_evidence(rule, rows.X[start:], rows.names, rows.y[start:], rows.times[start:]) for rule in rules]
    through = int(rows.times[n - 1]) if rules else mined_through
    return MiningResult(tested(rules, evidence), found_on, n - start, through)


def _testable(rule: Rule, rows: MiningData, found_on: int) -> bool:
    """Whether the features exist and the rule has enough support in the searched rows."""
    if found_on == 0 or not set(rule.features) <= set(rows.names):
        return False
    return SUPPORT[0] <= float(rule.fires(rows.X[:found_on], rows.names).mean()) <= MAX_SUPPORT
