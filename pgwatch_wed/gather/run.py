"""TARGET and its standbys → snapshots, one per database, with what only a server can add to them."""

from dataclasses import dataclass, replace

import psycopg

from pgwatch_wed.errors import Error, UsageError, redact
from pgwatch_wed.facts import Cause, Missing, NodeIndexUsage, Snapshot
from pgwatch_wed.facts.delta import deltas
from pgwatch_wed.gather.enrichment import enrich
from pgwatch_wed.gather.sharing import SharedValues
from pgwatch_wed.gather.wanted import Budget, Wanted, demand
from pgwatch_wed.progress import Progress
from pgwatch_wed.target import collect as collecting
from pgwatch_wed.target import connect

Snapshots = tuple[Snapshot, ...]

_STANDBY_FACTS = ("index_usage", "databases", "checkpoints", "wal", "archiver")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was read, and what is to be evaluated: the same, or what was counted since earlier snapshots."""

    read: Snapshots
    measured: Snapshots


def gather(conninfo: str, wanted: Wanted, progress: Progress) -> Snapshots:
    """Read everything requested within the budget; the first snapshot is of TARGET's database."""
    return gathered(conninfo, wanted, progress).measured


def gathered(conninfo: str, wanted: Wanted, progress: Progress) -> Gathered:
    """Read everything requested; return it also as it was before an earlier snapshot was subtracted."""
    budget = Budget(wanted.budget_s)
    for target in wanted.standbys:
        connect.resolve(target)  # an invalid one is refused before minutes are spent
    first = collecting.collect(
        conninfo,
        limits=wanted.limits,
        budget_s=budget.left(0.7),
        progress=progress,
        demand=demand(wanted),
    )
    alike = SharedValues()
    snapshots = [(conninfo, alike.shared(first))]
    for name, other in _others(conninfo, first, wanted):
        read = _other(other, name, first, wanted, budget, progress)
        snapshots.append((other, alike.shared(read)))
    known: dict[str, Snapshot] = {}
    complete = tuple(_with_standbys(each, wanted, progress, known) for _, each in snapshots)
    earlier = wanted.since(complete)
    measured = tuple(
        snapshot if snapshot.is_partial else enrich(target, snapshot, wanted, budget, progress)
        for (target, _), snapshot in zip(snapshots, deltas(earlier, complete), strict=True)
    )
    return Gathered(complete if earlier else measured, measured)


def _others(conninfo: str, first: Snapshot, wanted: Wanted) -> list[tuple[str, str]]:
    """Return the names of the other databases that are to be read, and the conninfo of each."""
    known = {d.name for d in first.databases}
    named = [(n, t) for n, t in wanted.databases if n in known and n != first.server.database]
    if not wanted.all_databases:
        return named
    names = _other_databases(first)
    return [(name, connect.with_database(conninfo, name)) for name in names]


def _other_databases(first: Snapshot) -> list[str]:
    return [
        d.name
        for d in first.databases
        if d.allows_connections and not d.is_template and d.name != first.server.database
    ]


def _other(
    conninfo: str, name: str, first: Snapshot, wanted: Wanted, budget: Budget, progress: Progress
) -> Snapshot:
    try:
        return collecting.collect(
            conninfo,
            limits=wanted.limits,
            budget_s=budget.left(0.7),
            progress=progress,
            demand=demand(wanted),
            cluster=first,
        )
    except Error as error:
        return _unread(first, name, error)


def _unread(first: Snapshot, name: str, error: Error) -> Snapshot:
    """Return a placeholder for a database that could not be read, so that the report says so."""
    oid = next(d.oid for d in first.databases if d.name == name)
    reason = f"database {name} could not be read: {error.message}"
    lost = dict.fromkeys(collecting.ORDER, Missing(reason, error.hint, Cause.BROKEN, error.message))
    return Snapshot(
        tool_version=first.tool_version,
        server=replace(first.server, database=name, database_oid=oid),
        missing=lost,
    )


def _with_standbys(
    snapshot: Snapshot, wanted: Wanted, progress: Progress, known: dict[str, Snapshot]
) -> Snapshot:
    """Add the standbys' index counters; if those of one are missing, nothing can be called unused.

    ``known`` keeps what was read of each standby first: its server-wide facts are not read again.
    """
    nodes: list[NodeIndexUsage] = []
    for target in wanted.standbys:
        try:
            nodes.append(_standby(target, snapshot, progress, known))
        except UsageError:
            raise
        except Error as error:
            reason = f"a standby could not be read: {error.message}"
            why = Missing(reason, error.hint, Cause.BROKEN, error.message)
            return replace(snapshot, nodes=(), missing={**snapshot.missing, "nodes": why})
    return replace(snapshot, nodes=tuple(nodes)) if nodes else snapshot


def _standby(
    target: str, primary: Snapshot, progress: Progress, known: dict[str, Snapshot]
) -> NodeIndexUsage:
    """Read a standby's index counters. Raises :class:`Error` if they cannot be read."""
    conninfo = connect.with_database(connect.resolve(target), primary.server.database)
    progress("standby", 0.9)
    try:
        standby = collecting.collect(conninfo, only=_STANDBY_FACTS, cluster=known.get(target))
        if not standby.missing.keys() & set(_STANDBY_FACTS):
            known.setdefault(target, standby)
    except psycopg.Error as error:
        raise Error(f"standby: {redact(str(error))}") from None
    theirs, ours = standby.server.system_identifier, primary.server.system_identifier
    if theirs and ours and theirs != ours:
        raise UsageError(
            f"{connect.label(conninfo)} is not a standby of the target",
            "the system identifiers differ",
        )
    if "index_usage" in standby.missing:
        raise Error(
            f"standby {connect.label(conninfo)}: {standby.missing['index_usage'].reason}",
            standby.missing["index_usage"].mend,
        )
    return NodeIndexUsage(
        connect.label(conninfo), standby.now, standby.window.begins, standby.index_usage
    )
