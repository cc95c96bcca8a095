"""Appends to a log from four threads and prints each position once it is acknowledged; until it is killed."""

import sys
import threading
from datetime import UTC, datetime

from services.registry.eventlog import open_log
from tests.support.log_samples import STREAMS, append, fact


def main(url: str, start: int) -> None:
    log = open_log(url, [STREAMS], lambda: datetime.now(UTC))

    def write(writer: int) -> None:
        for number in range(1_000_000):
            name = f"{start}-{writer}-{number}"
            positions = log.commit(append(name, fact(f"session/{name}", 1), fact(f"session/{name}", 2))).positions
            sys.stdout.write(f"{name} {positions[0]} {positions[1]}\n")
            sys.stdout.flush()

    for writer in range(4):
        threading.Thread(target=write, args=(writer,)).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
