"""A registry's log in a process of its own: three threads append to it, one follows it. It prints what it was told.

Each writer appends to a stream of its own, and races for versions of a stream that all processes write.
"""

import json
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from ratchet.errors import StreamConflict
from ratchet.transparency.keys import load_private
from services.registry.eventlog import open_log
from services.registry.eventlog.checkpoints import Signer
from tests.support.log_samples import STREAMS, append, fact

WRITERS = 3


def main(url: str, key: str, name: str, rounds: int) -> None:
    log = open_log(url, [STREAMS], lambda: datetime.now(UTC))
    log.sign_with(Signer(load_private(Path(key))))
    acknowledged: dict[str, tuple[int, ...]] = {}
    seen: list[tuple[int, str, int]] = []
    last: list[int] = []

    def write(writer: int) -> None:
        own, shared = f"session/{name}-{writer}", 0
        for number in range(1, rounds + 1):
            mine = f"{name}-{writer}-{number}"
            acknowledged[mine] = log.commit(append(mine, fact(own, 2 * number - 1), fact(own, 2 * number))).positions
            while f"{mine}-shared" not in acknowledged:
                try:
                    committed = log.commit(append(f"{mine}-shared", fact("all", shared + 1)))
                    acknowledged[f"{mine}-shared"], shared = committed.positions, shared + 1
                except StreamConflict as conflict:
                    shared = int(conflict.metadata["actual"])

    def follow() -> None:
        for events, position in log.follow(0):
            seen.extend((each.position, each.stream, each.version) for each in events)
            if last and position >= last[0]:
                return

    print("ready", flush=True)
    sys.stdin.readline()
    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    follower = threading.Thread(target=follow)
    for thread in (*threads, follower):
        thread.start()
    for thread in threads:
        thread.join()
    print("written", flush=True)
    last.append(int(sys.stdin.readline()))
    log.commit(append(f"{name}-end", fact(f"session/{name}-end", 1)))
    follower.join()
    log.close()
    print(json.dumps({"acknowledged": acknowledged, "seen": seen}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
