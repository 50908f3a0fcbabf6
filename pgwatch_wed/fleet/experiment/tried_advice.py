"""Reads from the history which advice the clusters of a fleet have tried, and where it is still open."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.facts.advice_words import AdviceOutcome, AppliedState
from pgwatch_wed.fleet.experiment.experiments import OpenAdvice, Trial
from pgwatch_wed.fleet.experiment.sibling_records import SameAdvice, identity_of
from pgwatch_wed.fleet.visits import Visit
from pgwatch_wed.history import advice, measures
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.lifecycle import Presence
from pgwatch_wed.history.schema import databases, finding_states

_APPLIED = (AppliedState.APPLIED, AppliedState.UNDONE)
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class AdvisedMember:
    """Advice in the history, with the member of the fleet that it was given to."""

    member: str
    group: str
    own: StoredAdvice
    is_open: bool

    @property
    def is_applied(self) -> bool:
        """Whether it was applied, also if it was undone later."""
        return self.own.standing in _APPLIED


def advised_to(connection: sa.Connection, visits: Sequence[Visit]) -> tuple[AdvisedMember, ...]:
    """Return all advice that the clusters of a fleet run were given and that can be followed."""
    members = {v.cluster_id: v for v in visits if v.cluster_id is not None and v.same_as is None}
    still = _open(connection)
    return tuple(
        AdvisedMember(
            members[own.cluster_id].member,
            members[own.cluster_id].group,
            own,
            (own.cluster_id, own.finding_id) in still and own.standing is AppliedState.ABSENT,
        )
        for own in advice.listed(connection)
        if own.cluster_id in members and own.structures
    )


def _open(connection: sa.Connection) -> set[tuple[int, str]]:
    """Return what was not resolved: most runs of a fleet do without the index advisor."""
    c = finding_states.c
    query = sa.select(c.cluster_id, c.finding_id).where(c.state != Presence.RESOLVED.value)
    return {(row.cluster_id, row.finding_id) for row in connection.execute(query)}


def same_advice(connection: sa.Connection, found: Sequence[AdvisedMember]) -> Iterator[SameAdvice]:
    """Yield what is the same on several clusters of a group, or was applied on one."""
    groups: dict[tuple[str, str, Hashable], list[AdvisedMember]] = defaultdict(list)
    for each in found:
        if each.is_applied or each.is_open:
            groups[each.group, each.own.rule, identity_of(each.own.structures)].append(each)
    names = _names(connection)
    for (group, rule, _), same in groups.items():
        if len({each.own.cluster_id for each in same}) < 2:
            continue
        yield together(connection, group, rule, same, names)


def together(
    connection: sa.Connection,
    group: str,
    rule: str,
    same: Sequence[AdvisedMember],
    names: dict[int, str],
) -> SameAdvice:
    """Return advice that is the same, with what its clusters write."""
    has_trials = any(each.is_applied for each in same)
    trials, open_on = [], []
    for each in same:
        # read only where it decides something
        writes = writes_per_day(connection, each.own) if has_trials else None
        name = names.get(each.own.database_id, "")
        if each.is_applied:
            trials.append(_trial(each, name, writes))
        else:
            open_on.append(_open_advice(each, name, writes))
    return SameAdvice(group, rule, label_of(same[0].own), tuple(trials), tuple(open_on))


def label_of(own: StoredAdvice) -> str:
    """Name what advice would make, for a reader."""
    return " and ".join(f"{s.kind} {s.label}" for s in own.structures)


def database_names(connection: sa.Connection) -> dict[int, str]:
    """Return the names of all databases by number."""
    return _names(connection)


def _names(connection: sa.Connection) -> dict[int, str]:
    rows = connection.execute(sa.select(databases.c.id, databases.c.name))
    return {int(row.id): row.name for row in rows}


def _trial(each: AdvisedMember, database: str, writes: float | None) -> Trial:
    own, measured = each.own, each.own.measured or {}
    return Trial(
        member=each.member,
        cluster_id=own.cluster_id,
        database=database,
        finding_id=own.finding_id,
        outcome=own.outcome or AdviceOutcome.TOO_EARLY.value,
        reason=measured.get("detail", ""),
        applied_at=own.state_at,
        ready_at=_moment(measured.get("ready_at")),
        blocks_ratio=measured.get("blocks_ratio"),
        time_ratio=measured.get("time_ratio"),
        saved_ms_per_day=measured.get("saved_ms_per_day"),
        predicted_ms_per_day=own.predicted.get("ms_per_day"),
        writes_per_day=writes,
        is_undone=own.standing is AppliedState.UNDONE,
    )


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _open_advice(each: AdvisedMember, database: str, writes: float | None) -> OpenAdvice:
    own = each.own
    return OpenAdvice(
        each.member,
        own.cluster_id,
        database,
        own.finding_id,
        own.grade,
        own.grade,
        None,
        writes_per_day=writes,
    )


def writes_per_day(connection: sa.Connection, own: StoredAdvice) -> float | None:
    """Return how many rows of the tables of advice are written a day, over the last week; None if that is not known."""
    until = own.looked_at
    oids = frozenset(s.known["table_oid"] for s in own.structures if "table_oid" in s.known)
    if not oids:
        return None
    place = (own.cluster_id, own.database_id, "table_writes")
    each = [_rate(s) for s in measures.read(connection, *place, until - _WEEK, until, oids=oids)]
    known = [rate for rate in each if rate is not None]
    return round(sum(known), 1) if known else None


def _rate(series: measures.Series) -> float | None:
    """Return a rate from all intervals but the first, of which the beginning is not known."""
    points = series.points
    if len(points) < 2:
        return None
    days = (points[-1].at - points[0].at).total_seconds() / 86_400
    return sum(p.value or 0.0 for p in points[1:]) / days if days > 0 else None
