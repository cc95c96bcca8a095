"""What a campaign found, as a page of markdown."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.campaign import DRAWN, MUTATED, RAW
from tests.fuzz.methods import METHODS
from tests.fuzz.run import MOST_GROWTH_MIB, Result


def page(result: Result) -> str:
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    tally = result.tally
    codes = sorted(
        {code for counted in tally.codes.values() for code in counted}, key=lambda code: (code != "OK", code)
    )
    yield f"`FUZZ_SEED={result.seed} FUZZ_REQUESTS={result.asked} make fuzz`"
    yield ""
    yield (
        f"{tally.requests:,} requests to {len(METHODS)} methods of three services, as processes on SQLite, in"
        f" {result.seconds:.0f} s from four threads: {tally.kinds[DRAWN]:,} drawn from the descriptors,"
        f" {tally.kinds[MUTATED]:,} accepted ones with fields changed, {tally.kinds[RAW]:,} of changed or random bytes."
    )
    yield ""
    yield f"| method | {' | '.join(codes)} |"
    yield f"|---|{'---:|' * len(codes)}"
    for method in METHODS:
        counted = tally.codes[method.path]
        cells = (f"{counted[code]:,}" if counted[code] else "" for code in codes)
        yield f"| {method.service.rpartition('.')[2]}/{method.name} | {' | '.join(cells)} |"
    totals = (sum(counted[code] for counted in tally.codes.values()) for code in codes)
    yield f"| all | {' | '.join(f'{total:,}' for total in totals)} |"
    yield ""
    yield "DEADLINE_EXCEEDED is how a watch stream ends that its caller leaves; for any other method it is a failure."
    yield ""
    yield "| resident MiB | before | half way | at the end | last half, at most |"
    yield "|---|---:|---:|---:|---:|"
    before, middle, end = tally.memory
    for name in before:
        yield (
            f"| {name} | {before[name]:.0f} | {middle[name]:.0f} | {end[name]:.0f} |"
            f" {end[name] - middle[name]:+.0f}, {MOST_GROWTH_MIB} |"
        )
    yield ""
    yield f"Failures: {'none' if not result.failures else ''}"
    yield from (f"- {failure}" for failure in result.failures)
    yield ""
    yield (
        "Afterwards the processes were the same, the log verified"
        f" ({result.events:,} events), and a session on newly imported bars ended with a model."
        if not result.failures
        else "See the failures above."
    )
