"""Checkpoints by the clock while a block runs, as many with the cause as without it.

A trial without checkpoints of one kind would leave their cost out of one of its sides. A server's own clock cannot be used:
whenever WAL volume triggers a checkpoint, it starts anew, and its shortest time, 30 s, makes blocks of minutes.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from pgwatch_wed.errors import Error, said
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground, Order
from pgwatch_wed.load.proof.load_probes import NotTriedError


@dataclass(slots=True)
class CheckpointClock:
    """``moments`` are seconds after the begin; ``ended``: how many checkpoints have ended."""

    ground: Ground
    moments: tuple[float, ...]
    ended: int = 0
    failure: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Begin a checkpoint at each moment, until it is over."""
        began = time.monotonic()
        try:
            with connected(self.ground) as session:
                for moment in self.moments:
                    if self.over.wait(max(0.0, began + moment - time.monotonic())):
                        return
                    session.execute("checkpoint")
                    self.ended += 1
        except psycopg.Error as error:
            self.failure = said(error)
        except Error as error:
            self.failure = error.message

    def check(self) -> None:
        """Raise :class:`NotTriedError` if not all checkpoints have ended: other blocks may have had more."""
        if self.failure:
            raise NotTriedError(f"a checkpoint failed: {self.failure}")
        if self.ended < len(self.moments):
            raise NotTriedError(
                f"only {self.ended} of the {len(self.moments)} checkpoints that a block is to have fit into it"
            )


def clock_moments(order: Order, every_s: float) -> tuple[float, ...]:
    """Return when checkpoints begin in a block: in the middle of each cycle, of at least one."""
    cycle = min(every_s, order.seconds)
    count = int(order.seconds / cycle + 1e-9)
    return tuple(order.warmup_s + (n + 0.5) * cycle for n in range(count))


@contextmanager
def checkpoints_by_the_clock(
    ground: Ground, order: Order, every_s: float
) -> Iterator[CheckpointClock]:
    """Have them for the ``with`` block, which runs the order."""
    clock = CheckpointClock(ground, clock_moments(order, every_s))
    thread = threading.Thread(target=clock.run, daemon=True)
    thread.start()
    try:
        yield clock
    finally:
        clock.over.set()
        thread.join()
