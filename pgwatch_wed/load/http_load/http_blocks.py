"""What Locust found, and what the machine did meanwhile → blocks, with what spoilt their times. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgwatch_wed.load.course.block_figures import OVER_CAPACITY
from pgwatch_wed.load.engine.block_validity import BlockFacts, is_over_capacity
from pgwatch_wed.load.engine.generator_machine import MachineTimes, machine_of
from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies
from pgwatch_wed.load.http_load.http_outcome import HttpOrder
from pgwatch_wed.load.http_load.locust_results import LocustBlock, LocustResults
from pgwatch_wed.load.load_model import Block, Machine, Order, Spoilt, TimeSpent
from pgwatch_wed.units import count

_NEAR_A_CORE = 0.8
_LATE_MS, _LATE_SHARE = (
    5.0,
    0.1,
)  # of the mean latency, by which Locust's own greenlets wake up late
_HUNG_S = 1.0
_WAITED = 0.1  # of the time, ready and without a CPU
_OTHERS, _PRESSURE = 0.2, 0.1
_STEAL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustKept:
    """How well Locust kept up in a block, and what the machine did; see :class:`LocustBlock`."""

    found: LocustBlock
    machine: Machine
    processes: int
    ended_early: str = ""
    over_capacity: str = ""


def http_blocks(
    results: LocustResults,
    order: HttpOrder,
    watched: Sequence[MachineTimes],
    began: float,
    ended_early: str = "",
) -> tuple[Block, ...]:
    """Return the blocks in their order; ``began`` is the first one's moment.

    An early end spoils the last one, and those whose requests may not have ended either.
    """
    ended = sum(each.seconds for each in results.blocks)
    return tuple(
        _http_block(
            each,
            order,
            began + each.began_s,
            machine_between(watched, results.first + each.began_s, each.seconds),
            results.processes,
            ended_early if each.began_s + each.seconds > ended - order.timeout_s else "",
        )
        for each in results.blocks
    )


def machine_between(watched: Sequence[MachineTimes], began: float, seconds: float) -> Machine:
    """Return what the machine did between two moments, as nearly as it was looked at."""
    before = min(watched, key=lambda times: abs(times.at - began))
    after = min(watched, key=lambda times: abs(times.at - began - seconds))
    if after.at <= before.at:
        before, after = watched[0], watched[-1]
    return machine_of(before, after, None, 1)


def _http_block(
    found: LocustBlock,
    order: HttpOrder,
    began: float,
    machine: Machine,
    processes: int,
    ended_early: str,
) -> Block:
    as_order = Order(
        scripts=(),
        clients=order.users,
        rate=order.rate,
        seconds=order.block_s,
        warmup_s=0.0,
        seed=order.seed,
        timeout_s=order.timeout_s,
    )
    over = _over_capacity(found, as_order, machine, ended_early)
    kept = LocustKept(
        found=found,
        machine=machine,
        processes=processes,
        ended_early=ended_early,
        over_capacity=over,
    )
    return Block(
        order=as_order,
        began=began,
        seconds=found.seconds,
        transactions=found.spent.service.count,
        failures=found.failures,
        retries=0,
        spent=_served(found.spent) if over else found.spent,
        by_script={n: _served(s) if over else s for n, s in found.by_name.items()},
        work=None,
        machine=machine,
        spoilt=spoilt_by(kept),
        ended_early=ended_early,
    )


def _served(spent: TimeSpent) -> TimeSpent:
    """Return times without those that only tell how long it ran."""
    return TimeSpent(latency=HdrLatencies({}), lag=HdrLatencies({}), service=spent.service)


def _over_capacity(found: LocustBlock, order: Order, machine: Machine, ended_early: str) -> str:
    facts = BlockFacts(
        order=order,
        seconds=found.seconds,
        transactions=found.spent.service.count,
        ended_inside=found.ended_inside,
        failures=found.failures,
        spent=found.spent,
        machine=machine,
        threads=1,
        least_lags_s=found.least_lags_s,
        connecting_s=None,
        is_server_visible=False,
        ended_early=ended_early,
    )
    if not is_over_capacity(facts):
        return ""
    return (
        f"Of {order.rate or 0:,.0f} requests due each second, {found.ended_inside / found.seconds:,.0f} ended with "
        f"{count(order.clients, 'user')}: the backlog grew all the time, and latency only tells how long the load ran."
    )


def spoilt_by(kept: LocustKept) -> tuple[Spoilt, ...]:
    """Return why the times are not to be believed: Locust itself warns of nothing while it starves."""
    return tuple(Spoilt(check=check, text=text) for check, text in _reasons(kept))


def _reasons(kept: LocustKept) -> Iterator[tuple[str, str]]:
    if kept.ended_early:
        yield "interrupted", f"The run ended early: {kept.ended_early}."
    if kept.over_capacity:
        yield OVER_CAPACITY, kept.over_capacity
    found = kept.found
    if found.cpu >= _NEAR_A_CORE:
        ran = count(kept.processes, "process", "processes")
        text = f"Of {ran} of Locust, one used {found.cpu:.2f} cores, and can use one: it may have been slower than the service."
        yield "generator-cpu", text
    yield from (("generator-lag", text) for text in _lagged(found))
    yield from _of_others(kept.machine, found.waited)


def _of_others(machine: Machine, waited: float | None) -> Iterator[tuple[str, str]]:
    others, pressure = machine.others_cpu, machine.pressure
    has_waited = waited is None or waited >= _WAITED / 2
    if others is not None and others >= _OTHERS and (pressure or 0.0) >= _PRESSURE and has_waited:
        who = "Other programs, or the service if it is here,"
        used = f"used {others:.1f} of {count(machine.cores, 'core')}"
        text = f"{who} {used}, and during {pressure or 0.0:.0%} of the time something waited for a CPU."
        yield "cpu-pressure", text
    if machine.steal is not None and machine.steal >= _STEAL:
        yield (
            "steal",
            f"The hypervisor took {machine.steal:.0%} of the CPU time for other machines.",
        )


def _lagged(found: LocustBlock) -> Iterator[str]:
    mean = found.spent.latency.mean() or 0.0
    if found.latest_s >= _HUNG_S:
        yield f"Locust did nothing for {found.latest_s:.1f} s, whatever the service did."
    elif found.late_ms >= max(_LATE_MS, _LATE_SHARE * mean):
        yield f"Locust's own timers were {found.late_ms:.0f} ms late, and the mean latency is {mean:.0f} ms."
    if found.waited is not None and found.waited >= _WAITED:
        yield f"Locust was ready and waited for a CPU during {found.waited:.0%} of the time."
