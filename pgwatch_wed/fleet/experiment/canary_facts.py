"""Reads from the history where advice could be tried first."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from statistics import median
from typing import Any

import sqlalchemy as sa

from pgwatch_wed import units
from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.experiment import tried_advice
from pgwatch_wed.fleet.experiment.canaries import (
    CanaryAdvice,
    CanaryCandidate,
    canary,
    risk_by_tags,
)
from pgwatch_wed.fleet.experiment.experiments import OpenAdvice, SiblingRecord
from pgwatch_wed.fleet.experiment.sibling_records import SameAdvice, identity_of, record_of
from pgwatch_wed.fleet.experiment.tried_advice import AdvisedMember
from pgwatch_wed.fleet.visits import Visit
from pgwatch_wed.history import series, snapshots
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.effects import EffectLimits
from pgwatch_wed.history.lifecycle import Presence
from pgwatch_wed.history.schema import databases, finding_states

_WEEK = timedelta(days=7)
_LIMITS = EffectLimits()
_FACTS = ("tables", "table_activity", "replicas")
_NOT_FOLLOWED = "only whether the finding is gone can be told, with the next run"


def canaries_of(connection: sa.Connection, finding: str) -> tuple[CanaryAdvice, ...]:
    """Return what to do next with a finding, in each group that has it. Raises :class:`UsageError` for an unknown one."""
    visits = latest_visits(connection)
    found = tried_advice.advised_to(connection, visits)
    keys = {
        (a.group, a.own.rule, identity_of(a.own.structures))
        for a in found
        if a.own.finding_id == finding
    }
    same = {
        key: [a for a in found if (a.group, a.own.rule, identity_of(a.own.structures)) == key]
        for key in keys
    }
    told = [_of_advice(connection, visits, group) for group in same.values()]
    told = told or list(_of_finding(connection, visits, finding))
    if not told:
        raise UsageError(
            f"no cluster of the fleet has the finding {finding}",
            "db-analyze fleet report --format json has the ids of all findings",
        )
    return tuple(sorted(told, key=lambda c: c.record.group))


def latest_visits(connection: sa.Connection) -> tuple[Visit, ...]:
    """Return the last visit of each member that tells its cluster: a run may have visited a shard only."""
    found: dict[str, Visit] = {}
    for run in visit_log.runs_of_fleet(connection):
        for visit in visit_log.visits(connection, run.id):
            if visit.cluster_id is not None and visit.same_as is None:
                found.setdefault(visit.member, visit)
    return tuple(sorted(found.values(), key=lambda v: v.member))


# --- advice that can be followed ----------------------------------------------------------------


def _of_advice(
    connection: sa.Connection, visits: Sequence[Visit], same: Sequence[AdvisedMember]
) -> CanaryAdvice:
    counted = [a for a in same if a.is_applied or a.is_open]
    names = tried_advice.database_names(connection)
    first = (counted or same)[0]
    whole = tried_advice.together(connection, first.group, first.own.rule, counted, names)
    record = record_of(replace(whole, label=tried_advice.label_of(first.own)))
    tags = {v.cluster_id: v.tags for v in visits}
    stored = {(a.own.cluster_id, a.own.finding_id): a.own for a in counted}
    candidates = (
        _candidate(connection, o, stored[o.cluster_id, o.finding_id], tags[o.cluster_id])
        for o in record.open_on
    )
    return canary(record, candidates)


def _candidate(
    connection: sa.Connection, open_: OpenAdvice, own: StoredAdvice, tags: Any
) -> CanaryCandidate:
    risk, telling = risk_by_tags(tags)
    calls = _calls_per_day(connection, own)
    days, why = _ready(connection, own, calls)
    bare = CanaryCandidate(
        open_.member,
        open_.cluster_id,
        open_.database,
        open_.finding_id,
        calls_per_day=calls,
        ready_days=days,
        why_never=why,
        risk_by_tags=risk,
        telling_tags=telling,
        doubt=open_.doubt,
    )
    oids = frozenset(s.known["table_oid"] for s in own.structures if "table_oid" in s.known)
    return _measured(connection, bare, own.database_id, oids)


def _measured(
    connection: sa.Connection, bare: CanaryCandidate, database_id: int, oids: frozenset[int]
) -> CanaryCandidate:
    """Add what the last run says of its tables and standbys; with no table, the database is meant."""
    newest = snapshots.newest(connection, database_id)
    if newest is None:
        return bare
    try:
        snapshot = snapshots.read(connection, newest, _FACTS)
    except HistoryError:
        return bare
    has = {name: name not in snapshot.missing for name in _FACTS}
    return replace(
        bare,
        standbys=len(snapshot.replicas) if has["replicas"] else None,
        table_bytes=_bytes(snapshot, oids) if has["tables"] else None,
        write_share=_write_share(snapshot, oids) if has["table_activity"] else None,
    )


def _bytes(snapshot: Snapshot, oids: frozenset[int]) -> int:
    own = [t for t in snapshot.tables if not oids or t.oid in oids]
    return sum(t.pages + (t.toast_pages or 0) for t in own) * snapshot.server.block_size


def _write_share(snapshot: Snapshot, oids: frozenset[int]) -> float | None:
    own = [a for a in snapshot.table_activity if not oids or a.oid in oids]
    writes = sum(a.n_tup_ins + a.n_tup_upd + a.n_tup_del for a in own)
    reads = sum(a.seq_tup_read + (a.idx_tup_fetch or 0) for a in own)
    return writes / (writes + reads) if writes + reads else None


def _calls_per_day(connection: sa.Connection, own: StoredAdvice) -> float | None:
    """Return how often the statements that it should speed up are called; None if it names none."""
    keys = frozenset(own.predicted.get("keys", ()))
    if not keys:
        return None
    known = series.known_statements(connection, own.database_id)
    wanted = {s.id for s in known if s.key in keys}
    span = (own.looked_at - _WEEK, own.looked_at)
    rows = series.of_all_statements(connection, own.database_id, *span)
    calls = sum(r.calls for number in wanted for r in rows.get(number, ()))
    spans = series.intervals_of(connection, own.database_id, *span)
    days = sum((s.ended_at - s.began_at).total_seconds() for s in spans) / 86_400
    return calls / days if days > 0 else 0.0


def _ready(
    connection: sa.Connection, own: StoredAdvice, calls: float | None
) -> tuple[float | None, str]:
    """Return in how many days the outcome would be known, or why it would not be."""
    spans = series.intervals_of(connection, own.database_id, None, own.looked_at)
    told = [s for s in spans if not s.reason]
    if len(told) < _LIMITS.least_before:
        least = _LIMITS.least_before
        known = f"{units.count(len(told), 'interval')} {'is' if len(told) == 1 else 'are'} known"
        return None, f"{known} from before, and {least} are needed"
    length = median((s.ended_at - s.began_at).total_seconds() for s in told[-20:]) / 86_400
    # the first one after the change is not counted
    days = (_LIMITS.least_after + 1) * length
    if calls is None:
        return days, ""
    if calls <= 0:
        return None, "its statements were not called within a week"
    return max(days, _LIMITS.least_calls / calls + length), ""


# --- other findings -----------------------------------------------------------------------------


def _of_finding(
    connection: sa.Connection, visits: Sequence[Visit], finding: str
) -> Iterator[CanaryAdvice]:
    """Yield where a finding is open of which no statement tells the outcome."""
    c = finding_states.c
    about = connection.execute(
        sa.select(c.rule, c.label).where(c.finding_id == finding).limit(1)
    ).first()
    if about is None:
        return
    rows = connection.execute(
        sa.select(c.cluster_id, c.finding_id, c.object).where(
            c.rule == about.rule, c.label == about.label, c.state != Presence.RESOLVED.value
        )
    ).all()
    members = {v.cluster_id: v for v in visits}
    groups: dict[str, list[CanaryCandidate]] = defaultdict(list)
    for row in rows:
        visit = members.get(row.cluster_id)
        if visit is not None:
            groups[visit.group].append(_bare(connection, visit, row))
    for group, candidates in groups.items():
        nothing = SameAdvice(group, about.rule, f"{about.rule} {about.label}", (), ())
        record: SiblingRecord = record_of(nothing)
        yield canary(record, candidates)


def _bare(connection: sa.Connection, visit: Visit, row: Any) -> CanaryCandidate:
    risk, telling = risk_by_tags(visit.tags)
    name = row.object.get("database") or ""
    mine = databases.c.cluster_id == row.cluster_id
    query = sa.select(databases.c.id).where(mine).order_by(databases.c.name != name, databases.c.id)
    database_id = connection.execute(query.limit(1)).scalar()
    bare = CanaryCandidate(
        visit.member,
        row.cluster_id,
        name,
        row.finding_id,
        why_never=_NOT_FOLLOWED,
        risk_by_tags=risk,
        telling_tags=telling,
    )
    return bare if database_id is None else _measured(connection, bare, database_id, frozenset())
