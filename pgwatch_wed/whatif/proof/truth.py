"""What a verification found: times and buffers of queries that really ran on a copy."""

from dataclasses import dataclass

from pgwatch_wed.whatif.model import Candidate, Rejected
from pgwatch_wed.whatif.proof.call_trial import FACTOR, CallWork, blocks_apart


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """How to measure. ``timeout_s`` limits one run of one query, ``seconds`` all of them, and the choice of their values."""

    repetitions: int = 3
    timeout_s: float = 60.0
    seconds: float = 1800.0
    measure_all: bool = False


@dataclass(frozen=True, slots=True)
class QueryTruth:
    """A query without and with the kept set: the best run of each, in ms, and the blocks touched.

    Both are averages over ``sets`` of values; ``worst`` is how many times as long it takes with those of them for which
    the indexes do least. ``there_buffers`` are the blocks of a call in production, if they were counted.
    """

    name: str
    before_ms: float
    after_ms: float
    before_buffers: int
    after_buffers: int
    weight: float
    indexes: tuple[str, ...]
    sets: int = 1
    worst: float = 1.0
    there_buffers: float | None = None

    @property
    def is_alike(self) -> bool:
        """Whether calls on the copy touch as many blocks as production's, as far as is known."""
        if self.there_buffers is None:
            return True
        here, there = (
            CallWork(0, blocks, 0) for blocks in (self.before_buffers, self.there_buffers)
        )
        return blocks_apart(here, there) <= FACTOR


@dataclass(frozen=True, slots=True)
class IndexTruth:
    """A built index. ``bought_ms``: how much longer the workload takes without it; None: not measured."""

    index: Candidate
    ddl: str
    size_bytes: int
    build_seconds: float
    bought_ms: float | None


@dataclass(frozen=True, slots=True)
class Loser:
    """An index of the set that is not recommended after all."""

    index: Candidate
    ddl: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The results for a set. Totals are weighted, and only over ``queries``.

    ``clock`` is ``cpu`` (of the server process) or ``elapsed``. ``unchanged`` counts queries
    whose plan is the same with the set, and which were therefore not run.
    """

    copy: str
    clock: str
    repetitions: int
    before_ms: float
    after_ms: float
    queries: tuple[QueryTruth, ...]
    indexes: tuple[IndexTruth, ...]
    losers: tuple[Loser, ...]
    not_run: tuple[Rejected, ...]
    unchanged: int
    notes: tuple[str, ...] = ()
