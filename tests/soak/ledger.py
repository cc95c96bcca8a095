"""What the clients were told: every write that was acknowledged, every champion that was named, every checkpoint."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from ratchet.errors import Internal, RatchetError
from ratchet.transparency.checkpoints import Checkpoint


@dataclass(frozen=True)
class Write:
    """A write that was acknowledged, with the position that its answer named."""

    kind: str
    request_id: str
    position: int


@dataclass(frozen=True)
class Named:
    """A champion that was named as of a position of the log; "" where there was none."""

    lineage: str
    position: int
    champion: str


@dataclass
class Ledger:
    """Kept by many threads at once."""

    writes: list[Write] = field(default_factory=list)
    named: list[Named] = field(default_factory=list)
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict)
    sessions: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    abandoned: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def acknowledge(self, kind: str, request_id: str, position: int) -> None:
        with self.lock:
            self.writes.append(Write(kind, request_id, position))

    def begun(self, session_id: str) -> None:
        with self.lock:
            self.sessions.add(session_id)

    def name(self, lineage: str, position: int, champion: str) -> None:
        with self.lock:
            self.named.append(Named(lineage, position, champion))

    def remember(self, checkpoint: Checkpoint) -> None:
        with self.lock:
            known = self.checkpoints.setdefault(checkpoint.size, checkpoint)
            if known.root != checkpoint.root:
                self.defects.append(f"two checkpoints of size {checkpoint.size} with different roots")

    def abandon(self) -> None:
        """A write whose outcome the client never learned."""
        with self.lock:
            self.abandoned += 1

    def answered(self, error: BaseException | None) -> None:
        """An answer, or what came instead of one; an INTERNAL one, or what is no error of ours, is a defect."""
        with self.lock:
            self.answers["OK" if error is None else getattr(error, "reason", type(error).__name__)] += 1
            if error is not None and (not isinstance(error, RatchetError) or type(error) in (Internal, RatchetError)):
                self.defects.append(f"a client was answered {type(error).__name__}: {error}")
