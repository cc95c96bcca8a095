"""How large each service's environment is: the wheels that its requirements bring, as they lie on disk."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from bench.measured import Measured

ENVIRONMENTS = {
    "registry": ("postgres",),
    "knowledge": (),
    "trainer": ("trainer",),
    "trainer with lstm": ("trainer", "lstm"),
    "trainer on Dask": ("trainer", "dask"),
}
ML = {"scikit-learn", "xgboost", "keras", "jax", "pandas", "pyarrow", "ta-lib", "optuna", "skops", "scipy"}


def measure(_: Path) -> Iterator[Measured]:
    for name, extras in ENVIRONMENTS.items():
        needed = closure(extras)
        size = sum(bytes_of(distribution) for distribution in needed) / 2**20
        ml = sorted(ML & needed)
        held = name not in ("registry", "knowledge")
        yield Measured(
            f"environment of {name}: {len(needed)} distributions",
            f"{size:,.0f} MiB, {len(ml)} ML libraries",
            "" if held else "no ML library",
            None if held else not ml,
            guarded=not held,
        )


def closure(extras: tuple[str, ...]) -> set[str]:
    """Every distribution that `ratchet-models-server[extras]` needs here, by its normal name; without ours."""
    found: set[str] = set()
    waiting = [("ratchet-models-server", frozenset(extras))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, asked = waiting.pop()
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in asked or ("",)):
                waiting.append((need.name.lower().replace("_", "-"), frozenset(need.extras)))
    return found - {"ratchet-models", "ratchet-models-server"}


def bytes_of(name: str) -> int:
    """Bytes of the files of a distribution."""
    paths = (file.locate() for file in importlib.metadata.files(name) or ())
    return sum(Path(path).stat().st_size for path in map(str, paths) if Path(path).is_file())
