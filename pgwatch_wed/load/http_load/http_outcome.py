"""What a load on an HTTP service was to be, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_wed.load.load_model import FailureKind, Machine, Spoilt, TimeSpent


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOrder:
    """What to run.

    ``source``: a locustfile, an OpenAPI document, or a URL, which is then all that is asked for. ``host``: the
    service's base URL, where the source does not say. ``rate``: tasks due each second, of all users together; None:
    the locustfile's own pauses decide (closed loop). ``processes``: of Locust on this machine. ``far_workers``: how
    many on other machines to wait for, at ``bind``.
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
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ramp_s(self) -> float:
        """How long it takes until all users are there; it is not measured."""
        return self.users / (self.spawn_rate or self.users)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPlan:
    """A locustfile that is there or was generated, and what is asked; ``left_out``: operations that are not, and why."""

    locustfile: Path
    host: str
    asked: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOutcome:
    """What happened, without the time until all users were there. ``latency`` counts from the intended start."""

    order: HttpOrder
    host: str
    seconds: float
    requests: int  # that succeeded
    failures: Mapping[FailureKind, int]
    spent: TimeSpent
    by_name: Mapping[str, TimeSpent]
    machine: Machine
    errors: tuple[str, ...] = ()
    spoilt: tuple[Spoilt, ...] = ()
    ended_early: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def attempts(self) -> int:
        """Requests that were due, whatever became of them."""
        return self.requests + sum(self.failures.values())

    @property
    def rps(self) -> float:
        """Requests a second that succeeded."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0
