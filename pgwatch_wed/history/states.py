"""States of findings, acknowledgements and baselines in the history."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Object, Severity
from pgwatch_wed.history import conclusions, kept_findings, runs, turns
from pgwatch_wed.history.lifecycle import (
    Acknowledgement,
    FindingState,
    Presence,
    followed,
    named_now,
)
from pgwatch_wed.history.runs import StoredRun
from pgwatch_wed.history.schema import acknowledgements, baselines, finding_states
from pgwatch_wed.history.schema import runs as run_table
from pgwatch_wed.history.turns import Turn

# --- states ---------------------------------------------------------------------------------------


def follow(connection: sa.Connection, run: StoredRun, read: Sequence[Snapshot] = ()) -> None:
    """Bring the states up to date with a run that was concluded; with an earlier one, all of its cluster's anew.

    ``read`` are its snapshots, which tell what no longer exists.
    """
    turns.wait_for(connection, Turn.CLUSTER, run.cluster_id)
    later = sa.select(run_table.c.id).where(
        run_table.c.cluster_id == run.cluster_id,
        run_table.c.report.is_not(None),
        run_table.c.taken_at >= run.taken_at,
        run_table.c.id != run.id,
    )
    if connection.execute(later.limit(1)).scalar() is not None:
        rebuild(connection, run.cluster_id)
        return
    _follow(connection, run, states(connection, run.cluster_id), read)


def rebuild(connection: sa.Connection, cluster_id: int) -> None:
    """Reckon all states of a cluster from its runs, in the order in which they were taken."""
    turns.wait_for(connection, Turn.CLUSTER, cluster_id)
    known: tuple[FindingState, ...] = ()
    moved: dict[str, str] = {}
    for run in reversed(runs.listed(connection, cluster_id)):
        document = runs.document(connection, run)
        if document is not None:
            now = conclusions.of_json(document, f"run {run.id}")
            known, names = followed(known, now, _oids(connection, run))
            moved |= names
    _replace(connection, cluster_id, known, moved)


def _follow(
    connection: sa.Connection,
    run: StoredRun,
    before: Iterable[FindingState],
    read: Sequence[Snapshot],
) -> None:
    document = runs.document(connection, run)
    if document is None:
        return
    now = conclusions.of_json(document, f"run {run.id}")
    present = {s.server.database: s for s in read}

    def is_gone(state: FindingState) -> bool:
        snapshot = present.get(state.object.database or "")
        return snapshot is not None and state.oid is not None and _is_gone(snapshot, state)

    after, moved = followed(before, now, _oids(connection, run), is_gone)
    _replace(connection, run.cluster_id, after, moved)


_FACTS = {"table": "tables", "index": "indexes", "sequence": "sequences"}


def _is_gone(snapshot: Snapshot, state: FindingState) -> bool:
    fact = _FACTS.get(state.object.kind, "tables")
    if fact in snapshot.missing or f"{fact}:left-out" in snapshot.missing:
        return False
    return all(row.oid != state.oid for row in getattr(snapshot, fact))


def _oids(connection: sa.Connection, run: StoredRun) -> dict[str, int | None]:
    found = kept_findings.of_run(connection, run.id)
    return {each.finding_id: each.object.get("oid") for each in found}


def _replace(
    connection: sa.Connection,
    cluster_id: int,
    after: Iterable[FindingState],
    moved: Mapping[str, str],
) -> None:
    table = finding_states
    connection.execute(table.delete().where(table.c.cluster_id == cluster_id))
    rows = [_row(cluster_id, state) for state in after]
    if rows:
        connection.execute(table.insert(), rows)
    for old, new in moved.items():
        mine = acknowledgements.c.cluster_id == cluster_id
        taken = sa.select(acknowledgements.c.finding_id).where(
            mine, acknowledgements.c.finding_id == new
        )
        if connection.execute(taken).scalar() is None:
            connection.execute(
                acknowledgements.update()
                .where(mine, acknowledgements.c.finding_id == old)
                .values(finding_id=new)
            )


def _row(cluster_id: int, state: FindingState) -> dict[str, Any]:
    return {
        "cluster_id": cluster_id,
        "finding_id": state.finding_id,
        "rule": state.rule,
        "label": state.label,
        "object": {**asdict(state.object), "oid": state.oid},
        "severity": state.severity.value,
        "state": state.state.value,
        "first_seen": state.first_seen,
        "last_seen": state.last_seen,
        "resolved_at": state.resolved_at,
        "came_back_at": state.came_back_at,
        "times_resolved": state.times_resolved,
    }


def states(connection: sa.Connection, cluster_id: int) -> tuple[FindingState, ...]:
    """Return the findings of a cluster over its runs, open ones first."""
    query = sa.select(finding_states).where(finding_states.c.cluster_id == cluster_id)
    found = [of_row(row) for row in connection.execute(query)]
    order = list(Presence)
    return tuple(
        sorted(found, key=lambda s: (order.index(s.state), s.severity.rank, s.rule, s.label))
    )


def of_row(row: Any) -> FindingState:
    """Return the state that a row of the table stands for."""
    o = row.object
    about = Object(o["kind"], o["name"], o["database"], o["schema"], o["table"])
    return FindingState(
        *(row.finding_id, row.rule, row.label, about, o.get("oid"), Severity(row.severity)),
        Presence(row.state),
        row.first_seen,
        row.last_seen,
        row.resolved_at,
        row.came_back_at,
        row.times_resolved,
    )


# --- acknowledgements -----------------------------------------------------------------------------


def acknowledge(connection: sa.Connection, cluster_id: int, given: Acknowledgement) -> None:
    """Store who knows of a finding; what was said of it before is replaced."""
    turns.wait_for(connection, Turn.CLUSTER, cluster_id)
    forget(connection, cluster_id, given.finding_id)
    connection.execute(
        acknowledgements.insert().values(
            cluster_id=cluster_id,
            finding_id=given.finding_id,
            acknowledged_at=given.acknowledged_at,
            until=datetime.combine(given.until, time(), UTC) if given.until else None,
            reason=given.reason,
            name=given.name,
        )
    )


def forget(connection: sa.Connection, cluster_id: int, finding_id: str) -> bool:
    """Remove an acknowledgement; tell whether there was one."""
    table = acknowledgements
    mine = (table.c.cluster_id == cluster_id, table.c.finding_id == finding_id)
    return connection.execute(table.delete().where(*mine)).rowcount > 0


def acknowledged(
    connection: sa.Connection, cluster_id: int, read: Sequence[Snapshot] = ()
) -> tuple[tuple[Acknowledgement, FindingState | None], ...]:
    """Return the acknowledgements, each with what it is about.

    Their ids are those that the findings have in ``read``, where a relation may have another name.
    """
    known = {s.finding_id: s for s in states(connection, cluster_id)}
    names = {s.server.database: _relations(s) for s in read}
    query = sa.select(acknowledgements).where(acknowledgements.c.cluster_id == cluster_id)
    found = []
    for row in connection.execute(query.order_by(acknowledgements.c.acknowledged_at)):
        state = known.get(row.finding_id)
        id_ = row.finding_id
        if state is not None:
            id_ = named_now(state, names.get(state.object.database or "", {}))
        severity = _severity_then(connection, cluster_id, row) or (
            state.severity if state else Severity.CRITICAL
        )
        until = row.until.date() if row.until else None
        given = Acknowledgement(id_, severity, row.acknowledged_at, until, row.reason, row.name)
        found.append((given, state))
    return tuple(found)


def _relations(snapshot: Snapshot) -> dict[int, tuple[str, str]]:
    rows: tuple[Any, ...] = (*snapshot.tables, *snapshot.indexes, *snapshot.sequences)
    return {row.oid: (row.schema, row.name) for row in rows}


def _severity_then(connection: sa.Connection, cluster_id: int, row: Any) -> Severity | None:
    """Return how bad a finding was when it was acknowledged: if it becomes worse, it is told again."""
    found = kept_findings.last(connection, row.finding_id, row.acknowledged_at, cluster_id)
    return Severity(found.severity) if found else None


# --- baselines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run that has a name, and so is kept."""

    cluster_id: int
    name: str
    run_id: int
    set_at: datetime
    note: str


def set_baseline(
    connection: sa.Connection, name: str, run: StoredRun, when: datetime, note: str = ""
) -> None:
    """Give a run a name; the run that had it before loses it."""
    if not name.strip() or name.isdecimal() or _is_date(name):
        raise UsageError(
            f"{name!r} cannot be the name of a baseline", "it would be taken for a run or a date"
        )
    turns.wait_for(connection, Turn.CLUSTER, run.cluster_id)
    if not connection.execute(sa.select(run_table.c.id).where(run_table.c.id == run.id)).first():
        raise UsageError(f"run {run.id} has just been removed", "choose another run")
    drop_baseline(connection, run.cluster_id, name)
    connection.execute(
        baselines.insert().values(
            cluster_id=run.cluster_id, name=name, run_id=run.id, set_at=when, note=note
        )
    )


def _is_date(name: str) -> bool:
    try:
        datetime.fromisoformat(name)
    except ValueError:
        return False
    return True


def drop_baseline(connection: sa.Connection, cluster_id: int, name: str) -> bool:
    """Take a name away; tell whether there was one. The run stays until it is due."""
    mine = (baselines.c.cluster_id == cluster_id, baselines.c.name == name)
    return connection.execute(baselines.delete().where(*mine)).rowcount > 0


def named_runs(connection: sa.Connection) -> tuple[NamedRun, ...]:
    """Return all baselines."""
    order = (baselines.c.cluster_id, baselines.c.name)
    rows = connection.execute(sa.select(baselines).order_by(*order))
    return tuple(NamedRun(r.cluster_id, r.name, r.run_id, r.set_at, r.note) for r in rows)
