"""Bars in, and the whole feature library over them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.measured import Measured
from bench.speed.processes import all_services
from ratchet.client import Client
from ratchet.scoring import features
from ratchet.scoring.data.csv_file import read

AAPL = Path(__file__).parents[2] / "ratchet" / "data" / "AAPL.csv"
BARS, IMPORT_SECONDS = 1_000_000, 5.0
FEATURE_BARS, FEATURE_SECONDS = 3_000, 0.3
MINUTE, FIRST = 60, 1_000_000_020


def measure(folder: Path) -> Iterator[Measured]:
    file = folder / "MANY.csv"
    file.write_text(many(BARS))
    home = folder / "home"
    home.mkdir()
    with all_services(home), Client.from_home(home, environ={}) as client:
        client.import_bars(AAPL, "AAPL")
        began = time.perf_counter()
        client.import_bars(file, "MANY@1m")
        took = time.perf_counter() - began
    yield Measured.at_most(
        f"import of {BARS:,} bars ({file.stat().st_size / 2**20:.0f} MiB): validation, snapshot, log",
        f"{took:.1f} s",
        took,
        IMPORT_SECONDS,
        "s",
    )
    bars = read(AAPL.read_bytes(), "AAPL", AAPL.name).bars.head(FEATURE_BARS)
    features.compute(bars, tuple(features.LIBRARY))
    began = time.process_time()
    features.compute(bars, tuple(features.LIBRARY))
    took = time.process_time() - began
    yield Measured.at_most(
        f"{len(features.LIBRARY)} features of {FEATURE_BARS:,} bars", f"{took:.3f} s of CPU", took, FEATURE_SECONDS, "s"
    )


def many(count: int) -> str:
    """A CSV file of one-minute bars: a random walk."""
    rng = np.random.default_rng(7)
    close = np.round(100 * np.exp(np.cumsum(0.0005 * rng.standard_normal(count))), 4)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + 0.01, np.minimum(opened, close) - 0.01
    volume = rng.integers(100, 10_000, count)
    moments = (FIRST + MINUTE * np.arange(count)).astype("datetime64[s]")
    rows = zip(moments, opened, high, low, close, volume, strict=True)
    lines = (f"{moment}Z,{o:.4f},{h:.4f},{lo:.4f},{c:.4f},{v}" for moment, o, h, lo, c, v in rows)
    return "\n".join(["date,open,high,low,close,volume", *lines, ""])
