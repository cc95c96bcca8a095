"""The campaign: requests of three kinds from a few threads, what came of them, and what the services cost meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

import psutil
from google.protobuf.message import Message

from tests.fuzz import strategies
from tests.fuzz.corpus import Corpus
from tests.fuzz.honesty import honest
from tests.fuzz.methods import METHODS, Method
from tests.fuzz.mutation import Mutator
from tests.fuzz.wire import Answered, Wire

THREADS = 4
DRAWN, MUTATED, RAW = "drawn", "mutated", "raw bytes"
SHARES = {DRAWN: 0.15, MUTATED: 0.60, RAW: 0.25}
"""Of the requests."""

ACTORS = ("fuzzer",) * 20 + ("ann@desk", "x" * 200)
FAILURES = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "UNIMPLEMENTED", "DEADLINE_EXCEEDED", "CANCELLED"})
"""No request may end so; but a watch stream may outlast its deadline."""

KEPT_FAILURES = 50


@dataclass(frozen=True)
class Failure:
    """A request that ended as none may."""

    method: str
    kind: str
    answered: Answered
    bodies: Sequence[bytes]

    def __str__(self) -> str:
        sent = ", ".join(body[:200].hex() for body in self.bodies[:3])
        return f"{self.method} ({self.kind}): {self.answered.code} {self.answered.details[:300]}; sent {sent}"


@dataclass
class Tally:
    """What came of the requests. `memory`: resident MiB of each process at the beginning, in the middle, at the end."""

    codes: dict[str, Counter[str]] = field(default_factory=lambda: {each.path: Counter() for each in METHODS})
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    memory: list[Mapping[str, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        return sum(self.kinds.values())

    def add(self, method: Method, kind: str, bodies: Sequence[bytes], answered: Answered) -> None:
        failed = answered.code in FAILURES and not (method.waits and answered.code == "DEADLINE_EXCEEDED")
        with self.lock:
            self.codes[method.path][answered.code] += 1
            self.kinds[kind] += 1
            self.failed += failed
            if failed and len(self.failures) < KEPT_FAILURES:
                self.failures.append(Failure(method.path, kind, answered, bodies))


class Campaign:
    """Sends `count` requests; the same number draws the same ones, in each thread in the same order."""

    def __init__(self, wire: Wire, corpus: Corpus, count: int, number: int, pids: Mapping[str, int]) -> None:
        self._wire, self._corpus, self._count, self._number = wire, corpus, count, number
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self.tally = Tally()

    def run(self) -> Tally:
        self._measure()
        for half in range(2):
            with ThreadPoolExecutor(THREADS) as threads:
                share = self._count // 2 // THREADS
                for result in [threads.submit(self._work, half * THREADS + i, share) for i in range(THREADS)]:
                    result.result()
            self._measure()
        return self.tally

    def _measure(self) -> None:
        self.tally.memory.append({name: process.memory_info().rss / 2**20 for name, process in self._processes.items()})

    def _work(self, worker: int, count: int) -> None:
        random = Random(f"{self._number}/{worker}")
        mutator = Mutator(self._corpus, random)
        drawn = self._drawn(worker, count, random)
        for kind in random.choices(list(SHARES), list(SHARES.values()), k=count):
            sent = False
            while not sent:
                if kind == DRAWN and (found := next(drawn, None)) is not None:
                    sent = self._send(*found, kind, None, random)
                    continue
                method = random.choices(METHODS, [each.weight for each in METHODS])[0]
                messages = random.choice(self._corpus.of(method))
                if method.client_streams:
                    messages = mutator.pieces(messages)
                else:
                    messages = [mutator.changed(messages[0], random.choice((0, 1, 1, 1, 2, 3)))]
                sent = self._send(method, messages, kind, mutator.bytes_of if kind == RAW else None, random)

    def _drawn(self, worker: int, count: int, random: Random) -> Iterator[tuple[Method, list[Message]]]:
        """What hypothesis draws for this worker: each method in its share."""
        wanted = Counter(random.choices(METHODS, [each.weight for each in METHODS], k=int(count * SHARES[DRAWN] * 1.1)))
        for method, number in wanted.items():
            found: list[Message] = []
            strategies.drawn(method.request, self._corpus.words, number, self._number + worker, found.append)
            yield from ((method, [message]) for message in found[:number])

    def _send(
        self,
        method: Method,
        messages: Sequence[Message],
        kind: str,
        spoil: Callable[[bytes], bytes] | None,
        random: Random,
    ) -> bool:
        """Whether it was sent."""
        bodies = [message.SerializeToString() for message in messages]
        if spoil is not None and bodies:
            at = random.randrange(len(bodies))
            bodies[at] = spoil(bodies[at])
        if not honest(method, bodies, self._corpus):
            return False
        self.tally.add(method, kind, bodies, self._wire.call(method, bodies, random.choice(ACTORS)))
        return True
