"""Advice in the history: what was recommended, what it promised, and what became of it.

:func:`write` stores what a run recommends. :mod:`.following` looks it up in later runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.findings import Finding
from pgwatch_wed.history.advised_sql import advised
from pgwatch_wed.history.applied import state_in
from pgwatch_wed.history.schema import advice, databases, runs
from pgwatch_wed.history.structure import Advised, Status, Structure
from pgwatch_wed.sqltext.statement_link import statement_keys

# What became of it is known: advice that is given again is new.
_ENDED = (AppliedState.UNDONE, AppliedState.GONE)


@dataclass(frozen=True, slots=True)
class StoredAdvice:
    """Advice in the history.

    ``structure`` contains what it would make, and how it was found so far; ``predicted`` what it promised.
    """

    id: int
    cluster_id: int
    database_id: int
    finding_id: str
    rule: str
    grade: str
    label: str
    run_id: int
    advised_at: datetime
    last_advised_at: datetime
    structure: Mapping[str, Any]
    predicted: Mapping[str, Any]
    state: str
    state_at: datetime
    outcome: str | None
    outcome_at: datetime | None
    measured: Mapping[str, Any] | None

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What it would make."""
        return tuple(Structure.of_json(each) for each in self.structure["structures"])

    @property
    def standing(self) -> AppliedState:
        """The state, as of the last run that could tell."""
        return AppliedState(self.state)

    @property
    def looked_at(self) -> datetime:
        """The time of the last run that could tell."""
        return datetime.fromisoformat(self.structure["looked_at"])

    @property
    def absent_at(self) -> datetime:
        """The time of the last run before the present state."""
        return datetime.fromisoformat(self.structure["absent_at"])


def write(
    connection: sa.Connection, run_id: int, findings: Iterable[Finding], read: Sequence[Snapshot]
) -> None:
    """Store the advice of a run; what was advised before, and is still open, is the same advice."""
    cluster_id = connection.execute(
        sa.select(runs.c.cluster_id).where(runs.c.id == run_id)
    ).scalar()
    if cluster_id is None:
        return
    places = _places(connection, cluster_id, read)
    known = {a.finding_id: a for a in listed(connection, cluster_id) if a.standing not in _ENDED}
    promises = _Promises(places)
    for finding in findings:
        snapshot = _snapshot_of(finding, read)
        what = advised(finding.remedy, snapshot)
        if not what.structures and not what.not_followed:
            continue
        database_id = places[snapshot.server.database_oid]
        promise = promises.of(finding, snapshot, database_id)
        own = known.get(finding.id)
        if own is None:
            _insert(connection, (cluster_id, database_id, run_id), finding, snapshot, what, promise)
        elif snapshot.now > own.last_advised_at:
            _repeat(connection, own, finding, snapshot, what, promise)


def _snapshot_of(finding: Finding, read: Sequence[Snapshot]) -> Snapshot:
    name = finding.object.database
    return next((s for s in read if s.server.database == name), read[0])


def _places(connection: sa.Connection, cluster_id: int, read: Sequence[Snapshot]) -> dict[int, int]:
    rows = connection.execute(
        sa.select(databases.c.oid, databases.c.id).where(databases.c.cluster_id == cluster_id)
    )
    found = {int(row.oid): int(row.id) for row in rows}
    return {s.server.database_oid: found[s.server.database_oid] for s in read}


def _insert(
    connection: sa.Connection,
    place: tuple[int, int, int],
    finding: Finding,
    snapshot: Snapshot,
    what: Advised,
    promise: Mapping[str, Any],
) -> None:
    cluster_id, database_id, run_id = place
    status = _first_state(snapshot, what)
    now = snapshot.now.isoformat()
    connection.execute(
        advice.insert().values(
            cluster_id=cluster_id,
            database_id=database_id,
            finding_id=finding.id,
            rule=finding.rule,
            grade=finding.grade.value,
            label=finding.object.label,
            run_id=run_id,
            advised_at=snapshot.now,
            last_advised_at=snapshot.now,
            structure={**_document(what), **_found(status), "looked_at": now, "absent_at": now},
            predicted=dict(promise),
            state=status.state.value,
            state_at=snapshot.now,
        )
    )


def _repeat(
    connection: sa.Connection,
    own: StoredAdvice,
    finding: Finding,
    snapshot: Snapshot,
    what: Advised,
    promise: Mapping[str, Any],
) -> None:
    """Remember that it was advised again; until it is applied, the latest prediction counts."""
    values: dict[str, Any] = {"last_advised_at": snapshot.now}
    if own.standing in (AppliedState.ABSENT, AppliedState.UNKNOWN):
        values |= {"grade": finding.grade.value, "predicted": dict(promise)}
        labels = [s.label for s in own.structures]
        if what.structures and labels != [s.label for s in what.structures]:
            values["structure"] = {**own.structure, **_document(what)}
    connection.execute(advice.update().where(advice.c.id == own.id).values(**values))


def _first_state(snapshot: Snapshot, what: Advised) -> Status:
    if not what.can_be_followed:
        return Status(AppliedState.UNKNOWN, "; ".join(what.not_followed))
    status = state_in(snapshot, what.structures)
    if status.state is AppliedState.APPLIED:
        return Status(AppliedState.BEFORE, status.detail, status.oids)
    return status


def _document(what: Advised) -> dict[str, Any]:
    return {
        "structures": [s.to_json() for s in what.structures],
        "not_followed": list(what.not_followed),
    }


def _found(status: Status) -> dict[str, Any]:
    return {"detail": status.detail, "oids": list(status.oids)}


def move(
    connection: sa.Connection, own: StoredAdvice, status: Status, at: datetime
) -> StoredAdvice:
    """Store the state of advice as of a run, and return it."""
    is_new = status.state is not own.standing
    document = {**own.structure, **_found(status), "looked_at": at.isoformat()}
    if is_new:
        document["absent_at"] = own.structure["looked_at"]
    values: dict[str, Any] = {"structure": document, "state": status.state.value}
    if is_new:
        values["state_at"] = at
    connection.execute(advice.update().where(advice.c.id == own.id).values(**values))
    return _one(connection, own.id)


def date(
    connection: sa.Connection, own: StoredAdvice, absent_at: datetime, state_at: datetime
) -> None:
    """Store between which runs the present state began."""
    document = {**own.structure, "absent_at": absent_at.isoformat()}
    values = {"structure": document, "state_at": state_at}
    connection.execute(advice.update().where(advice.c.id == own.id).values(**values))


def note(connection: sa.Connection, own: StoredAdvice, detail: str) -> None:
    """Store why nothing can be said about advice."""
    document = {**own.structure, "detail": detail}
    connection.execute(advice.update().where(advice.c.id == own.id).values(structure=document))


def conclude(
    connection: sa.Connection,
    own: StoredAdvice,
    outcome: str,
    measured: Mapping[str, Any],
    at: datetime,
) -> None:
    """Store what the effect is, as far as a run can tell."""
    values = {"outcome": outcome, "outcome_at": at, "measured": dict(measured)}
    connection.execute(advice.update().where(advice.c.id == own.id).values(**values))


# --- what it promised ---------------------------------------------------------------------------


class _Promises:
    """What findings promise: the statements by their keys, since query ids change."""

    def __init__(self, places: Mapping[int, int]) -> None:
        self._places = places
        self._keys: dict[int, dict[int, str]] = {}

    def of(self, finding: Finding, snapshot: Snapshot, database_id: int) -> dict[str, Any]:
        """Return what a finding promises."""
        gain = finding.impact.gain
        ids = _queries(finding)
        keys = self._of_database(snapshot, database_id)
        spent = {s.query_id: 0.0 for s in snapshot.statements}
        for s in snapshot.statements:
            spent[s.query_id] += s.total_exec_ms
        return {
            "title": finding.title,
            "object": asdict(finding.object),
            "ms_per_day": finding.impact.ms_per_day,
            "ms": gain.ms if gain is not None else None,
            # the time that its statements took then
            "of_ms": round(sum(spent.get(each, 0.0) for each in ids), 3) if ids else None,
            "bytes": finding.impact.bytes,
            "query_ids": list(ids),
            "keys": [keys[each] for each in ids if each in keys],
            "undo": [r.undo for r in reversed(finding.remedy) if r.undo],
        }

    def _of_database(self, snapshot: Snapshot, database_id: int) -> dict[int, str]:
        if database_id not in self._keys:
            by_row = statement_keys(snapshot, str(database_id))
            key_of = COUNTERS["statements"].key_of
            self._keys[database_id] = {
                s.query_id: by_row[key_of(s)] for s in snapshot.statements if s.text is not None
            }
        return self._keys[database_id]


def _queries(finding: Finding) -> tuple[int, ...]:
    """Return the statements that it promises to speed up: query ids."""
    gain = finding.impact.gain
    if gain is not None and gain.by_query:
        return tuple(gain.by_query)
    return tuple(finding.evidence.get("query_ids", ())) if gain is not None else ()


# --- reading ------------------------------------------------------------------------------------


def listed(
    connection: sa.Connection, cluster_id: int | None = None, database_id: int | None = None
) -> tuple[StoredAdvice, ...]:
    """Return advice, oldest first."""
    query = sa.select(advice)
    if cluster_id is not None:
        query = query.where(advice.c.cluster_id == cluster_id)
    if database_id is not None:
        query = query.where(advice.c.database_id == database_id)
    rows = connection.execute(query.order_by(advice.c.advised_at, advice.c.id))
    return tuple(StoredAdvice(**row._mapping) for row in rows)  # noqa: SLF001 - public, in spite of its name


def applied_on(connection: sa.Connection, clusters: Sequence[int]) -> set[tuple[int, str]]:
    """Return the clusters and findings whose advice, as it was given last, is applied."""
    c = advice.c
    query = sa.select(c.cluster_id, c.finding_id, c.state).where(c.cluster_id.in_(clusters))
    last = {
        (row.cluster_id, row.finding_id): row.state
        for row in connection.execute(query.order_by(c.advised_at, c.id))
    }
    return {own for own, state in last.items() if state == AppliedState.APPLIED.value}


def _one(connection: sa.Connection, number: int) -> StoredAdvice:
    row = connection.execute(sa.select(advice).where(advice.c.id == number)).one()
    return StoredAdvice(**row._mapping)  # noqa: SLF001 - likewise
