"""Runs in the history: what was read at one time, and what was concluded from it."""

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Sequence as Listed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Object, Report
from pgwatch_wed.history import (
    advice,
    blobs,
    following,
    identity,
    kept_findings,
    kept_verdicts,
    series,
    settling,
    snapshots,
    turns,
)
from pgwatch_wed.history.kept_findings import KeptFinding
from pgwatch_wed.history.kept_verdicts import KeptVerdict
from pgwatch_wed.history.schema import baselines, runs
from pgwatch_wed.history.turns import Turn


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is to be stored: the snapshots as they were read, one per database, of one server.

    ``document`` is the JSON report; both it and ``report`` are None if nothing was evaluated. ``earlier`` are the clusters
    that were read under the same name, the last one first; see :func:`identity.hold`.
    """

    snapshots: Listed[Snapshot]
    report: Report | None = None
    document: str | None = None
    earlier: Listed[int] = ()


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A stored run."""

    id: int
    cluster_id: int
    taken_at: datetime
    fingerprint: str
    label: str
    tool_version: str
    server_version: str
    report: str | None
    verdicts: str | None = None
    findings: str | None = None


def add(connection: sa.Connection, new: NewRun) -> tuple[StoredRun, bool]:
    """Store a run; return it, and whether it is new. The same run is stored once."""
    fingerprint = _fingerprint(new.snapshots)
    first = new.snapshots[0]
    known = _select(connection, runs.c.fingerprint == fingerprint)
    if not known:
        cluster_id = identity.hold(connection, first, new.earlier)
        known = _select(connection, runs.c.fingerprint == fingerprint)
    if known:
        return known[0], False
    owner = identity.register(connection, first, cluster_id)
    run = _row(connection, first, fingerprint, owner.cluster_id)
    for snapshot in new.snapshots:
        whose = (
            owner
            if snapshot is first
            else identity.register(connection, snapshot, owner.cluster_id)
        )
        stored = snapshots.add(connection, snapshot, run.id, whose.cluster_id, whose.database_id)
        series.write(connection, stored, snapshot)
        following.follow(connection, stored, snapshot)
    if new.report is not None and new.document is not None:
        run = conclude(connection, run, new.report, new.document, new.snapshots)
    return run, True


def _fingerprint(read: Listed[Snapshot]) -> str:
    """Identify what was read: the same session cannot have begun twice at the same microsecond."""
    parts = [
        f"{s.server.system_identifier} {s.server.database_oid} {s.now.astimezone(UTC).isoformat()}"
        f" {s.server.backend_pid} {s.server.is_in_recovery}"
        for s in read
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _row(
    connection: sa.Connection, first: Snapshot, fingerprint: str, cluster_id: int
) -> StoredRun:
    values: dict[str, Any] = {
        "cluster_id": cluster_id,
        "taken_at": first.now,
        "fingerprint": fingerprint,
        "label": f"{identity.label_of(first)}/{first.server.database}",
        "tool_version": first.tool_version,
        "server_version": first.server.version,
        "report": None,
    }
    key = connection.execute(runs.insert().values(**values)).inserted_primary_key
    assert key is not None
    return StoredRun(id=int(key[0]), **values)


def conclude(
    connection: sa.Connection,
    run: StoredRun,
    report: Report,
    document: str,
    read: Listed[Snapshot],
) -> StoredRun:
    """Store what was concluded from a run, unless something has been."""
    turns.wait_for(connection, Turn.CLUSTER, run.cluster_id)
    again = _select(connection, runs.c.id == run.id)
    if not again:
        raise HistoryError(f"run {run.id} has been removed since it was stored")
    if again[0].report is not None:
        return again[0]
    content = document.encode("utf-8", "surrogatepass")
    before = _concluded_before(connection, run)
    judged = {v.rule: KeptVerdict(v.area, v.verdict.value, v.reason) for v in report.verdicts}
    relations = _relations(read)
    found = [_finding(each, relations) for each in report.findings]
    values: dict[str, Any] = {
        "label": report.target.label,
        "report": blobs.put(connection, content, before.report if before else None),
        "verdicts": kept_verdicts.put(connection, judged, before.verdicts if before else None),
        "findings": kept_findings.put(connection, found, before.findings if before else None),
    }
    concluded = replace(run, **values)
    connection.execute(runs.update().where(runs.c.id == run.id).values(**values))
    _conclude(connection, run, report, read)
    return concluded


def _concluded_before(connection: sa.Connection, run: StoredRun) -> StoredRun | None:
    """Return the last run of the same server from which something was concluded, or else of any other."""
    is_judged = runs.c.report.is_not(None)
    earlier = (runs.c.cluster_id == run.cluster_id, runs.c.taken_at < run.taken_at)
    found = _select(connection, *earlier, is_judged, limit=1)
    if found:
        return found[0]
    other = sa.select(runs).where(is_judged).order_by(runs.c.id.desc()).limit(1)
    row = connection.execute(other).first()
    return None if row is None else StoredRun(**row._mapping)  # noqa: SLF001 - public, in spite of its name


def _conclude(
    connection: sa.Connection, run: StoredRun, report: Report, read: Listed[Snapshot]
) -> None:
    advice.write(connection, run.id, report.findings, read)
    for stored, snapshot in zip(snapshots.of_run(connection, run.id), read, strict=False):
        following.settle(connection, stored, snapshot)
        settling.predict(connection, stored, snapshot)


_Names = Mapping[tuple[str, str | None, str | None], int]


def _finding(found: Finding, relations: _Names) -> KeptFinding:
    return KeptFinding(
        found.id,
        found.rule,
        found.severity.value,
        found.grade.value,
        found.object.label,
        found.title,
        {**asdict(found.object), "oid": _oid(found.object, relations)},
        found.impact.ms_per_day,
        found.impact.bytes,
    )


def _oid(about: Object, relations: _Names) -> int | None:
    """Return the oid of the relation that a finding is about, or of whose column or constraint: it survives a rename."""
    name = about.table if about.kind in _PARTS else about.name
    return relations.get((about.database or "", about.schema, name))


_PARTS = ("column", "constraint", "statistics")


def _relations(read: Listed[Snapshot]) -> _Names:
    found: dict[tuple[str, str | None, str | None], int] = {}
    for s in read:
        rows: tuple[Any, ...] = (*s.sequences, *s.indexes, *s.tables)
        found |= {(s.server.database, each.schema, each.name): each.oid for each in rows}
    return found


# --- reading ------------------------------------------------------------------------------------


def listed(
    connection: sa.Connection,
    cluster_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> tuple[StoredRun, ...]:
    """Return runs, the newest first; both times are included."""
    conditions = []
    if cluster_id is not None:
        conditions.append(runs.c.cluster_id == cluster_id)
    if since is not None:
        conditions.append(runs.c.taken_at >= since)
    if until is not None:
        conditions.append(runs.c.taken_at <= until)
    return _select(connection, *conditions, limit=limit)


def numbered(connection: sa.Connection, run_id: int) -> StoredRun | None:
    """Return a run by its number, if it is still there."""
    found = _select(connection, runs.c.id == run_id)
    return found[0] if found else None


def find(connection: sa.Connection, reference: str, cluster_id: int | None = None) -> StoredRun:
    """Return the run that a user means by its number, the name of a baseline, or a date.

    A date means the last run up to its end, in UTC. Raises :class:`UsageError` if there is none, or if more
    than one cluster has one.
    """
    mine = () if cluster_id is None else (runs.c.cluster_id == cluster_id,)
    named = _baseline(connection, reference, cluster_id)
    if named:
        return _only(named, reference)
    if reference.isdecimal():
        found = _select(connection, runs.c.id == int(reference[:18]), *mine)
        if found:
            return found[0]
        raise UsageError(f"there is no run {reference}", "see `db-analyze history list`")
    moment = _moment(reference)
    newest = _select(connection, runs.c.taken_at <= moment, *mine)
    return _only(list({run.cluster_id: run for run in reversed(newest)}.values()), reference)


def _only(found: Listed[StoredRun], reference: str) -> StoredRun:
    if not found:
        raise UsageError(
            f"there is no run of {reference} or earlier", "see `db-analyze history list`"
        )
    if len(found) > 1:
        numbers = ", ".join(f"{run.id} ({run.label})" for run in found[:5])
        raise UsageError(f"{reference} means several runs: {numbers}", "give the number of one")
    return found[0]


def _baseline(connection: sa.Connection, name: str, cluster_id: int | None) -> list[StoredRun]:
    query = sa.select(baselines.c.run_id).where(baselines.c.name == name)
    if cluster_id is not None:
        query = query.where(baselines.c.cluster_id == cluster_id)
    return [
        run
        for row in connection.execute(query)
        for run in _select(connection, runs.c.id == row.run_id)
    ]


def _moment(text: str) -> datetime:
    """Read a date (its end) or a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no run, date or baseline", "give a run's number, 2026-01-31, or a name"
        ) from None
    if len(text) <= len("2026-01-31"):
        moment += timedelta(days=1) - timedelta(microseconds=1)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read(connection: sa.Connection, run: StoredRun) -> tuple[Snapshot, ...]:
    """Return the snapshots of a run, whole."""
    found = snapshots.of_run(connection, run.id)
    if not found:
        raise HistoryError(
            f"the snapshots of run {run.id} are gone", "see `db-analyze history list`"
        )
    return tuple(snapshots.read(connection, each) for each in found)


def document(connection: sa.Connection, run: StoredRun) -> dict[str, Any] | None:
    """Return the JSON report of a run, or None if nothing was evaluated."""
    if run.report is None:
        return None
    try:
        text = blobs.get(connection, run.report).decode("utf-8", "surrogatepass")
        loaded: dict[str, Any] = json.loads(text)
    except ValueError:
        raise HistoryError(f"the report of run {run.id} is damaged") from None
    return loaded


def _select(
    connection: sa.Connection, *conditions: Any, limit: int | None = None
) -> tuple[StoredRun, ...]:
    order = (runs.c.taken_at.desc(), runs.c.id.desc())
    query = sa.select(runs).where(*conditions).order_by(*order).limit(limit)
    return tuple(StoredRun(**row._mapping) for row in connection.execute(query))  # noqa: SLF001 - public, in spite of its name
