"""The names of things: series, task, lineage, model. Parsed once, at the edge; passed as values inside.

series   AAPL, AAPL@1h                        task     range, range-h5
lineage  AAPL/range/random-forest             model    AAPL/range/random-forest/v3
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar, get_args

from ratchet.errors import InvalidInput

Target = Literal["direction", "range", "volatility", "volume"]
ModelType = Literal["har", "random-forest", "gradient-boosting", "xgboost", "lstm", "logistic"]
Policy = Literal["balanced", "strict", "plain"]

TARGETS: tuple[Target, ...] = get_args(Target)
MODEL_TYPES: tuple[ModelType, ...] = get_args(ModelType)
POLICIES: tuple[Policy, ...] = get_args(Policy)
DEFAULT_TARGET: Target = "range"
DEFAULT_HORIZON: dict[Target, int] = {"direction": 1, "range": 1, "volatility": 5, "volume": 1}
MAX_HORIZON = 60
NAIVE_BASELINES = ("base-rate@baseline", "persistence@baseline")
SKILL_BASELINES = (*NAIVE_BASELINES, "har@baseline", "online@baseline")
"""A model shows skill where it is better than each of these on its holdout, paired, with an interval above 0."""

Word = TypeVar("Word", bound=str)

_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,31}")
_TIMEFRAME = re.compile(r"([1-9][0-9]{0,2})(m|h|d|w)")
_MODEL = re.compile(r"(.+)/v([1-9][0-9]{0,8})")


def one_of(what: str, value: str, allowed: tuple[Word, ...]) -> Word:
    """`value` if it is allowed; otherwise InvalidInput with the nearest allowed word."""
    for word in allowed:
        if value == word:
            return word
    near = difflib.get_close_matches(value, allowed, 1)
    hint = f" did you mean {near[0]}?" if near else ""
    raise InvalidInput(f"unknown {what} {value!r};{hint} choose one of {', '.join(allowed)}", fields={what: "unknown"})


def baseline_words(name: str) -> str:
    """A baseline in words: base rate for base-rate@baseline."""
    return name.removesuffix("@baseline").replace("-", " ")


@dataclass(frozen=True, order=True)
class Series:
    symbol: str
    timeframe: str = "1d"

    @classmethod
    def parse(cls, text: str) -> Series:
        symbol, at, timeframe = text.partition("@")
        if not _SYMBOL.fullmatch(symbol):
            near = re.sub(r"[^A-Za-z0-9.^=_-]", "-", symbol.strip()).strip("-.=_")[:32]
            hint = f"; try {near}" if _SYMBOL.fullmatch(near) else ""
            raise InvalidInput(
                f"symbol {symbol!r} is not a name: 1 to 32 of letters, digits and . ^ = _ -,"
                f" the first a letter, digit or ^{hint}",
                fields={"series": "not a symbol"},
            )
        timeframe = timeframe if at else "1d"
        if not _TIMEFRAME.fullmatch(timeframe):
            raise InvalidInput(
                f"timeframe {timeframe!r} is not a number and a unit m, h, d or w; try 1d or 15m",
                fields={"timeframe": "not a timeframe"},
            )
        return cls(symbol, timeframe)

    @property
    def intraday(self) -> bool:
        """Whether bars have a time of day: those of days and weeks have a date."""
        return self.timeframe[-1] in "mh"

    def __str__(self) -> str:
        return self.symbol if self.timeframe == "1d" else f"{self.symbol}@{self.timeframe}"


@dataclass(frozen=True, order=True)
class Task:
    target: Target
    horizon: int

    @classmethod
    def of(cls, target: str, horizon: int = 0) -> Task:
        """The task of a target; horizon 0 means the target's default."""
        known = one_of("target", target, TARGETS)
        if not 0 <= horizon <= MAX_HORIZON:
            raise InvalidInput(
                f"horizon {horizon} is out of range; use 1 to {MAX_HORIZON} bars", fields={"horizon": "out of range"}
            )
        return cls(known, horizon or DEFAULT_HORIZON[known])

    @classmethod
    def parse(cls, text: str) -> Task:
        target, dash, horizon = text.rpartition("-h")
        if not dash:
            return cls.of(text)
        if not horizon.isdecimal() or int(horizon) == 0:
            raise InvalidInput(f"task {text!r} is not a target or target-hN; try range or range-h5")
        return cls.of(target, int(horizon))

    def __str__(self) -> str:
        default = self.horizon == DEFAULT_HORIZON[self.target]
        return self.target if default else f"{self.target}-h{self.horizon}"


@dataclass(frozen=True, order=True)
class Lineage:
    series: Series
    task: Task
    model_type: ModelType

    @classmethod
    @lru_cache(1024)
    def parse(cls, text: str) -> Lineage:
        parts = text.split("/")
        if len(parts) != 3:
            raise InvalidInput(
                f"{text!r} is not a lineage; write SERIES/TASK/TYPE, such as AAPL/range/random-forest",
                fields={"lineage": "not a lineage"},
            )
        return cls(Series.parse(parts[0]), Task.parse(parts[1]), one_of("model type", parts[2], MODEL_TYPES))

    def __str__(self) -> str:
        return f"{self.series}/{self.task}/{self.model_type}"

    def version(self, number: int) -> Model:
        return Model(self, number)


@dataclass(frozen=True, order=True)
class Model:
    lineage: Lineage
    version: int

    @classmethod
    def parse(cls, text: str) -> Model:
        found = _MODEL.fullmatch(text)
        if not found:
            raise InvalidInput(
                f"{text!r} is not a model; write SERIES/TASK/TYPE/vN, such as AAPL/range/random-forest/v3",
                fields={"model": "not a model"},
            )
        return cls(Lineage.parse(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.lineage}/v{self.version}"
