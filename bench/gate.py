"""The gate by simulation, beside the numbers that its page gives: noise promoted, gains found, symbols changing hands.

make bench-gate prints the tables; a row is a policy, a column the new bars a session. Each cell has its own fixed seed,
so the numbers do not depend on how many processes work. It fails when a cell lies outside the noise of the page.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np

from ratchet.decisions.evidence import PairedForecasts
from ratchet.decisions.gate import SYMBOL_BEST_BARS, PolicyName, choose, decide, keep

GATED: tuple[PolicyName, ...] = ("balanced", "strict")
POLICIES: tuple[PolicyName, ...] = ("plain", *GATED)
NEW_BARS = (21, 63, 250)
SIX_POINTS = 0.45
THREE_POINTS = 0.26
SESSIONS = 20
LINEAGES = 5
PAGE_RUNS = 250


@dataclass(frozen=True, eq=False)
class World:
    """A series of the generator. The logit of an outcome is .32 N(0,1) plus, from session 5 on, gain N(0,1).

    A model says sigmoid(.95 signal + .25 N(0,1)); only models of session 5 and later that are `gifted` see the gain.
    `base`, `extra`, `y`: shape (bars,).
    """

    first: int
    new_bars: int
    base: np.ndarray
    extra: np.ndarray
    y: np.ndarray
    rng: np.random.Generator

    @classmethod
    def of(cls, new_bars: int, gain: float, rng: np.random.Generator) -> World:
        first = 250 if new_bars == 250 else 120
        bars = first + SESSIONS * new_bars
        base = rng.normal(0, 0.32, bars)
        extra = np.where(np.arange(bars) >= first + 4 * new_bars, rng.normal(0, gain, bars), 0.0)
        return cls(first, new_bars, base, extra, rng.random(bars) < 1 / (1 + np.exp(-base - extra)), rng)

    def now(self, session: int) -> int:
        """The bars that are labelled at a session."""
        return self.first + session * self.new_bars

    def trained(self, session: int, gifted: bool = True) -> Model:
        """The model of a session: it is trained up to its holdout, the first one before all bars."""
        signal = self.base + self.extra if gifted and session >= 5 else self.base
        said = 1 / (1 + np.exp(-0.95 * signal - self.rng.normal(0, 0.25, len(signal))))
        return Model(session, said, self.now(session) - max(120, self.new_bars) if session else 0)

    def pair(self, champion: Model, contender: Model, session: int) -> PairedForecasts:
        """Both on the bars that neither was trained on."""
        scored = slice(max(champion.end, contender.end), self.now(session))
        times = np.arange(scored.start, scored.stop)
        return PairedForecasts.of(champion.said[scored], contender.said[scored], self.y[scored], times)


@dataclass(frozen=True, eq=False)
class Model:
    """`session`: of its training; `said`: its forecasts, shape (bars,); `end`: the first bar after its training."""

    session: int
    said: np.ndarray
    end: int


@dataclass
class Lineage:
    """A champion and the contenders that stay in the race."""

    world: World
    policy: PolicyName
    champion: Model
    gifted: bool = True
    contenders: list[Model] = field(default_factory=list)

    def train(self, session: int) -> None:
        """One session."""
        self.contenders.append(self.world.trained(session, self.gifted))
        rulings = [decide(self.world.pair(self.champion, model, session), 1, self.policy) for model in self.contenders]
        chosen = choose(rulings)
        if chosen is None:
            self.contenders = [self.contenders[index] for index in keep(rulings)]
        else:
            self.champion, self.contenders = self.contenders[chosen], []


def champion_in_the_end(policy: PolicyName, new_bars: int, gain: float, rng: np.random.Generator) -> int:
    """Play a lineage for 20 sessions; the session whose model is champion then, 0 for the first model."""
    world = World.of(new_bars, gain, rng)
    lineage = Lineage(world, policy, world.trained(0))
    for session in range(1, SESSIONS + 1):
        lineage.train(session)
    return lineage.champion.session


def promoted_share(policy: PolicyName, new_bars: int, gain: float, runs: int, seed: int) -> float:
    """The share of runs in which a later model is champion in the end (with a gain: one that sees it)."""
    rng = np.random.default_rng(seed)
    ends = [champion_in_the_end(policy, new_bars, gain, rng) for _ in range(runs)]
    return sum(end >= (5 if gain else 1) for end in ends) / runs


def symbol_bests(policy: PolicyName, new_bars: int, gain: float, rng: np.random.Generator) -> list[int]:
    """Play five lineages for 20 sessions; the lineages that were the symbol's best, in their order.

    Only the last one is gifted. After each session the champion of its lineage, new or not, is compared with the best,
    at E of the policy times the lineages so far; a successor within the best's lineage takes its place.
    """
    world = World.of(new_bars, gain, rng)
    lineages: list[Lineage] = []
    bests: list[int] = []
    best = world.trained(0)
    for session in range(SESSIONS + 1):
        for index in range(LINEAGES):
            if session == 0:
                first = best if index == 0 else world.trained(0)
                lineages.append(Lineage(world, policy, first, gifted=index == LINEAGES - 1))
            else:
                lineages[index].train(session)
            rival = lineages[index].champion
            if bests and bests[-1] != index:
                pair = world.pair(best, rival, session)
                if decide(pair, 1, policy, len(lineages), SYMBOL_BEST_BARS).verdict != "PROMOTED":
                    continue
            best = rival
            if not bests or bests[-1] != index:
                bests.append(index)
    return bests


def changed_hands_share(policy: PolicyName, new_bars: int, gain: float, runs: int, seed: int) -> float:
    """The share of runs in which another lineage ever became the best; with a gain: the gifted one is it in the end."""
    rng = np.random.default_rng(seed)
    played = [symbol_bests(policy, new_bars, gain, rng) for _ in range(runs)]
    return sum(bests[-1] == LINEAGES - 1 if gain else len(bests) > 1 for bests in played) / runs


@dataclass(frozen=True)
class Row:
    """A row of a table; `page`: what learning.md says of its cells, None where it says nothing."""

    title: str
    policy: PolicyName
    gain: float
    page: tuple[float | None, float | None, float | None] = (None, None, None)
    symbol: bool = False


NOISE = "any false promotion in 20 sessions of no gain"
SIX = "a recipe 6 points better is champion in the end"
THREE = "a recipe 3 points better is champion in the end"
HANDS = "five lineages, no gain: the symbol's best changes hands in 20 sessions"
GIFTED = "five lineages, one 6 points better: it is the symbol's best in the end"
ROWS = (
    Row(NOISE, "plain", 0.0, (1.0, 1.0, 1.0)),
    Row(NOISE, "balanced", 0.0, (0.06, 0.08, 0.06)),
    Row(NOISE, "strict", 0.0, (0.01, 0.02, 0.0)),
    Row(SIX, "balanced", SIX_POINTS, (0.40, 0.82, 1.0)),
    Row(SIX, "strict", SIX_POINTS, (0.20, 0.54, 1.0)),
    *(Row(THREE, policy, THREE_POINTS) for policy in GATED),
    *(Row(HANDS, policy, 0.0, symbol=True) for policy in GATED),
    *(Row(GIFTED, policy, SIX_POINTS, symbol=True) for policy in GATED),
)


def cell(row: Row, new_bars: int, runs: int) -> float:
    """The share of one cell, from a seed of its own."""
    share = changed_hands_share if row.symbol else promoted_share
    return share(row.policy, new_bars, row.gain, runs, seed=new_bars)


def noise(share: float, runs: int) -> float:
    """Three standard errors of a share; one run is added to each side, so that 0 and 1 have noise as well."""
    smoothed = (share * runs + 1) / (runs + 2)
    return 3 * math.sqrt(smoothed * (1 - smoothed) / runs)


def outside(share: float, page: float | None, runs: int) -> bool:
    """Whether a share and the page's differ by more than three standard errors of their difference."""
    if page is None:
        return False
    return abs(share - page) > math.hypot(noise(share, runs), noise(page, PAGE_RUNS))


def told(share: float, page: float | None, runs: int) -> str:
    said = "" if page is None else f" (page {page:.2f}{', OUTSIDE' if outside(share, page, runs) else ''})"
    return f"{share:.3f} ± {noise(share, runs):.3f}{said}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=PAGE_RUNS)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args(arguments)
    for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[threads] = "1"
    strays, title = 0, ""
    with ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        pending = {row: [pool.submit(cell, row, bars, asked.runs) for bars in NEW_BARS] for row in ROWS}
        for row, cells in pending.items():
            if row.title != title:
                title = row.title
                print(f"\n{title}: {asked.runs} runs, at {', '.join(map(str, NEW_BARS))} new bars a session")
            shares = [found.result() for found in cells]
            said = [told(share, page, asked.runs) for share, page in zip(shares, row.page, strict=True)]
            print(f"  {row.policy:<10}", *(f"{text:<32}" for text in said), flush=True)
            strays += sum(outside(share, page, asked.runs) for share, page in zip(shares, row.page, strict=True))
    print(f"\n{strays or 'no'} cell{'' if strays == 1 else 's'} outside the noise of the page")
    return 1 if strays else 0


if __name__ == "__main__":
    sys.exit(main())
