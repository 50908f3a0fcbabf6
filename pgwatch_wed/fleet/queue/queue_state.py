"""What the queue is at: runs, workers, and visits of which nothing is heard."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed import assets
from pgwatch_wed.fleet.queue.queue_tables import has_queue, queue_cursor
from pgwatch_wed.history.store import Store


@dataclass(frozen=True, slots=True)
class RunState:
    """A fleet run; ``endings`` counts its visits by the way in which they ended."""

    id: int
    began_at: datetime
    ended_at: datetime | None
    engine: str
    members: int
    waiting: int
    under_way: int
    endings: dict[str, int]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker: how many members its inventory has, for how many seconds it has been silent, and what it does."""

    name: str
    began_at: datetime
    concurrency: int
    members: int
    silent_s: float
    under_way: int


@dataclass(frozen=True, slots=True)
class SilentVisit:
    """A visit under way of which nothing has been heard for ``silent_s`` seconds."""

    fleet_run: int
    member: str
    worker: str
    attempts: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class QueueState:
    """What `fleet status` shows; all ages by the clock of the history's server."""

    runs: tuple[RunState, ...]
    workers: tuple[WorkerState, ...]
    stalled: tuple[SilentVisit, ...]


def queue_state(opened: Store, lost_after_s: float, limit: int) -> QueueState:
    """Return the state of the newest runs, and of workers; stalled is what was silent for ``lost_after_s``."""
    if opened.place.kind != "server":  # an empty one stands for a history that has yet to begin
        return QueueState((), (), ())
    given = {"limit": limit, "lost_after": timedelta(seconds=lost_after_s)}
    with opened.reading() as connection, queue_cursor(connection) as cursor:
        runs = cursor.execute(_text("runs.sql"), given).fetchall()
        stalled = cursor.execute(_text("silent_visits.sql"), given).fetchall()
        workers = cursor.execute(_text("workers.sql")).fetchall() if has_queue(cursor) else []
    return QueueState(
        tuple(RunState(**{**run, "endings": dict(Counter(run["endings"] or ()))}) for run in runs),
        tuple(WorkerState(**worker) for worker in workers),
        tuple(SilentVisit(**visit) for visit in stalled),
    )


def _text(name: str) -> bytes:
    return assets.text("sql", "queue", name).encode()
