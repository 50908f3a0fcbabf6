"""What the history tells of a fleet: read with a few queries, whatever the number of clusters."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import UsageError
from pgwatch_wed.findings import Object, Severity, Verdict
from pgwatch_wed.fleet import traits as fleet_traits
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.review.regression_proof import RULE
from pgwatch_wed.fleet.traits import Traits
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import advice, blobs, kept_findings, kept_verdicts, states
from pgwatch_wed.history.conclusions import Concluded
from pgwatch_wed.history.kept_findings import KeptFinding
from pgwatch_wed.history.lifecycle import FindingState, Presence
from pgwatch_wed.history.schema import finding_states, fleet_visits, runs

_MANY = 500
_READ = (VisitEnding.DONE.value, VisitEnding.IN_PART.value)


@dataclass(frozen=True, slots=True)
class JudgedRule:
    """The verdict of a rule in one run."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class RememberedRun:
    """What was concluded from one run of a cluster; ``report`` is the address of its JSON report.

    If it is not ``is_whole``, its findings are damaged: neither they nor the verdicts are there.
    """

    id: int
    cluster_id: int
    taken_at: datetime
    label: str
    version: str
    report: str | None
    findings: Mapping[str, Concluded]
    verdicts: Mapping[str, JudgedRule]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class RememberedCluster:
    """A member, its last run, and the one before.

    ``run`` is of ``visit`` if that read the cluster, else of the last visit that did; None if there was none.
    ``ending_before`` is how the visit before ended. ``traits_before`` are only there if the run before had a regression.
    """

    visit: Visit
    run: RememberedRun | None = None
    before: RememberedRun | None = None
    traits: Traits | None = None
    ending_before: VisitEnding | None = None
    states: Mapping[str, FindingState] = field(default_factory=dict)
    traits_before: Traits | None = None

    @property
    def is_current(self) -> bool:
        """Whether the run is of this visit."""
        ending = self.visit.ending
        return self.run is not None and ending is not None and ending.was_read


@dataclass(frozen=True, slots=True)
class Recollection:
    """A fleet run; ``left`` are members of the run ``before`` that this one lacks, ``departed`` what is known of them."""

    run: FleetRun
    before: FleetRun | None
    clusters: tuple[RememberedCluster, ...]
    left: tuple[str, ...]
    departed: tuple[RememberedCluster, ...] = ()


def recollect(connection: sa.Connection, fleet_run_id: int | None = None) -> Recollection:
    """Read a fleet run, the last one by default. Raises :class:`UsageError` if there is none."""
    run = _run(connection, fleet_run_id)
    before = visit_log.run_before(connection, run)
    visits = visit_log.visits(connection, run.id)
    earlier = _earlier(connection, run.id, read=True)
    endings = _earlier(connection, run.id, read=False)
    left = _left(connection, before, visits)
    gone = [v for v in left if v.same_as is None]
    last = {v.member: v if _was_read(v) else earlier.get(v.member) for v in (*visits, *gone)}
    compared = {v.member: earlier.get(v.member) for v in visits if _was_read(v)}
    ids = {v.run_id for v in (*last.values(), *compared.values()) if v and v.run_id is not None}
    shown = {v.run_id for v in last.values() if v}
    known = _remembered(connection, sorted(ids), shown)
    followed = _states(connection, sorted({r.cluster_id for r in known.values()}))
    slower = [v for v in compared.values() if v and _had_regression(known.get(v.run_id or 0))]
    compared_by = _traits(
        connection, [v.traits for v in (*last.values(), *slower) if v and v.traits]
    )

    def cluster(visit: Visit) -> RememberedCluster:
        own, was = last[visit.member], compared.get(visit.member)
        run_ = known.get(own.run_id or 0) if own else None
        return RememberedCluster(
            visit,
            run_,
            known.get(was.run_id or 0) if was else None,
            compared_by.get(own.traits or "") if own else None,
            endings[visit.member].ending if visit.member in endings else None,
            followed.get(run_.cluster_id, {}) if run_ else {},
            compared_by.get(was.traits or "") if was else None,
        )

    names = tuple(sorted(v.member for v in left))
    return Recollection(run, before, tuple(map(cluster, visits)), names, tuple(map(cluster, gone)))


def _had_regression(run: RememberedRun | None) -> bool:
    return run is not None and any(f.rule == RULE for f in run.findings.values())


def _left(
    connection: sa.Connection, before: FleetRun | None, visits: Sequence[Visit]
) -> tuple[Visit, ...]:
    """Return the visits of the run before to members that are no longer there."""
    if before is None:
        return ()
    known = {v.member for v in visits}
    return tuple(v for v in visit_log.visits(connection, before.id) if v.member not in known)


def _was_read(visit: Visit) -> bool:
    return visit.ending is not None and visit.ending.was_read and visit.run_id is not None


def _run(connection: sa.Connection, fleet_run_id: int | None) -> FleetRun:
    found = visit_log.runs_of_fleet(connection, limit=1_000_000 if fleet_run_id else 1)
    if not found:
        raise UsageError("there is no fleet run in the history", "db-analyze fleet run begins one")
    for run in found:
        if fleet_run_id in (None, run.id):
            return run
    raise UsageError(f"there is no fleet run {fleet_run_id}", f"the last one is {found[0].id}")


def _earlier(connection: sa.Connection, fleet_run_id: int, *, read: bool) -> dict[str, Visit]:
    """Return the last visit to each member before this run that read it, or that has ended; in whatever run."""
    v = fleet_visits.c
    wanted = (v.ending.in_(_READ), v.run_id.is_not(None)) if read else (v.ending.is_not(None),)
    last = (
        sa.select(v.member, sa.func.max(v.fleet_run_id).label("id"))
        .where(v.fleet_run_id < fleet_run_id, *wanted)
        .group_by(v.member)
        .subquery()
    )
    query = sa.select(fleet_visits).join(
        last, (v.member == last.c.member) & (v.fleet_run_id == last.c.id)
    )
    found = map(visit_log.of_row, connection.execute(query).mappings())
    return {visit.member: visit for visit in found}


# --- runs -----------------------------------------------------------------------------------------


def _remembered(
    connection: sa.Connection, ids: Sequence[int], shown: Set[int | None]
) -> dict[int, RememberedRun]:
    """Read runs; of findings that are only compared with, the objects are left out."""
    found: dict[int, RememberedRun] = {}
    for part in _parts(ids):
        own = list(connection.execute(sa.select(runs).where(runs.c.id.in_(part))))
        if not own:
            continue
        told, judged = _findings(connection, own, shown), _verdicts(connection, own)
        for row in own:
            is_whole = row.findings is None or row.id in told
            found[row.id] = RememberedRun(
                *(row.id, row.cluster_id, row.taken_at, row.label, row.server_version, row.report),
                told.get(row.id, {}),
                judged[row.id] if is_whole else {},
                is_whole,
            )
    return found


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[i : i + _MANY] for i in range(0, len(ids), _MANY))


def _findings(
    connection: sa.Connection, own: Sequence[Any], shown: Set[int | None]
) -> Mapping[int, dict[str, Concluded]]:
    found: dict[int, dict[str, Concluded]] = {}
    by_address: dict[str, list[int]] = defaultdict(list)
    for row in own:
        if row.findings is not None:
            by_address[row.findings].append(row.id)
    for address, content in blobs.get_many(connection, by_address):
        if content is None:
            continue
        told = kept_findings.read(content)
        for run_id in by_address[address]:
            is_shown = run_id in shown
            found[run_id] = {f.finding_id: _concluded(f, is_shown=is_shown) for f in told}
    return found


def _concluded(each: KeptFinding, *, is_shown: bool) -> Concluded:
    return Concluded(
        *(each.finding_id, each.rule, "", Severity(each.severity), each.grade),
        _object(each.object) if is_shown else _NOT_READ,
        each.title,
        gain_ms=each.ms_per_day,
        bytes=each.bytes,
    )


_NOT_READ = Object("", "")


def _object(o: Mapping[str, Any]) -> Object:
    return Object(o["kind"], o["name"], o["database"], o["schema"], o["table"])


def _verdicts(connection: sa.Connection, own: Sequence[Any]) -> Mapping[int, dict[str, JudgedRule]]:
    known: dict[tuple[str, str], JudgedRule] = {}
    by_address: dict[str, dict[str, JudgedRule]] = {}
    wanted = [row.verdicts for row in own if row.verdicts is not None]
    for address, content in blobs.get_many(connection, wanted):
        told = {} if content is None else kept_verdicts.read(content)
        by_address[address] = {
            rule: known.setdefault(
                (each.verdict, each.reason), JudgedRule(Verdict(each.verdict), each.reason)
            )
            for rule, each in told.items()
        }
    return {row.id: by_address.get(row.verdicts, {}) for row in own}


def _states(
    connection: sa.Connection, clusters: Sequence[int]
) -> Mapping[int, dict[str, FindingState]]:
    """Read what became of findings, without those that wait to be evaluated though their advice was applied: it is followed."""
    found: dict[int, dict[str, FindingState]] = defaultdict(dict)
    for part in _parts(clusters):
        applied = advice.applied_on(connection, part)
        query = sa.select(finding_states).where(finding_states.c.cluster_id.in_(part))
        for row in connection.execute(query):
            own = states.of_row(row)
            is_followed = (row.cluster_id, row.finding_id) in applied
            if own.state is not Presence.UNKNOWN or not is_followed:
                found[row.cluster_id][row.finding_id] = own
    return found


def _traits(connection: sa.Connection, addresses: Sequence[str]) -> dict[str, Traits]:
    """Read traits; those that are damaged cost the comparison of one cluster."""
    found: dict[str, Traits] = {}
    for address, content in blobs.get_many(connection, addresses):
        if content is not None:
            found[address] = fleet_traits.read(content)
    return found


# --- reports of clusters --------------------------------------------------------------------------


def documents(
    connection: sa.Connection, clusters: Iterable[RememberedCluster]
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the JSON report of each cluster's last run by its member; None if it is gone or damaged."""
    by_report = defaultdict(list)
    for each in clusters:
        if each.run is not None and each.run.report is not None:
            by_report[each.run.report].append(each.visit.member)
    for address, content in blobs.get_many(connection, list(by_report)):
        for member in by_report[address]:
            yield member, content
