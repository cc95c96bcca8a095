"""The policies by simulation: how often noise is promoted in 20 sessions, and how often a real gain is found.

make bench-gate prints the table; a row is a policy, a column the new bars a session.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from ratchet.proof.evidence import Pair
from ratchet.proof.gate import PolicyName, choose, judge, keep

GATED: tuple[PolicyName, ...] = ("balanced", "strict")
POLICIES: tuple[PolicyName, ...] = ("plain", *GATED)
NEW_BARS = (21, 63, 250)
SIX_POINTS = 0.45


def champion_in_the_end(policy: PolicyName, new_bars: int, gain: float, rng: np.random.Generator) -> int | None:
    """Play a lineage for 20 sessions; the session whose model is champion then, None for the first model.

    The logit of an outcome is .32 N(0,1) plus, from session 5 on, gain N(0,1), which only models of session 5 and later
    see. A model says sigmoid(.95 signal + .25 N(0,1)), and is scored on the bars after its training.
    """
    first, sessions = (250 if new_bars == 250 else 120), 20
    bars = first + sessions * new_bars
    base = rng.normal(0, 0.32, bars)
    extra = np.where(np.arange(bars) >= first + 4 * new_bars, rng.normal(0, gain, bars), 0.0)
    y = rng.random(bars) < 1 / (1 + np.exp(-base - extra))
    holdout = max(120, new_bars)

    def forecasts(session: int) -> np.ndarray:
        signal = base + extra if session >= 5 else base
        return 1 / (1 + np.exp(-0.95 * signal - rng.normal(0, 0.25, bars)))

    champion, champion_said, champion_end = None, forecasts(0), 0
    contenders: list[tuple[int, np.ndarray, int]] = []
    for session in range(1, sessions + 1):
        now = first + session * new_bars
        contenders.append((session, forecasts(session), now - holdout))
        judgements = []
        for _, said, end in contenders:
            scored = slice(max(end, champion_end), now)
            times = np.arange(scored.start, scored.stop)
            judgements.append(judge(Pair.of(champion_said[scored], said[scored], y[scored], times), 1, policy))
        chosen = choose(judgements)
        if chosen is not None:
            champion, champion_said, champion_end = contenders[chosen]
            contenders = []
        else:
            contenders = [contenders[index] for index in keep(judgements)]
    return champion


def promoted_share(policy: PolicyName, new_bars: int, gain: float, runs: int, seed: int) -> float:
    """The share of runs in which a later model is champion in the end (with a gain: one that sees it)."""
    rng = np.random.default_rng(seed)
    ends = [champion_in_the_end(policy, new_bars, gain, rng) for _ in range(runs)]
    return sum(end is not None and (gain == 0 or end >= 5) for end in ends) / runs


def cell(policy: PolicyName, new_bars: int, gain: float, runs: int) -> str:
    """A share with three standard errors."""
    share = promoted_share(policy, new_bars, gain, runs, seed=new_bars)
    return f"{share:.3f} ± {3 * math.sqrt(share * (1 - share) / runs):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=250)
    runs = parser.parse_args().runs
    noise = "any false promotion in 20 sessions of no gain", 0.0, POLICIES
    better = "a recipe 6 points better is champion in the end", SIX_POINTS, GATED
    for title, gain, policies in (noise, better):
        print(f"\n{title}: {runs} runs, at {', '.join(map(str, NEW_BARS))} new bars a session")
        for policy in policies:
            print(f"  {policy:<10}", *(f"{cell(policy, bars, gain, runs):<16}" for bars in NEW_BARS), flush=True)


if __name__ == "__main__":
    main()
