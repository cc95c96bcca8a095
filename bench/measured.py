"""A measurement beside what is promised of it, and tables of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One row. `holds`: None where nothing is promised.

    `guarded`: a ratio or a count, which the machine's speed does not decide. `why`: where the time goes, for a promise
    that does not hold. `ratio`: what was measured, by what was promised.
    """

    what: str
    result: str
    promise: str = ""
    holds: bool | None = None
    guarded: bool = False
    why: str = ""
    ratio: float | None = None

    @classmethod
    def at_most(
        cls, what: str, result: str, value: float, limit: float, unit: str, guarded: bool = False, why: str = ""
    ) -> Measured:
        """A row that holds up to `limit`, which is in the unit of `value`."""
        return cls(what, result, f"at most {limit:g} {unit}", value <= limit, guarded, why, value / limit)

    @property
    def held(self) -> str:
        return "" if self.holds is None else "yes" if self.holds else "**no**"

    def line(self) -> str:
        return line((self.what, self.result, self.promise, self.held))


HEADER = ("what", "measured", "promised", "holds")


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
