"""What is done to take a cause away for a while. A probe is never advice: what is recommended stands in the remedy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from pgwatch_wed.findings import Remedy
from pgwatch_wed.load.load_model import Order

if TYPE_CHECKING:
    from pgwatch_wed.load.proof.proof_bench import ProofBench


class LoadProbeKind(StrEnum):
    """What is done. A finding and a cause that lead to the same probe are tried once."""

    INDEX = "index"
    INDEX_ABSENT = "index made absent"
    WORK_MEM = "work_mem"
    JIT = "jit"
    PLANNING = "planning"
    FLUSH = "flush"
    REPLICATION = "synchronous replication"
    CHECKPOINTS = "checkpoints"
    CACHE = "shared_buffers"
    WAL_BUFFERS = "wal_buffers"
    STATISTICS = "statistics"
    REBUILD = "rebuild"
    POOLER = "pooler"
    SPREADING = "spreading"
    NONE = "none"  # nothing is known that takes the cause away


NEVER_ADVICE = frozenset({LoadProbeKind.FLUSH, LoadProbeKind.REPLICATION, LoadProbeKind.SPREADING})
"""These cost durability, or are not a change that anybody could make: they only show where the time goes."""


class NotTriedError(Exception):
    """A probe that cannot be tried here; the text says why."""


def as_it_is(order: Order) -> Order:
    """Return an order unchanged."""
    return order


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLever:
    """How a cause is taken away and put back.

    SQL: ``set_up`` and ``clean_up`` stand around the whole trial, ``take_away`` and ``put_back`` around the blocks without
    the cause; each is one transaction, and the second of both undoes the first. ``after_set_up`` runs outside of
    transactions. ``changed`` gives the order without the cause, ``both`` what both orders have in common.
    ``server_settings`` need a server of ours: a reload, or a restart.
    A block lasts ``least_block_s`` at least; after a switch, the first ``settling_s`` do not count.
    ``checkpoint_every_s``: in both kinds of blocks, a checkpoint begins so often. ``evidence`` is the work that must become
    less, or the trial proves nothing.
    """

    set_up: tuple[str, ...] = ()
    after_set_up: tuple[str, ...] = ()
    take_away: tuple[str, ...] = ()
    put_back: tuple[str, ...] = ()
    clean_up: tuple[str, ...] = ()
    changed: Callable[[Order], Order] = as_it_is
    both: Callable[[Order], Order] = as_it_is
    server_settings: Mapping[str, str] = field(default_factory=dict)
    needs_restart: bool = False
    least_block_s: float = 0.0
    settling_s: float = 0.0
    checkpoint_every_s: float = 0.0
    evidence: str = ""


PreparedLever = Callable[["ProofBench", Order], ProbeLever]
"""Prepares a lever for an order, or raises :class:`NotTriedError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProbe:
    """A probe of a cause, of findings, or of both.

    ``tried`` says what is done, in one clause. ``share`` of DB time is the most that the removal can save.
    """

    kind: LoadProbeKind
    about: str  # the object or setting that distinguishes it from others of its kind
    tried: str
    cause: str
    lever: PreparedLever
    share: float | None = None
    findings: tuple[str, ...] = ()  # their ids
    remedy: tuple[Remedy, ...] = ()

    @property
    def key(self) -> tuple[LoadProbeKind, str]:
        """What tells it apart."""
        return self.kind, self.about
