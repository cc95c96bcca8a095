"""A measurement beside what is promised of it, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One row. `holds`: None where nothing is promised.

    `guarded`: a ratio or a count, which the machine's speed does not decide. `why`: where the time goes, for a promise
    that does not hold.
    """

    what: str
    result: str
    promise: str = ""
    holds: bool | None = None
    guarded: bool = False
    why: str = ""

    @classmethod
    def at_most(
        cls, what: str, result: str, value: float, limit: float, unit: str, guarded: bool = False, why: str = ""
    ) -> Measured:
        """A row that holds up to `limit`, which is in the unit of `value`."""
        return cls(what, result, f"at most {limit:g} {unit}", value <= limit, guarded, why)

    def line(self) -> str:
        holds = "" if self.holds is None else "yes" if self.holds else "**no**"
        return line((self.what, self.result, self.promise, holds))


HEADER = ("what", "measured", "promised", "holds")


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(rows: Iterable[Measured]) -> str:
    """A Markdown table, with a line's end."""
    return "\n".join([line(HEADER), line(["---"] * len(HEADER)), *(row.line() for row in rows), ""])
