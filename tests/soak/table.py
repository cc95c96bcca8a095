"""The result of a soak as a table in Markdown."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from tests.soak.run import Soaked

FAULTS = {
    "kill": "killed (SIGKILL)",
    "restart": "restarted (SIGTERM)",
    "pause": "paused (SIGSTOP, SIGCONT)",
    "worker": "killed (SIGKILL)",
}


def markdown(found: Soaked) -> str:
    rows = [("what", "count"), ("---", "---:"), *_rows(found)]
    lines = [f"| {name} | {value} |" for name, value in rows]
    verdict = "everything held" if not found.findings else "it does not hold:"
    command = f"    SOAK_SECONDS={found.asked:g} SOAK_SEED={found.seed} make soak"
    return "\n".join([command, "", *lines, "", verdict, *(f"- {each}" for each in found.findings), ""])


def _rows(found: Soaked) -> Iterator[tuple[str, str]]:
    yield "seconds, with the end of open sessions and the checks", f"{found.seconds:.0f}"
    yield "cores", str(os.cpu_count())
    for (kind, victim), count in sorted(found.faults.items(), key=lambda fault: (fault[0][1], fault[0][0])):
        yield f"{victim}: {FAULTS[kind]}", str(count)
    yield "sessions ended, each once", _all(found.sessions)
    yield "writes acknowledged, each found at its position", _all(found.writes)
    yield "writes given up with an unknown outcome, there once or not", str(found.abandoned)
    yield "answers to clients", _all(found.answers)
    yield "champions as of a position, each as the log has it", str(found.named)
    yield "checkpoints remembered meanwhile, each continued", str(found.checkpoints)
    yield "events in the log, verified", str(found.events)
    yield "artifacts that nothing refers to, listed", str(found.orphans)
    yield "most memory, MiB", ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(found.memory.items()))


def _all(counts: Counter[str]) -> str:
    return f"{counts.total()}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())
