"""Whether the times of a block can be believed: facts of a block → what spoilt it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pgwatch_wed import units
from pgwatch_wed.load.engine.pgbench_scripts import sleeps
from pgwatch_wed.load.load_model import FailureKind, Machine, Order, Spoilt, TimeSpent, Watched
from pgwatch_wed.units import count

_GROWN = 0.05  # of the time of a block: a lag of that much that only grew is a backlog
_GROWN_AT_LEAST_S = 0.05
_MEASURED = 0.9  # of the time that was ordered
_NEAR_A_CORE = 0.8  # of a thread's time
_LAG, _LAG_AT_LEAST_MS = 0.1, 0.1  # of the mean latency, for which pgbench waited for a CPU
_LATE, _LATE_MS, _FREE = 0.1, 1.0, 0.5  # of the median latency; the share of busy clients
_OTHERS, _PRESSURE = 0.2, 0.1  # cores; of the time
_OTHERS_WITHOUT_PRESSURE = 0.5  # of all cores, where it is not known who waits
_STEAL = 0.02
_SAMPLES_PER_S = 10
_ROUND_TRIP_S = 0.0005  # of a transaction, between pgbench and the server
_TENTH = 0.1
_GAP_AT_LEAST_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFacts:
    """What is known of a block. ``least_lags_s``: the shortest lag in each fifth of the measured part."""

    order: Order
    seconds: float
    transactions: int
    ended_inside: int
    failures: Mapping[FailureKind, int]
    spent: TimeSpent
    machine: Machine
    threads: int
    least_lags_s: tuple[float | None, ...]
    connecting_s: float | None
    is_server_visible: bool
    watched: Watched | None = None
    ended_early: str = ""


def spoilt(facts: BlockFacts) -> tuple[Spoilt, ...]:
    """Return everything that makes the times of a block unfit to be evaluated."""
    return tuple(_found(facts))


def _found(facts: BlockFacts) -> Iterator[Spoilt]:
    for check in _CHECKS:
        text = check(facts)
        if text:
            yield Spoilt(check=check.__name__.lstrip("_").replace("_", "-"), text=text)


def _interrupted(facts: BlockFacts) -> str:
    return f"The block ended early: {facts.ended_early}." if facts.ended_early else ""


def _connecting(facts: BlockFacts) -> str:
    order = facts.order
    if facts.ended_early or facts.seconds >= _MEASURED * order.seconds:
        return ""
    took = "a long time" if facts.connecting_s is None else f"{facts.connecting_s:.1f} s"
    return f"Connecting took {took}, which left {facts.seconds:.1f} s of {units.short(order.seconds)} s."


def _over_capacity(facts: BlockFacts) -> str:
    if not is_over_capacity(facts):
        return ""
    order = facts.order
    return (
        f"Of {order.rate:,.0f} transactions due each second, {facts.ended_inside / facts.seconds:,.0f} "
        f"ended with {count(order.clients, 'client')}: the backlog grew all the time, and latency only tells "
        "how long the block ran."
    )


def _generator_cpu(facts: BlockFacts) -> str:
    used, waited = facts.machine.generator_cpu, facts.machine.generator_pressure or 0.0
    if used is None:
        return ""
    share = used / facts.threads + waited
    if share < _NEAR_A_CORE:
        return ""
    return (
        f"pgbench, with {count(facts.threads, 'thread')}, ran or waited for a CPU during {min(share, 1.0):.0%} of "
        "the time: it may have been slower than the server."
    )


def _generator_lag(facts: BlockFacts) -> str:
    """In an open loop only: a closed loop shares the machine on purpose, and its latency is not evaluated."""
    if not facts.order.is_open or is_over_capacity(facts):
        return ""
    return _waited_for_a_cpu(facts) or _began_late(facts)


def _waited_for_a_cpu(facts: BlockFacts) -> str:
    mean, pressure = facts.spent.latency.mean(), facts.machine.generator_pressure
    if mean is None or pressure is None or not facts.ended_inside:
        return ""
    each = 1000 * pressure * facts.threads * facts.seconds / facts.ended_inside
    if each < max(_LAG_AT_LEAST_MS, _LAG * mean):
        return ""
    return f"pgbench waited for a CPU for {each:.2f} ms of each transaction, whose mean latency is {mean:.2f} ms."


def _began_late(facts: BlockFacts) -> str:
    """If clients were free, a transaction begins on time, unless pgbench did not get to it."""
    lag, latency, service = facts.spent.lag, facts.spent.latency, facts.spent.service.mean()
    if lag is None or service is None or facts.order.reconnects:
        return ""
    late, median = lag.percentile(50), latency.percentile(50)
    busy = service / 1000 * facts.ended_inside / facts.seconds / facts.order.clients
    if late is None or median is None or busy > _FREE or late < max(_LATE_MS, _LATE * median):
        return ""
    return f"Half of the transactions began more than {late:.1f} ms late, although most clients were free."


def _cpu_pressure(facts: BlockFacts) -> str:
    machine = facts.machine
    others, pressure = machine.others_cpu, machine.pressure
    if others is None or others < _OTHERS:
        return ""
    who = (
        "Other programs"
        if facts.is_server_visible
        else "Other programs, or the server if it is here,"
    )
    used = f"{who} used {others:.1f} of {count(machine.cores, 'core')}"
    if pressure is None:
        return f"{used}." if others >= _OTHERS_WITHOUT_PRESSURE * machine.cores else ""
    if pressure < _PRESSURE:
        return ""
    return f"{used}, and during {pressure:.0%} of the time something waited for a CPU."


def _steal(facts: BlockFacts) -> str:
    steal = facts.machine.steal
    if steal is None or steal < _STEAL:
        return ""
    return f"The hypervisor took {steal:.0%} of the CPU time for other machines."


def _littles_law(facts: BlockFacts) -> str:
    """Rate × time in the server = sessions in a transaction, whatever the distribution."""
    watched = facts.watched or Watched()
    seen, mean = watched.busy_sessions, facts.spent.service.mean()
    if seen is None or mean is None or facts.seconds <= 0 or not _obeys_the_law(facts):
        return ""
    rate = facts.ended_inside / facts.seconds
    expected = rate * mean / 1000
    # samples that saw nobody have no spread, and yet their number is limited
    doubt = 2 * max(
        watched.busy_error or 0.0, math.sqrt(expected / (_SAMPLES_PER_S * facts.seconds))
    )
    outside = rate * _ROUND_TRIP_S
    if abs(expected - seen) <= max(_TENTH * expected, doubt) + outside:
        return ""
    return (
        f"{rate:,.0f} transactions a second of {mean:.1f} ms make {expected:.1f} busy sessions, and "
        f"{seen:.1f} were seen: part of the latency did not arise in the server, or samples are missing."
    )


def _obeys_the_law(facts: BlockFacts) -> bool:
    """Pauses and connecting are in the latency, but no session is in a transaction; of failures, it is not known."""
    failed = sum(facts.failures.values()) - facts.failures.get(FailureKind.SKIPPED, 0)
    return not (
        facts.order.reconnects
        or facts.ended_early
        or sleeps(facts.order.scripts)
        or failed > _TENTH * facts.ended_inside
    )


def _sampler_gaps(facts: BlockFacts) -> str:
    gap = (facts.watched or Watched()).largest_gap_s
    if gap is None or gap < max(_GAP_AT_LEAST_S, _TENTH * facts.seconds):
        return ""
    return f"No sample was taken for {gap:.1f} s of {facts.seconds:.1f} s: this machine or the server hung."


_CHECKS = (
    _interrupted,
    _connecting,
    _over_capacity,
    _generator_cpu,
    _generator_lag,
    _cpu_pressure,
    _steal,
    _littles_law,
    _sampler_gaps,
)


def is_over_capacity(facts: BlockFacts) -> bool:
    """Tell whether more was due all the time than was served, so that the backlog only grew.

    Then no transaction begins on time, and each part of the block begins later than the one before. A stall is
    different: before it, or after it, transactions begin on time.
    """
    rate = facts.order.rate
    if (
        rate is None
        or facts.ended_early
        or facts.seconds <= 0
        or rate * facts.seconds < 5 * len(facts.least_lags_s)
    ):
        return False
    lags = [math.inf if lag is None else lag for lag in facts.least_lags_s]
    grows = all(a < b or a == b == math.inf for a, b in pairwise(lags))
    return grows and lags[-1] > max(_GROWN * facts.seconds, _GROWN_AT_LEAST_S)
