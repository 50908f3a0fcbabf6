"""Blocks that nobody ran: a load whose times are computed from an order."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pgwatch_wed.findings import Coverage, Finding, Report, Target
from pgwatch_wed.load.load_model import (
    Block,
    BlockWork,
    FailureKind,
    Ground,
    Latencies,
    LoadScript,
    Machine,
    Order,
    Spoilt,
    TimeSpent,
)

GROUND = Ground(
    conninfo="host=/nowhere",
    shown="nowhere/x",
    database="x",
    server_version=180000,
    is_embedded=True,
)
ORDER = Order(scripts=(LoadScript(name="a", text="select 1;"),), clients=4, rate=100.0, seconds=1.0)


def reported(*findings: Finding) -> Report:
    """Return a report with nothing but findings."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Report(
        generated_at=moment,
        tool_version="0",
        target=Target(
            "t", "d", ("d",), "18", 180000, "r", is_in_recovery=False, system_identifier=None
        ),
        window_begins=None,
        window_ends=moment,
        window_reason="",
        coverage=Coverage(None, None, 0, None),
        verdicts=(),
        findings=findings,
    )


@dataclass(frozen=True)
class Times:
    """Exponential latencies with a mean: percentiles are known exactly."""

    center: float
    count: int

    def percentile(self, percent: float) -> float | None:
        beyond = self.count * (100 - percent) / 100
        return -self.center * math.log(1 - percent / 100) if beyond >= 10 else None

    def mean(self) -> float | None:
        return self.center

    def above(self, limit_ms: float) -> int:
        return round(self.count * math.exp(-limit_ms / self.center))

    def added(self, other: Latencies) -> Latencies:
        return self

    def encoded(self) -> str:
        return ""


def block(
    order: Order,
    ms: float,
    *,
    tps: float | None = None,
    blocks: float = 10.0,
    failed: float = 0.0,
    spoilt: tuple[str, ...] = (),
    ended_early: str = "",
    wal_bytes: int = 0,
) -> Block:
    done = int((tps or order.rate or 1000 / ms) * order.seconds)
    times = Times(ms, max(done, 1000))
    spent = TimeSpent(latency=times, lag=None, service=times)
    return Block(
        order=order,
        began=0.0,
        seconds=order.seconds,
        transactions=done,
        failures={FailureKind.ERROR: int(done * failed)} if failed else {},
        retries=0,
        spent=spent,
        by_script={},
        work=BlockWork(
            transactions=done,
            blocks_hit=int(blocks * done),
            blocks_read=0,
            temp_bytes=0,
            wal_records=0,
            wal_bytes=wal_bytes,
        ),
        machine=Machine(cores=2),
        spoilt=tuple(Spoilt(check=name, text="") for name in spoilt),
        ended_early=ended_early,
    )


@dataclass
class SimulatedLoad:
    """A runner: ``ms`` tells the latency of an order, which noise multiplies."""

    ms: Callable[[Order], float]
    noise: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        self.orders: list[Order] = []
        self.random = random.Random(self.seed)

    def __call__(self, order: Order) -> Block:
        self.orders.append(order)
        ms = self.ms(order) * math.exp(self.random.gauss(0, self.noise))
        return block(order, ms)
