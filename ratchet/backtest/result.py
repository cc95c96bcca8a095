"""Result of a backtest: values, and their JSON form.

Times are epoch seconds UTC. Versions are numbers of the lineage; 0 stands for none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from ratchet.backtest.plan import Segment
from ratchet.errors import InvalidInput
from ratchet.statistics.scores import Interval

FORMAT = "ratchet.backtest/2"

RATCHET, ALWAYS, NEVER, SCRATCH = "ratchet", "always replaced", "never retrained", "from scratch"
TRAINED = (RATCHET, ALWAYS, NEVER, SCRATCH)
"""The arms that train models; the others are baselines."""

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Setting:
    """Setting of a backtest. `bars` counts all bars of the series; `seconds` is the wall time of the replay."""

    series: str
    task: str
    horizon: int
    model_type: str
    policy: str
    every: int
    bars: int
    first_bar: int
    last_bar: int
    source: str
    command: str
    version: str
    seconds: float


@dataclass(frozen=True)
class TestedPair:
    """A pair tested by the gate, with the gate's results."""

    contender: int
    champion: int
    bars: int
    e_value: float
    e_value_reverse: float
    dm_p: float
    improvement_percent: Interval
    verdict: str


@dataclass(frozen=True)
class Session:
    """A training session: its version, the registry's verdict and texts, and the champion after it."""

    date: int
    session_id: str
    version: int
    verdict: str
    reason: str
    diagnosis: tuple[str, ...]
    tested: tuple[TestedPair, ...]
    promoted: int
    champion: int
    cpu_seconds: float

    @property
    def ended(self) -> str:
        """The verdict as text; names the promoted version if it is an earlier challenger."""
        verdict = self.verdict.lower().replace("_", " ")
        return f"v{self.promoted} promoted" if self.promoted not in (0, self.version) else verdict


@dataclass(frozen=True)
class Rows:
    """A window of a model: its first and last bar, and its last label time."""

    first: int
    last: int
    label_end: int
    count: int


@dataclass(frozen=True)
class Version:
    """A recorded model; `fit_label_end`: no bar up to it may score the model."""

    number: int
    parent: int
    chosen: str
    training: Rows
    tune: Rows
    choose: Rows
    holdout: Rows
    fit_label_end: int
    features: int
    patterns: tuple[str, ...]
    skill_shown: bool


@dataclass(frozen=True)
class Loop:
    """The sessions, one for each segment, and their versions."""

    sessions: tuple[Session, ...]
    versions: tuple[Version, ...]

    def version(self, number: int) -> Version:
        return next(version for version in self.versions if version.number == number)


@dataclass(frozen=True)
class Arm:
    """An arm: a rule for the forecast of each bar.

    `name`: one of TRAINED, or a baseline. `probabilities`: one for each scored bar. `versions`: the model in force in
    each segment; empty without recorded models. `cpu_seconds` of its fits; 0 for a baseline, whose fits are shared.
    """

    name: str
    probabilities: tuple[float, ...]
    versions: tuple[int, ...]
    cpu_seconds: float


@dataclass(frozen=True)
class PatternConfidence:
    """Confidence of a pattern after the session at `date`; `state` is kept, confirmed, refuted or retired."""

    date: int
    confidence: float
    low: float
    high: float
    base_rate: float
    support: int
    state: str


@dataclass(frozen=True)
class PatternHistory:
    """A pattern used by `used_by` versions, with its confidence over time."""

    id: str
    wording: str
    used_by: int
    beliefs: tuple[PatternConfidence, ...]


@dataclass(frozen=True)
class Result:
    """A whole backtest. `times` and `outcomes`: one for each scored bar, oldest first."""

    setting: Setting
    segments: tuple[Segment, ...]
    times: tuple[int, ...]
    outcomes: tuple[bool, ...]
    arms: tuple[Arm, ...]
    loop: Loop
    patterns: tuple[PatternHistory, ...]

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)


def is_baseline(name: str) -> bool:
    """Whether an arm or a forecast of this name is a baseline."""
    return name.endswith("@baseline")


def to_json(value: object) -> Json:
    """Plain data; non-finite numbers are the strings NaN, Infinity and -Infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON")


def from_json(data: Json) -> Result:
    """Parses the output of `to_json`; InvalidInput names the malformed part."""
    return _read(Result, data, "result")


def _read(kind: type[Value], data: Json, path: str) -> Value:
    """`data` as a value of a dataclass."""
    if not isinstance(data, dict):
        raise _wrong(path, "an object", data)
    hints = get_type_hints(kind)
    missing = [name for name in hints if name not in data]
    if missing:
        raise InvalidInput(f"{path} has no {missing[0]}; the file is not one that ratchet backtest wrote")
    return kind(**{name: _member(hint, data[name], f"{path}.{name}") for name, hint in hints.items()})


def _member(hint: object, data: Json, path: str) -> object:
    if get_origin(hint) is tuple:
        if not isinstance(data, list):
            raise _wrong(path, "a list", data)
        return tuple(_member(get_args(hint)[0], item, f"{path}[{number}]") for number, item in enumerate(data))
    if hint is float and (isinstance(data, int | float) or data in ("NaN", "Infinity", "-Infinity")):
        return float(data)
    if hint in (int, str, bool):
        if type(data) is not hint:
            raise _wrong(path, f"a value of type {getattr(hint, '__name__', hint)}", data)
        return data
    if isinstance(hint, type) and is_dataclass(hint):
        return _read(hint, data, path)
    raise _wrong(path, "a number", data)


def _wrong(path: str, expected: str, data: Json) -> InvalidInput:
    return InvalidInput(
        f"{path} is {str(data)[:40]!r}, not {expected}; the file is not one that ratchet backtest wrote"
    )
