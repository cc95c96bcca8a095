"""One run from its beginning to its end: services, corpus, campaign, and what must hold afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ratchet.registry.v1 import registry_pb2
from tests.fuzz.campaign import Campaign, Tally
from tests.fuzz.corpus import Corpus, Recorder
from tests.fuzz.wire import Wire
from tests.support.running import Running, running

SEED, REQUESTS = 20_261_123, 100_000
MOST_GROWTH_MIB = 32
"""By which a service may grow in the last half of a campaign: its log grows meanwhile, and what it keeps of it."""
SETTLED, MOST_FILLING_MIB = 50_000, 128
"""Requests after half of which every thread and cache has been used; a shorter campaign sees them being filled, and
may grow by so many MiB in all."""


@dataclass(frozen=True)
class Result:
    """`failures`: everything that must not be, in words; `events` in the log at the end."""

    tally: Tally
    seed: int
    asked: int
    seconds: float
    events: int
    failures: tuple[str, ...]


def run(home: Path, asked: int = REQUESTS, seed: int = SEED) -> Result:
    """A campaign against three services in `home`."""
    with running(home) as services:
        places = services.supervisor.endpoints
        wire = Wire(asdict(places))
        corpus = Recorder(wire).record()
        pids = services.supervisor.pids()
        started = time.monotonic()
        tally = Campaign(wire, corpus, asked, seed, pids).run()
        seconds = time.monotonic() - started
        failures = tuple(_failures(services, wire, corpus, tally, pids))
        events = services.client.get_head().position
        wire.close()
    return Result(tally, seed, asked, seconds, events, failures)


def unrecorded(corpus: Corpus) -> list[str]:
    """Methods of which no request was accepted."""
    return [path for path, requests in corpus.requests.items() if not requests]


def _failures(services: Running, wire: Wire, corpus: Corpus, tally: Tally, pids: dict[str, int]) -> Iterator[str]:
    yield from (f"no request to {path} is accepted" for path in unrecorded(corpus))
    yield from map(str, tally.failures)
    if tally.failed > len(tally.failures):
        yield f"and {tally.failed - len(tally.failures)} more requests failed"
    if services.supervisor.pids() != pids:
        yield f"a service died: the processes were {pids} and are {services.supervisor.pids()}"
    first, middle, end = tally.memory
    long = tally.requests >= SETTLED
    for name, before in (middle if long else first).items():
        if end[name] - before > (MOST_GROWTH_MIB if long else MOST_FILLING_MIB):
            yield f"the {name} grew from {before:.0f} to {end[name]:.0f} MiB{' in the last half' if long else ''}"
    afterwards = Recorder(wire, "afterwards")
    afterwards.imported("AFTER", 1400)
    ended = afterwards.trained("AFTER")
    if ended.state != registry_pb2.TRAINING_STATE_COMPLETED or not ended.model:
        yield f"a session afterwards ended otherwise: {ended}"
    verified = services.cli("log", "verify")
    if verified.returncode:
        yield f"the log does not verify: {verified.stderr}"
