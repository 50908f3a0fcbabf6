"""Reads what a fleet teaches from its history: :func:`conclusions` of a run."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.fleet import traits, visit_log
from pgwatch_wed.fleet.experiment import (
    attribute_dates,
    fleet_chance,
    shared_regressions,
    tried_advice,
)
from pgwatch_wed.fleet.experiment.attributes import ClusterFeatures, features_of, with_indexes
from pgwatch_wed.fleet.experiment.clues import REGRESSED, SERVER, STEADY, Clues, StatementClue
from pgwatch_wed.fleet.experiment.experiments import Experiments, SlowerCluster
from pgwatch_wed.fleet.experiment.fleet_chance import StatementPlace
from pgwatch_wed.fleet.experiment.quiet_controls import QuietControls
from pgwatch_wed.fleet.experiment.shared_regressions import Sighting, WatchedStatement
from pgwatch_wed.fleet.experiment.sibling_records import records_of
from pgwatch_wed.fleet.traits import Traits
from pgwatch_wed.fleet.visits import FleetRun, Visit
from pgwatch_wed.history.schema import (
    finding_states,
    fleet_visits,
    runs,
)

_RULE = "query-regression"
RECENT = timedelta(days=14)
"""A regression that was reported so long ago and is as slow since is the same as one of today."""
_MOST_QUIET = 100
"""Of so many clusters that say nothing of a statement, its series is read: as controls, these are enough."""
_NOT_READ = "not read in this run"
_NO_CLUES = "not yet visited by this version"
_SELDOM = "does not run it, or too rarely to be judged"
_REASONS = {
    "small": _SELDOM,
    "grown": "handles more rows a call",
    "mixed": "its calls are another mix",
    "cold": "just started",
    "server": "slower as a whole server",
    "before": "was as slow earlier, too",
    "too little": "too few runs to tell",
    "mended": "was slower, and no longer is",
}


@dataclass(frozen=True, slots=True)
class _Read:
    """A cluster of the run that was read."""

    visit: Visit
    cluster_id: int
    traits: Traits
    clues: Clues
    by_database: dict[str, ClusterFeatures] = field(default_factory=dict)

    def features(self, database: str) -> ClusterFeatures:
        """Return what it may share with others, reckoned once."""
        if database not in self.by_database:
            found = features_of(self.traits, self.visit.tags, database)
            self.by_database[database] = found
        return self.by_database[database]


@dataclass(frozen=True, slots=True)
class _Reported:
    """A finding about a statement, in some run."""

    finding_id: str
    first_seen: datetime
    last_seen: datetime


_Place = tuple[int, str, str]
"""A cluster, a database, and a query id; of the server itself, neither of the latter."""


def conclusions(
    connection: sa.Connection,
    run: FleetRun,
    known: Mapping[str, Traits] | None = None,
    unread: Mapping[str, tuple[int, Traits]] | None = None,
) -> Experiments:
    """Return what a fleet run teaches. ``known`` are traits by member, as far as they have been read already.

    ``unread`` are clusters that this run did not read, by member, with their last traits: what they reported stays open.
    """
    visits = visit_log.visits(connection, run.id)
    read = {r.visit.member: r for r in _read(connection, visits, known or {})}
    lacking = dict(_lacking(visits, read))
    reported = _reported(connection, run.began_at - RECENT)
    earlier = _earlier(connection, read.values(), reported)
    watched = tuple(_watched(connection, visits, read, reported, earlier))
    clues = _clues(read.values(), earlier, unread or {})
    before = _before(clues, reported, run.began_at)
    watched, held = shared_regressions.proven(watched, fleet_chance.holding(clues, before))
    shared, compared = shared_regressions.shared(watched)
    regressions = tuple(attribute_dates.dated(connection, each) for each in shared)
    tried = tried_advice.advised_to(connection, visits)
    records = records_of(tried_advice.same_advice(connection, tried))
    members = {r.cluster_id: r.visit.member for r in read.values()}
    members |= {cluster_id: member for member, (cluster_id, _) in (unread or {}).items()}
    slower = {
        seen: _slower(members[seen[0]], seen[0], clue, reported)
        for seen, clue in sorted(clues.items(), key=lambda item: item[0])
        if clue.outcome == REGRESSED
    }
    return Experiments(
        regressions,
        records,
        compared,
        lacking,
        tuple(each for seen, each in slower.items() if seen in held),
        tuple(each for seen, each in slower.items() if seen not in held),
    )


def _clues(
    read: Iterable[_Read], earlier: "_Earlier", unread: Mapping[str, tuple[int, Traits]]
) -> dict[StatementPlace, StatementClue]:
    """Return what is true now of all statements of all clusters, and was true of those that were not read."""
    now = {
        (own.cluster_id, key): _now(own, key, clue, earlier)
        for own in read
        for key, clue in own.clues.statements.items()
    }
    then = {
        (cluster_id, key): clue
        for cluster_id, kept in unread.values()
        for key, clue in Clues.of_json(kept.clues).statements.items()
    }
    return then | now


def _read(
    connection: sa.Connection, visits: tuple[Visit, ...], known: Mapping[str, Traits]
) -> Iterator[_Read]:
    for visit in visits:
        if visit.ending is None or not visit.ending.was_read or visit.cluster_id is None:
            continue
        own = known.get(visit.member)
        if own is None and visit.traits is not None:
            own = traits.found(connection, visit.traits)
        if own is not None and own.clues:
            yield _Read(visit, visit.cluster_id, own, Clues.of_json(own.clues))


def _before(
    clues: Mapping[StatementPlace, StatementClue],
    reported: Mapping[_Place, _Reported],
    moment: datetime,
) -> set[StatementPlace]:
    """Return what clusters reported in an earlier run as well."""
    found = set()
    for place, clue in clues.items():
        known = reported.get(_reported_as(place[0], clue))
        if known is not None and known.first_seen < moment:
            found.add(place)
    return found


def _reported_as(cluster_id: int, clue: StatementClue) -> _Place:
    query_id = str(clue.query_id) if clue.query_id else ""
    return cluster_id, clue.database if query_id else "", query_id


def _lacking(visits: tuple[Visit, ...], read: Mapping[str, _Read]) -> Iterator[tuple[str, str]]:
    for visit in visits:
        own = read.get(visit.member)
        if visit.same_as is not None:
            continue
        if own is None:
            was_read = visit.ending is not None and visit.ending.was_read
            yield visit.member, _NO_CLUES if was_read else _NOT_READ
        elif not own.clues.statements and own.clues.unknown:
            yield visit.member, next(iter(own.clues.unknown.values()))


def _reported(connection: sa.Connection, since: datetime) -> dict[_Place, _Reported]:
    c = finding_states.c
    query = sa.select(c.cluster_id, c.finding_id, c.object, c.first_seen, c.last_seen).where(
        c.rule == _RULE, c.last_seen >= since
    )
    return {
        _place(row.cluster_id, row.object): _Reported(row.finding_id, row.first_seen, row.last_seen)
        for row in connection.execute(query)
    }


def _place(cluster_id: int, about: Mapping[str, Any]) -> _Place:
    if about.get("kind") != "statement":
        return cluster_id, "", ""
    return cluster_id, about.get("database") or "", about.get("name") or ""


# --- statements ---------------------------------------------------------------------------------


def _watched(
    connection: sa.Connection,
    visits: tuple[Visit, ...],
    read: Mapping[str, _Read],
    reported: Mapping[_Place, _Reported],
    earlier: "_Earlier",
) -> Iterator[WatchedStatement]:
    """Yield the statements that are slower on several clusters of a group, with all of its clusters."""
    groups: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        if visit.same_as is None:
            groups[visit.group].append(visit)
    for group, members in groups.items():
        slower = _slower_keys([read[v.member] for v in members if v.member in read], earlier)
        keys = sorted(k for k, n in slower.items() if n >= shared_regressions.LEAST_CLUSTERS)
        quiet = QuietControls(connection, frozenset(keys))
        for key in keys:
            seen = tuple(_sighting(v, read.get(v.member), key, earlier, reported) for v in members)
            if key != SERVER:
                seen = _with_quiet(quiet, seen, read, key)
            text = "" if key == SERVER else _text(read, seen, key, earlier)
            yield WatchedStatement(group, text, seen, key)


_Earlier = Mapping[tuple[int, str], StatementClue]
"""What was said of a statement when it was last reported as slower: by cluster and key."""


def _earlier(
    connection: sa.Connection, read: Any, reported: Mapping[_Place, _Reported]
) -> dict[tuple[int, str], StatementClue]:
    """Return what earlier runs said of statements that were slower, and of which the last says nothing."""
    by_cluster: dict[int, list[tuple[_Place, _Reported]]] = defaultdict(list)
    for place, each in reported.items():
        by_cluster[place[0]].append((place, each))
    found: dict[tuple[int, str], StatementClue] = {}
    for own in read:
        now = {c.query_id for c in own.clues.statements.values() if c.outcome == REGRESSED}
        for place, each in by_cluster.get(own.cluster_id, ()):
            if place[2] and int(place[2]) not in now:
                found |= _of_then(connection, own.cluster_id, place, each.last_seen)
    return found


def _of_then(
    connection: sa.Connection, cluster_id: int, place: _Place, moment: datetime
) -> dict[tuple[int, str], StatementClue]:
    query = (
        sa.select(fleet_visits.c.traits)
        .join(runs, runs.c.id == fleet_visits.c.run_id)
        .where(runs.c.cluster_id == cluster_id, runs.c.taken_at == moment)
        .where(fleet_visits.c.traits.is_not(None))
    )
    address = connection.execute(query.limit(1)).scalar()
    kept = None if address is None else traits.found(connection, address)
    if kept is None:
        return {}
    then = Clues.of_json(kept.clues)
    return {
        (cluster_id, key): clue
        for key, clue in then.statements.items()
        if clue.outcome == REGRESSED and str(clue.query_id) == place[2]
    }


def _slower_keys(read: list[_Read], earlier: _Earlier) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for own in read:
        for key, clue in own.clues.statements.items():
            found[key] += _now(own, key, clue, earlier).outcome == REGRESSED
    return found


def _now(own: _Read, key: str, clue: StatementClue, earlier: _Earlier) -> StatementClue:
    """Return what is true now of a statement, which may have been slower before the intervals that were compared."""
    then = earlier.get((own.cluster_id, key))
    if clue.outcome == REGRESSED or then is None or then.ms_before <= 0:
        return clue
    ratio = clue.ms_after / then.ms_before
    if ratio - 1 >= (then.ratio - 1) / 2:
        return StatementClue(
            REGRESSED,
            ratio,
            clue.query_id,
            clue.database,
            then.ms_before,
            clue.ms_after,
            clue.tables,
            then.is_new_plan,
            p_value=then.p_value,
            has_more_work=then.has_more_work,
        )
    return StatementClue("mended", tables=clue.tables, database=clue.database)


def _sighting(
    visit: Visit,
    own: _Read | None,
    key: str,
    earlier: _Earlier,
    reported: Mapping[_Place, _Reported],
) -> Sighting:
    if own is None:
        was_read = visit.ending is not None and visit.ending.was_read
        reason = _NO_CLUES if was_read else _NOT_READ
        return Sighting(visit.member, features_of(Traits(), visit.tags, ""), reason=reason)
    clue = own.clues.statements.get(key)
    if clue is None:
        return Sighting(visit.member, own.features(""), reason=_why_not(own.clues))
    clue = _now(own, key, clue, earlier)
    features = with_indexes(own.features(clue.database), own.traits, clue.database, clue.tables)
    if clue.outcome != REGRESSED:
        reason = "" if clue.outcome == STEADY else _REASONS.get(clue.outcome, clue.outcome)
        return Sighting(visit.member, features, reason=reason)
    return Sighting(visit.member, features, _slower(visit.member, own.cluster_id, clue, reported))


def _slower(
    member: str, cluster_id: int, clue: StatementClue, reported: Mapping[_Place, _Reported]
) -> SlowerCluster:
    known = reported.get(_reported_as(cluster_id, clue))
    return SlowerCluster(
        member,
        cluster_id,
        clue.database,
        round(clue.ratio, 2),
        clue.query_id,
        known.first_seen if known else None,
        known.finding_id if known else None,
        clue.is_new_plan,
    )


def _with_quiet(
    quiet: QuietControls, seen: tuple[Sighting, ...], read: Mapping[str, _Read], key: str
) -> tuple[Sighting, ...]:
    """Return the sightings, in which clusters where a statement is small, and as fast as before, are controls."""
    clues = [read[s.member].clues.statements[key] for s in seen if s.slower is not None]
    begins = [datetime.fromisoformat(c.begins) for c in clues if c.begins]
    if not begins:
        return seen
    tables = next(c.tables for c in clues if c.begins)
    silent = [s.member for s in seen if s.reason == _SELDOM and s.member in read][:_MOST_QUIET]
    found = {}
    for member in silent:
        own = read[member]
        until = own.visit.ended_at or max(begins)
        name = quiet.where_unchanged(own.cluster_id, key, min(begins), until)
        if name is not None:
            features = with_indexes(own.features(name), own.traits, name, tables)
            found[member] = Sighting(member, features)
    return tuple(found.get(s.member, s) for s in seen)


def _why_not(clues: Clues) -> str:
    if not clues.statements and clues.unknown:
        return next(iter(clues.unknown.values()))
    return _SELDOM


def _text(
    read: Mapping[str, _Read], seen: tuple[Sighting, ...], key: str, earlier: _Earlier
) -> str:
    """Return the text of a statement, as one of the clusters has it."""
    slower = [s.slower for s in seen if s.slower is not None]
    for each in slower:
        then = earlier.get((each.cluster_id, key))
        text = read[each.member].clues.statements[key].text or (then.text if then else "")
        if text:
            return text
    return f"statement {slower[0].query_id}"
