"""GetChampion and ListModels in a long lineage, the log to one reader, and live delivery."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench.measured import Measured
from bench.planted_log import Clock, PlantedLog, dataset, event_ids, storage_form
from bench.speed.bare_grpc import METHOD
from bench.speed.processes import Service, bare_grpc, registry, together
from ratchet.client import Client
from ratchet.registry.v1 import registry_pb2 as pb
from services.registry.eventlog import open_log
from services.registry.projections import TABLES

SHORT, LONG = 10, 10_000
CLIENTS, EACH, PER_SECOND = 8, 150, 25
RUNS = 3
"""Of all clients: the quickest counts, which other work on the machine slowed least."""
CHAMPION_CPU, CHAMPION_P99, FLAT = 1.0, 5.0, 1.5
PAGE, PAGES, PAGE_MS = 100, 60, 10.0
READ_PER_SECOND, DELIVERY_P99, DELIVERIES = 100_000, 5.0, 400


def planted(home: Path, versions: int) -> str:
    """A home whose log has one lineage of so many versions; its name."""
    home.mkdir()
    path = home / "log.sqlite"
    made = PlantedLog(1, ("logistic",), chained=True)
    open_log(f"sqlite:///{path}", TABLES, Clock()).close()
    storage_form(path, made.requests(versions), Clock(), event_ids())
    log = open_log(f"sqlite:///{path}", TABLES, Clock())
    log.rebuild()
    log.close()
    return made.lineages[0]


@dataclass(frozen=True)
class Asker:
    """A client that asks for a champion PER_SECOND times a second; seconds of each call."""

    address: str
    lineage: str
    calls: int

    def __call__(self, number: int, ready: Callable[[], object]) -> list[float]:
        with Client(registry=self.address) as client:
            return paced(lambda: client.get_champion(self.lineage), self.calls, number, ready)


@dataclass(frozen=True)
class BareAsker:
    """The same of a method that does nothing, with as many bytes as the name of a lineage."""

    address: str
    calls: int

    def __call__(self, number: int, ready: Callable[[], object]) -> list[float]:
        with grpc.insecure_channel(self.address) as channel:
            call = channel.unary_unary(METHOD, bytes, bytes)
            return paced(lambda: call(b"S000/range/logistic"), self.calls, number, ready)


def paced(call: Callable[[], object], calls: int, seed: int, ready: Callable[[], object]) -> list[float]:
    """Seconds of each call, after a first and once all are `ready`.

    PER_SECOND of them a second, at random moments (a Poisson process): callers do not know of each other.
    """
    call()
    ready()
    chance, moment, taken = random.Random(seed), time.perf_counter(), []
    for _ in range(calls):
        moment += chance.expovariate(PER_SECOND)
        time.sleep(max(0.0, moment - time.perf_counter()))
        taken.append(seconds(call))
    return taken


def measure(folder: Path) -> Iterator[Measured]:
    names = {size: planted(folder / str(size), size) for size in (SHORT, LONG)}
    cpu: dict[int, float] = {}
    slow: dict[int, float] = {}
    for size, name in names.items():
        with registry(folder / str(size)) as service:
            cpu[size], slow[size] = _asked(service, Asker(service.address, name, EACH))
    with bare_grpc(folder) as service:
        bare, bare_slow = _asked(service, BareAsker(service.address, EACH))
    yield Measured(
        f"a call that does nothing, of gRPC for Python, {CLIENTS} clients with {CLIENTS * PER_SECOND} a second",
        f"{bare:.2f} ms of CPU, p99 {bare_slow:.1f} ms",
    )
    yield Measured.at_most(
        f"CPU of the registry for GetChampion, after {LONG:,} versions",
        f"{cpu[LONG]:.2f} ms, {cpu[LONG] / bare:.1f} times a call that does nothing",
        cpu[LONG],
        CHAMPION_CPU,
        "ms",
        why="what gRPC for Python takes is the row above. The rest enters and leaves the layers around a call (limits,"
        " time, metrics), looks at the request, reads the row and what is new of the lineage in two transactions, and"
        " makes the message.",
    )
    yield Measured.at_most(
        f"GetChampion, {CLIENTS} clients with {CLIENTS * PER_SECOND} calls a second, p99",
        f"{slow[LONG]:.1f} ms, {slow[LONG] / bare_slow:.1f} times that of calls that do nothing",
        slow[LONG],
        CHAMPION_P99,
        "ms",
        why="an answer takes the registry about 1 ms of CPU; what is longer was spent waiting for one of the cores,"
        f" which it shares with {CLIENTS} clients: calls that do nothing wait as well.",
    )
    ratio = cpu[LONG] / cpu[SHORT]
    yield Measured.at_most(
        f"its CPU after {LONG:,} versions against {SHORT}", f"{ratio:.2f} times", ratio, FLAT, "times", guarded=True
    )
    with registry(folder / str(LONG)) as service, Client(registry=service.address) as client:
        yield _page(client)
        yield from _log(client)


def _asked(service: Service, asker: Asker | BareAsker) -> tuple[float, float]:
    """CPU and p99 of a call, ms."""
    runs = [_run(service, asker) for _ in range(RUNS)]
    return min(cpu for cpu, _ in runs), min(slow for _, slow in runs)


def _run(service: Service, asker: Asker | BareAsker) -> tuple[float, float]:
    before: list[float] = []
    taken = together(CLIENTS, asker, lambda: before.append(service.cpu()))
    cpu = 1000 * (service.cpu() - before[0]) / (CLIENTS * EACH)
    return cpu, 1000 * statistics.quantiles([one for each in taken for one in each], n=100)[98]


def _page(client: Client) -> Measured:
    request = pb.ListModelsRequest(page_size=PAGE)
    ask = client._registry.ListModels
    ask(request)
    taken = 1000 * statistics.median(seconds(lambda: ask(request)) for _ in range(PAGES))
    return Measured.at_most(
        f"ListModels, a page of {PAGE} out of {LONG:,}", f"p50 {taken:.1f} ms", taken, PAGE_MS, "ms"
    )


def _log(client: Client) -> Iterator[Measured]:
    head = client.get_head().position
    for what, read in (
        ("read", lambda: sum(1 for _ in client.read_log())),
        ("subscription", lambda: _followed(client, head)),
    ):
        began = time.perf_counter()
        read()
        rate = head / (time.perf_counter() - began)
        yield Measured(
            f"log {what} of {head:,} events to one client",
            f"{rate:,.0f} events/s",
            f"at least {READ_PER_SECOND:,}",
            rate >= READ_PER_SECOND,
            ratio=rate / READ_PER_SECOND,
            why="both ends are Python on two cores: the registry reads rows and makes messages, the client takes them"
            " apart; neither waits for the other.",
        )
    late = 1000 * statistics.quantiles(_deliveries(client, head), n=100)[98]
    yield Measured.at_most(
        "an event reaches a subscriber after its append was answered, p99", f"{late:.1f} ms", late, DELIVERY_P99, "ms"
    )


def _followed(client: Client, head: int) -> None:
    for event in client.follow_log():
        if event.position >= head:
            return


def _deliveries(client: Client, head: int) -> list[float]:
    """Seconds from the answer to an append until a subscriber has its event; 0 where it came first."""
    seen: dict[int, float] = {}
    following = threading.Event()

    def follow() -> None:
        for event in client.follow_log(after=head):
            seen[event.position] = time.perf_counter()
            following.set()
            if len(seen) > DELIVERIES:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    answered: dict[int, float] = {}
    for number in range(DELIVERIES + 1):
        position = client.register_dataset(dataset("LIVE", f"{number:064x}", 900)).position
        answered[position] = time.perf_counter()
        if number == 0:
            following.wait(30)
    follower.join(60)
    return [max(0.0, seen[position] - moment) for position, moment in answered.items()][1:]


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
