"""Probes that change settings: of the load's sessions, or of a server of ours."""

import shutil
from dataclasses import replace

import psutil

from pgwatch_wed import units
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Order, QueryProtocol
from pgwatch_wed.load.proof.load_probes import NotTriedError, ProbeLever
from pgwatch_wed.load.proof.proof_bench import ProofBench, with_settings
from pgwatch_wed.load.proof.trial_metrics import PAGE_IMAGES
from pgwatch_wed.load.users.own_pooler import own_pooler

_MB = 1024**2
_MUCH_WORK_MEM = 64 * _MB
_LEAST_FACTOR = 4  # less of a change proves nothing
_CYCLES = 2  # blocks last so many cycles of what they change
_SLOWER = 4  # so many checkpoints are triggered by WAL for each one by the clock
_LEAST_CYCLE_S = 2.0
_SQL_BYTES = """
select case when unit is null then setting::numeric else pg_catalog.pg_size_bytes(setting || case unit when 'B' then ' bytes'
    when '8kB' then 'kB' else unit end) * case unit when '8kB' then 8 else 1 end end
from pg_catalog.pg_settings where name = %s
"""


def session_lever(**settings: str) -> ProbeLever:
    """Return a lever that only sets something in the sessions of the load."""
    return ProbeLever(changed=lambda order: with_settings(order, settings))


def work_mem(bench: ProofBench, order: Order) -> ProbeLever:
    """Enough memory for sorts and hashes, as far as there is memory for all clients."""
    now = units.read_size(bench.setting("work_mem", order), "k")
    wanted = max(_MUCH_WORK_MEM, _LEAST_FACTOR * now)
    if bench.has_server:
        wanted = min(wanted, psutil.virtual_memory().available // (2 * order.clients))
    if wanted < _LEAST_FACTOR * now:
        raise NotTriedError(
            f"there is not enough memory for {order.clients} clients with more than {units.size(now)} of work_mem each"
        )
    return session_lever(work_mem=f"{wanted // 1024}kB")


def jit_off(bench: ProofBench, order: Order) -> ProbeLever:
    """No just-in-time compilation."""
    if bench.setting("jit", order) == "off":
        raise NotTriedError("jit is off already")
    return session_lever(jit="off")


def planning(bench: ProofBench, order: Order) -> ProbeLever:
    """Statements that are planned once in a session."""
    if order.protocol is not QueryProtocol.PREPARED:
        return ProbeLever(changed=lambda o: replace(o, protocol=QueryProtocol.PREPARED))
    if bench.setting("plan_cache_mode", order) == "force_generic_plan":
        raise NotTriedError("statements are prepared, and have generic plans already")
    return session_lever(plan_cache_mode="force_generic_plan")


def no_flush(bench: ProofBench, order: Order) -> ProbeLever:
    """Let commits not wait for the disk."""
    if bench.setting("synchronous_commit", order) == "off":
        raise NotTriedError("synchronous_commit is off already")
    if bench.setting("fsync", order) == "off":
        raise NotTriedError("fsync is off: nothing waits for the disk")
    return session_lever(synchronous_commit="off")


def local_commit(bench: ProofBench, order: Order) -> ProbeLever:
    """Let commits wait for no standby."""
    if not bench.setting("synchronous_standby_names", order):
        raise NotTriedError("no standby is synchronous")
    return session_lever(synchronous_commit="local")


def checkpoints(bench: ProofBench, order: Order) -> ProbeLever:
    """Room for WAL, so that checkpoints begin only by the clock: in both kinds of blocks at the same moments.

    How often the WAL of the load triggers one follows from how much a block writes. The clock is slower than that, and
    faster than a server's would be, so what is proven with it is an understatement.
    """
    if not bench.has_server:
        return ProbeLever(server_settings={"max_wal_size": ""})
    limit = _bytes(bench, "max_wal_size")
    target = float(bench.setting("checkpoint_completion_target", order))
    block = bench.run_as_it_is(order)
    wal = block.work.wal_bytes if block.work is not None else None
    if not wal or block.seconds <= 0:
        raise NotTriedError("how much WAL the load writes is not known")
    rate = wal / block.seconds
    triggered_s = limit / (1 + target) / rate
    timeout_s = _seconds(bench, "checkpoint_timeout")
    every_s = max(_SLOWER * triggered_s, order.seconds / _CYCLES, _LEAST_CYCLE_S)
    if every_s > timeout_s:
        raise NotTriedError(
            f"its WAL would trigger a checkpoint every {triggered_s:,.0f} s, not much more often than"
            f" checkpoint_timeout, {timeout_s:,.0f} s, does"
        )
    least = _CYCLES * every_s
    wanted = int(_LEAST_FACTOR * max(limit, rate * max(least, order.seconds)))
    folder = bench.ground.data_directory
    if folder is not None and wanted > shutil.disk_usage(folder).free / 2:
        raise NotTriedError(f"the disk has no room for {units.size(wanted)} of WAL")
    return ProbeLever(
        server_settings={"max_wal_size": f"{wanted // _MB}MB"},
        least_block_s=least,
        # the first change of each page after a checkpoint writes the whole page
        settling_s=every_s,
        checkpoint_every_s=every_s,
        evidence=PAGE_IMAGES,
    )


def cache(bench: ProofBench, order: Order) -> ProbeLever:
    """Shared buffers for the whole database, or as much as the memory allows."""
    if not bench.has_server:
        return ProbeLever(server_settings={"shared_buffers": ""}, needs_restart=True)
    now = _bytes(bench, "shared_buffers")
    size = int(bench.one("select pg_catalog.pg_database_size(pg_catalog.current_database())") or 0)
    if size <= now:
        raise NotTriedError(
            f"the database, {units.size(size)}, fits into shared_buffers, {units.size(now)}"
        )
    wanted = min(max(_LEAST_FACTOR * now, size * 5 // 4), psutil.virtual_memory().available // 2)
    if wanted < 1.5 * now:
        raise NotTriedError(f"there is no memory for more than {units.size(now)} of shared_buffers")
    return ProbeLever(
        server_settings={"shared_buffers": f"{wanted // _MB}MB"},
        needs_restart=True,
        settling_s=order.seconds,
    )


def wal_buffers(bench: ProofBench, order: Order) -> ProbeLever:
    """Room for the WAL of many transactions."""
    if not bench.has_server:
        return ProbeLever(server_settings={"wal_buffers": ""}, needs_restart=True)
    if _bytes(bench, "wal_buffers") >= _MUCH_WORK_MEM:
        raise NotTriedError("wal_buffers is large already")
    return ProbeLever(
        server_settings={"wal_buffers": "64MB"}, needs_restart=True, settling_s=order.seconds / 2
    )


def pooler(bench: ProofBench, order: Order) -> ProbeLever:
    """Let a pooler of ours keep connections; both kinds of blocks use a protocol that any pooler knows."""
    if order.conninfo is not None:
        raise NotTriedError("the load goes through a pooler already")
    if order.settings:
        raise NotTriedError("clients of a pooler cannot have the settings that this load has")
    session = bench.hold(connected(bench.ground))
    own = bench.hold(own_pooler(session, clients=order.clients))
    protocol, _ = own.protocol(order.protocol)
    return ProbeLever(
        both=lambda o: replace(o, protocol=protocol),
        changed=lambda o: replace(o, conninfo=own.conninfo),
    )


def _seconds(bench: ProofBench, name: str) -> float:
    return float(
        bench.one(
            "select extract(epoch from pg_catalog.current_setting(%s)::pg_catalog.interval)", [name]
        )
    )


def _bytes(bench: ProofBench, name: str) -> int:
    return int(bench.one(_SQL_BYTES, [name]) or 0)
