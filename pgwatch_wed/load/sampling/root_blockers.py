"""Who is at the head of the queue that a session waits in, in one look at all of them.

``pg_blocking_pids`` names also those that are ahead in the queue and wait themselves. What these do is waiting: only who
waits for nobody tells what the time goes into.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgwatch_wed.load.sampling.session_look import SeenProcess

PREPARED_PID = 0
"""What PostgreSQL calls a prepared transaction by."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The holders that a waiter depends on. ``is_cycle``: they wait for each other."""

    pids: tuple[int, ...] = ()
    is_prepared: bool = False
    is_gone: bool = False  # one was not among the processes, or had gone on
    is_cycle: bool = False
    unasked: frozenset[int] = field(
        default_factory=frozenset
    )  # of which nobody knows whom they wait for

    @property
    def is_known(self) -> bool:
        """Tell whether there is an answer."""
        return bool(self.pids) or self.is_prepared or self.is_cycle


def roots_behind(waiter: SeenProcess, by_pid: Mapping[int, SeenProcess]) -> Roots:
    """Return what a session that waits for a lock depends on."""
    if not waiter.blocked_by:
        return Roots(is_gone=waiter.blocked_by is not None, unasked=_unasked(waiter))
    heads: dict[int, None] = {}
    unasked: set[int] = set()
    is_prepared = is_gone = False
    seen = {waiter.pid}
    ring = list(waiter.blocked_by)
    while ring:
        following: list[int] = []
        for pid in ring:
            if pid in seen:
                continue
            seen.add(pid)
            process = by_pid.get(pid)
            if pid == PREPARED_PID:
                is_prepared = True
            elif process is None:
                is_gone = True
            elif not process.waits_for_lock:
                heads[process.leader_pid or pid] = None
            elif process.blocked_by is None:
                unasked.add(pid)
            elif process.blocked_by:
                following.extend(process.blocked_by)
            else:  # it has got its lock meanwhile
                is_gone = True
        ring = following
    is_cycle = not (heads or is_prepared or is_gone or unasked)
    return Roots(tuple(heads), is_prepared, is_gone, is_cycle, frozenset(unasked))


def _unasked(waiter: SeenProcess) -> frozenset[int]:
    return frozenset() if waiter.blocked_by is not None else frozenset((waiter.pid,))


def worth_asking(by_pid: Mapping[int, SeenProcess], most: int) -> list[int]:
    """Return the waiters ahead in queues of which it has to be asked, too, whom they wait for."""
    wanted: dict[int, None] = {}
    for process in by_pid.values():
        if process.waits_for_lock and process.blocked_by:
            roots = roots_behind(process, by_pid)
            if not roots.is_known:
                wanted |= dict.fromkeys(sorted(roots.unasked))
    return list(wanted)[:most]
