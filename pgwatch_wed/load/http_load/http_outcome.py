"""What a load on an HTTP service was to be, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_wed.load.load_model import BLOCK_S, Block
from pgwatch_wed.load.statistics.block_percentiles import LEAST_BLOCKS

REQUEST = "request"
"""What stands in the place of a transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOrder:
    """What to run.

    ``source``: a locustfile, an OpenAPI document, or a URL, which is then all that is asked for. ``host``: the
    service's base URL, where the source does not say. ``rate``: tasks due each second, of all users together; None:
    the locustfile's own pauses decide (closed loop). ``processes``: of Locust on this machine. ``far_workers``: how
    many on other machines to wait for, at ``bind``. ``usual_block_s``: blocks are shorter if too few of them would fit.
    """

    source: str
    host: str | None = None
    users: int = 10
    rate: float | None = None
    spawn_rate: float | None = None
    seconds: float = 10.0
    timeout_s: float = 10.0
    processes: int = 1
    far_workers: int = 0
    bind: tuple[str, int] | None = None
    seed: int = 1
    usual_block_s: float = BLOCK_S
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ramp_s(self) -> float:
        """How long it takes until all users are there; it is not measured."""
        return self.users / (self.spawn_rate or self.users)

    @property
    def blocks(self) -> int:
        """How many blocks there are: of a second at least."""
        fitting = int(self.seconds / self.usual_block_s + 1e-9)
        return max(fitting, min(LEAST_BLOCKS, int(self.seconds)), 1)

    @property
    def block_s(self) -> float:
        """How long one is."""
        return self.seconds / self.blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPlan:
    """A locustfile that is there or was generated, and what is asked; ``left_out``: operations that are not, and why."""

    locustfile: Path
    host: str
    asked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOutcome:
    """What happened, without the time until all users were there.

    A request belongs to the block in which it was due, and its times stand in ``by_script`` under its name.
    """

    order: HttpOrder
    host: str
    blocks: tuple[Block, ...]
    errors: tuple[str, ...] = ()
    ended_early: str = ""
    left_out: tuple[str, ...] = ()
