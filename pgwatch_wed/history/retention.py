"""How long runs are kept: all at first, then one a day, then one a month; series by the hour, then by the day.

What a run removes is bounded: a history that was left alone for a year is not cleaned up by the run of
tonight alone. Baselines stay, and so does the newest run.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

import sqlalchemy as sa

from pgwatch_wed.history import months, turns
from pgwatch_wed.history.blobs import make_whole
from pgwatch_wed.history.blobs import write as write_blobs
from pgwatch_wed.history.schema import (
    SCHEMA,
    baselines,
    blobs,
    clusters,
    collections,
    fleet_runs,
    fleet_visits,
    intervals,
    numbers,
    runs,
    snapshots,
    statement_work,
)
from pgwatch_wed.history.snapshots import hand_over
from pgwatch_wed.history.turns import Turn

_BATCH = 50
"""Runs that one call removes at most."""

_SHARE = 100
"""So many clusters are looked at at once: some 15,000 runs if all have been kept for three years."""

_LAST = 1_000

_DAY = timedelta(days=1)
_SERIES = {
    statement_work: statement_work.c.ended_at,
    numbers: numbers.c.taken_at,
}


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept for how long; ``max_bytes`` limits the size of the whole history, None does not."""

    all_for: timedelta = 2 * _DAY
    daily_for: timedelta = 100 * _DAY
    monthly_for: timedelta = 3 * 365 * _DAY
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed; ``left`` runs are due, too, but were too many for one call."""

    runs: int
    left: int


@dataclass(frozen=True, slots=True)
class _Kept:
    id: int
    cluster_id: int
    taken_at: datetime


def prune(
    connection: sa.Connection,
    clock: datetime,
    policy: Retention,
    batch: int = _BATCH,
    share: Sequence[int] | None = None,
) -> Pruned:
    """Remove runs that are due, the oldest first, and parts that no other run needs.

    ``share`` are the clusters that are looked at; by default, all are, and what is of no cluster alone. ``clock`` is this machine's. Ages are counted from the
    newest run if that is earlier: a clock that is ahead must not make everything old.
    """
    now = _moment(connection, clock)
    if now is None or not turns.is_free(connection, Turn.CLEANUP):
        return Pruned(0, 0)
    write_blobs(connection)
    if share is None:
        prune_common(connection, clock, policy)
    due = list(_due(connection, now, policy, share))
    if len(due) < batch and policy.max_bytes is not None:
        due += _too_large(connection, policy.max_bytes, {run.id for run in due}, batch - len(due))
    chosen = _held(connection, due, batch)
    _remove_parts(connection, _remove(connection, chosen))
    return Pruned(len(chosen), len(due) - len(chosen))


def prune_common(connection: sa.Connection, clock: datetime, policy: Retention) -> None:
    """Remove what is due and of no cluster alone: runs over a fleet, at most so many, and series of long ago."""
    now = _moment(connection, clock)
    if now is None or not turns.is_free(connection, Turn.CLEANUP):
        return
    _drop_months(connection, now - policy.monthly_for)
    passes = _passes_due(connection, clock, policy, _BATCH)
    _remove_parts(connection, _remove_passes(connection, passes))


def shares(connection: sa.Connection, most: int) -> Iterator[Sequence[int]]:
    """Yield clusters to look at, a few at a time and at most so many: of more, those that follow a random one.

    So what a run looks at is bounded, and all have their turn.
    """
    everyone = list(connection.execute(sa.select(clusters.c.id).order_by(clusters.c.id)).scalars())
    if len(everyone) > most:
        first = random.randrange(len(everyone))  # noqa: S311 - to spread work
        everyone = [*everyone[first:], *everyone[:first]][:most]
    return (everyone[i : i + _SHARE] for i in range(0, len(everyone), _SHARE))


def _moment(connection: sa.Connection, clock: datetime) -> datetime | None:
    """Return from when ages are counted, or None if there are no runs; what was stored last tells the newest."""
    last = sa.select(runs.c.taken_at).order_by(runs.c.id.desc()).limit(_LAST).subquery()
    newest = connection.execute(sa.select(sa.func.max(last.c.taken_at))).scalar()
    return None if newest is None else min(clock, newest)


def _held(connection: sa.Connection, due: Iterable[_Kept], most: int) -> list[int]:
    """Return runs of clusters about which nobody is writing; nobody does until the end, or names one of them a baseline."""
    is_ours: dict[int, bool] = {}
    chosen: list[int] = []
    for run in due:
        if len(chosen) == most:
            break
        if run.cluster_id not in is_ours:
            is_ours[run.cluster_id] = turns.is_free(connection, Turn.CLUSTER, run.cluster_id)
        if is_ours[run.cluster_id]:
            chosen.append(run.id)
    pinned = set(connection.execute(sa.select(baselines.c.run_id)).scalars())
    return [run for run in chosen if run not in pinned]


def size_bytes(connection: sa.Connection) -> int:
    """Return how much space the history takes; in a file, without what is free for reuse."""
    if connection.dialect.name == "postgresql":
        query = sa.text(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
            " WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind IN ('r', 'm')"
        )
        return int(connection.execute(query, {"schema": SCHEMA}).scalar() or 0)
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


# --- what is due --------------------------------------------------------------------------------


def _due(
    connection: sa.Connection, now: datetime, policy: Retention, share: Sequence[int] | None
) -> Iterator[_Kept]:
    pinned = set(connection.execute(sa.select(baselines.c.run_id)).scalars())
    due: list[_Kept] = []
    for newest_first in _runs_of(connection, share):
        due += _thinned(newest_first[1:], now, policy)
    yield from sorted((r for r in due if r.id not in pinned), key=lambda r: (r.taken_at, r.id))


def _runs_of(connection: sa.Connection, share: Sequence[int] | None) -> Iterator[list[_Kept]]:
    """Yield the runs of each cluster, or of each of some, the newest first."""
    query = sa.select(runs.c.id, runs.c.cluster_id, runs.c.taken_at)
    if share is not None:
        query = query.where(runs.c.cluster_id.in_(share))
    order = (runs.c.cluster_id, runs.c.taken_at.desc(), runs.c.id.desc())
    rows = (_Kept(*row) for row in connection.execute(query.order_by(*order)))
    for _, mine in groupby(rows, lambda run: run.cluster_id):
        yield list(mine)


def _thinned(newest_first: Iterable[_Kept], now: datetime, policy: Retention) -> Iterator[_Kept]:
    """Yield what is not the last of its day, or later of its month."""
    seen: set[str] = set()
    for run in newest_first:
        age = now - run.taken_at
        if age <= policy.all_for:
            continue
        day = run.taken_at.astimezone(UTC)
        period = f"{day:%Y-%m-%d}" if age <= policy.daily_for else f"{day:%Y-%m}"
        if age > policy.monthly_for or period in seen:
            yield run
        seen.add(period)


def _passes_due(
    connection: sa.Connection, clock: datetime, policy: Retention, most: int
) -> list[int]:
    """Return runs over a fleet that are due: like the runs of a cluster, for those that were asked for alike."""
    query = sa.select(fleet_runs.c.id, fleet_runs.c.began_at, fleet_runs.c.settings)
    rows = connection.execute(query.order_by(fleet_runs.c.began_at.desc(), fleet_runs.c.id.desc()))
    by_fleet: dict[str, list[_Kept]] = defaultdict(list)
    for row in rows:
        kind = json.dumps(row.settings, sort_keys=True)
        by_fleet[kind].append(_Kept(row.id, 0, row.began_at))
    newest = max((each[0].taken_at for each in by_fleet.values()), default=clock)
    due = [
        run.id
        for newest_first in by_fleet.values()
        for run in _thinned(newest_first[1:], min(clock, newest), policy)
    ]
    return sorted(due)[:most]


def _too_large(connection: sa.Connection, limit: int, due: set[int], most: int) -> Sequence[_Kept]:
    """Return the oldest runs whose removal brings the history below its limit, roughly."""
    size = size_bytes(connection)
    if size <= limit:
        return ()
    pinned = set(connection.execute(sa.select(baselines.c.run_id)).scalars())
    everything: list[_Kept] = []
    for newest_first in _runs_of(connection, None):
        everything += newest_first[1:]
    can_go = sorted(
        (r for r in everything if r.id not in pinned | due), key=lambda r: (r.taken_at, r.id)
    )
    share = (size - limit) / size
    return can_go[: min(most, max(1, round(share * len(can_go))))]


# --- removal ------------------------------------------------------------------------------------


def _remove_passes(connection: sa.Connection, ids: Sequence[int]) -> list[str]:
    """Remove runs over a fleet with their visits; return blobs that these referred to."""
    v = fleet_visits.c
    mine = v.fleet_run_id.in_(ids)
    query = sa.select(v.traits).where(mine, v.traits.is_not(None))
    candidates = list(connection.execute(query).scalars()) if ids else []
    if ids:
        connection.execute(fleet_visits.delete().where(mine))
        connection.execute(fleet_runs.delete().where(fleet_runs.c.id.in_(ids)))
    return candidates


def _remove(connection: sa.Connection, ids: Sequence[int]) -> list[str]:
    """Remove runs; return blobs that these referred to."""
    if not ids:
        return []
    mine = sa.select(snapshots.c.id).where(snapshots.c.run_id.in_(ids))
    used = sa.union(
        sa.select(collections.c.hash).where(collections.c.snapshot_id.in_(mine)),
        sa.select(snapshots.c.server).where(snapshots.c.run_id.in_(ids)),
        sa.select(runs.c.report).where(runs.c.id.in_(ids), runs.c.report.is_not(None)),
        sa.select(runs.c.verdicts).where(runs.c.id.in_(ids), runs.c.verdicts.is_not(None)),
        sa.select(runs.c.findings).where(runs.c.id.in_(ids), runs.c.findings.is_not(None)),
    )
    candidates = list(connection.execute(used).scalars())
    hand_over(connection, connection.execute(mine).scalars().all())
    connection.execute(collections.delete().where(collections.c.snapshot_id.in_(mine)))
    connection.execute(snapshots.delete().where(snapshots.c.run_id.in_(ids)))
    connection.execute(runs.delete().where(runs.c.id.in_(ids)))
    return candidates


def _remove_parts(connection: sa.Connection, candidates: Sequence[str]) -> None:
    """Remove blobs that nothing needs. Waits for those who are about to refer to some, which takes no longer than a commit."""
    if not candidates:
        return
    turns.wait_for(connection, Turn.PARTS)
    bases: set[str] = set()
    for part in _parts(sorted(candidates)):
        mine = sa.select(blobs.c.base).where(blobs.c.hash.in_(part), blobs.c.base.is_not(None))
        bases.update(connection.execute(mine).scalars())
        connection.execute(blobs.delete().where(blobs.c.hash.in_(part), *_unused()))
    left = {*candidates, *bases}
    while left:
        released: set[str] = set()
        for part in _parts(sorted(left)):
            query = sa.select(blobs.c.hash, blobs.c.base).where(blobs.c.hash.in_(part), *_unheld())
            for address, base in connection.execute(query).all():
                if _release(connection, address) and base is not None:
                    released.add(base)
        left = released


def _release(connection: sa.Connection, base: str) -> bool:
    """Remove what only differences need; the last of them becomes whole, which takes less than both."""
    query = sa.select(blobs.c.hash).where(blobs.c.base == base).limit(2)
    differences = list(connection.execute(query).scalars())
    if len(differences) > 1:
        return False
    for address in differences:
        make_whole(connection, address)
    connection.execute(blobs.delete().where(blobs.c.hash == base))
    return True


def _parts(addresses: Sequence[str]) -> Iterator[Sequence[str]]:
    return (addresses[i : i + 500] for i in range(0, len(addresses), 500))


def _unheld() -> tuple[sa.ColumnElement[bool], ...]:
    holders = (
        collections.c.hash,
        snapshots.c.server,
        runs.c.report,
        runs.c.verdicts,
        runs.c.findings,
        fleet_visits.c.traits,
    )
    return tuple(~sa.exists().where(column == blobs.c.hash) for column in holders)


def _unused() -> tuple[sa.ColumnElement[bool], ...]:
    differences = blobs.alias("differences")
    return (*_unheld(), ~sa.exists().where(differences.c.base == blobs.c.hash))


def _drop_months(connection: sa.Connection, before: datetime) -> None:
    """Remove the series of months of which nothing is kept any more."""
    first, _ = months.month(before)
    connection.execute(intervals.delete().where(intervals.c.ended_at < first))
    for table, column in _SERIES.items():
        if connection.dialect.name == "postgresql":
            for child in months.before(connection, table.name, first):
                connection.exec_driver_sql(f"DROP TABLE {SCHEMA}.{child}")
        else:
            connection.execute(table.delete().where(column < first))
