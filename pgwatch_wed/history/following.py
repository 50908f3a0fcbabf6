"""Advice, looked up in each later run: whether it was applied, and then what it did.

:func:`follow` is called for every snapshot that is stored, in its transaction. An older run that is imported later
does not move what a newer one has told, but may tell more exactly when advice was applied.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome, AppliedState
from pgwatch_wed.history import advice, kept_findings, kept_verdicts, observed
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.applied import state_in
from pgwatch_wed.history.effects import (
    Effect,
    EffectLimits,
    ObservedWork,
    measure,
)
from pgwatch_wed.history.observed import Scope, Seen
from pgwatch_wed.history.schema import runs
from pgwatch_wed.history.snapshots import StoredSnapshot
from pgwatch_wed.history.structure import following
from pgwatch_wed.sqltext.reading import QualifiedName

_SETTLED = (AdviceOutcome.HELPED, AdviceOutcome.NO_EFFECT, AdviceOutcome.HARMED)
# The outcome is reckoned anew with each run until so much time after the change is known.
_LATEST = timedelta(days=60)
_LIMITS = EffectLimits()


def follow(connection: sa.Connection, stored: StoredSnapshot, snapshot: Snapshot) -> None:
    """Look up all open advice of a database in a new snapshot."""
    if snapshot.measured_since is not None:
        return
    for own in advice.listed(connection, database_id=stored.database_id):
        if not own.structures:
            continue
        if snapshot.now > own.looked_at:
            _attempt(_look_up, connection, own, snapshot)
        elif own.standing is AppliedState.APPLIED and own.absent_at < snapshot.now < own.state_at:
            _attempt(_date, connection, own, snapshot)


def settle(connection: sa.Connection, stored: StoredSnapshot, snapshot: Snapshot) -> None:
    """Tell what became of advice whose finding is gone, once a run has been evaluated."""
    for own in advice.listed(connection, database_id=stored.database_id):
        if own.standing is AppliedState.APPLIED and own.looked_at == snapshot.now:
            _attempt(_measure, connection, own, snapshot)


_Work = Callable[[sa.Connection, StoredAdvice, Snapshot], None]


def _attempt(work: _Work, connection: sa.Connection, own: StoredAdvice, snapshot: Snapshot) -> None:
    """Follow one piece of advice; if that fails, no run is lost, and no other advice."""
    try:
        work(connection, own, snapshot)
    except (sa.exc.DBAPIError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the run has been read
        advice.note(connection, own, f"it could not be followed: {type(error).__name__}")


def _look_up(connection: sa.Connection, own: StoredAdvice, snapshot: Snapshot) -> None:
    found = state_in(snapshot, own.structures)
    if found.state is AppliedState.UNKNOWN:
        return  # as far as is known, it is as it was
    status = following(own.standing, found)
    if own.standing is AppliedState.APPLIED and own.structures[0].is_event:
        status = replace(status, state=AppliedState.APPLIED)  # what happened has happened
    now = advice.move(connection, own, status, snapshot.now)
    if now.standing in (AppliedState.APPLIED, AppliedState.PARTLY):
        _measure(connection, now, snapshot)


def _date(connection: sa.Connection, own: StoredAdvice, snapshot: Snapshot) -> None:
    """Tell from a run between the two that date it whether it was applied already; the next run measures anew."""
    found = state_in(snapshot, own.structures).state
    if found is AppliedState.APPLIED:
        advice.date(connection, own, own.absent_at, snapshot.now)
    elif found is AppliedState.ABSENT:
        advice.date(connection, own, snapshot.now, own.state_at)


def _measure(connection: sa.Connection, own: StoredAdvice, snapshot: Snapshot) -> None:
    is_settled = own.outcome in _SETTLED
    if is_settled and snapshot.now > own.state_at + _LATEST:
        return
    effect, texts = _effect(connection, own, snapshot)
    if is_settled and effect.outcome not in _SETTLED:
        return
    advice.conclude(connection, own, effect.outcome.value, _document(effect, texts), snapshot.now)


def _document(effect: Effect, texts: Mapping[int, str | None]) -> dict[str, Any]:
    """Return what was measured as JSON values."""
    found = asdict(effect)
    del found["outcome"]
    found["ready_at"] = effect.ready_at.isoformat() if effect.ready_at else None
    found["harms"] = [{**asdict(h), "text": texts.get(h.statement or 0)} for h in effect.harms]
    return found


def _effect(
    connection: sa.Connection, own: StoredAdvice, snapshot: Snapshot
) -> tuple[Effect, Mapping[int, str | None]]:
    if not own.predicted["keys"] and own.structures[0].kind not in ("no index", "index"):
        return _by_finding(connection, own), {}
    seen = _seen(connection, own, snapshot)
    found = measure(seen.times, seen.work, _LIMITS)
    if found.outcome is not AdviceOutcome.HARMED and _is_unused(own, snapshot, seen):
        return _unused(found), seen.texts
    if not own.predicted["keys"] and found.outcome is not AdviceOutcome.HARMED:
        # what it promises is not the time of statements
        return _by_finding(connection, own), seen.texts
    return found, seen.texts


# --- statements ---------------------------------------------------------------------------------


def _seen(connection: sa.Connection, own: StoredAdvice, snapshot: Snapshot) -> Seen:
    structures = own.structures
    keys = frozenset(own.predicted["keys"])
    scope = Scope(
        keys,
        frozenset(_names(own, snapshot)),
        of_all=all(s.kind == "server setting" for s in structures),
    )
    seen = observed.around(
        connection, own.database_id, snapshot, scope, own.absent_at, own.state_at
    )
    if keys:
        return seen
    # an index that is dropped makes writes cheaper
    work = seen.work
    return replace(seen, work=ObservedWork(work.writers, work.controls, work.others))


def _names(own: StoredAdvice, snapshot: Snapshot) -> Iterator[QualifiedName]:
    """Yield the tables that the advice is about, by the name of then and of now, with their partitions."""
    for structure in own.structures:
        known = structure.known
        if "table_oid" not in known:
            continue
        if "table" in known:
            yield QualifiedName(known["schema"], known["table"])
        yield from _tree(snapshot, known["table_oid"], frozenset())


def _tree(snapshot: Snapshot, oid: int, above: frozenset[int]) -> Iterator[QualifiedName]:
    table = snapshot.table_by_oid.get(oid)
    if table is None or oid in above:
        return
    yield QualifiedName(table.schema, table.name)
    for part in snapshot.partitions_of[oid]:
        yield from _tree(snapshot, part.oid, above | {oid})
    parent = snapshot.table_by_oid.get(table.parent_oid or 0)
    if parent is not None and not above:
        yield QualifiedName(parent.schema, parent.name)


def _is_unused(own: StoredAdvice, snapshot: Snapshot, seen: Seen) -> bool:
    """Tell whether no query has used the index although its statements ran: that needs no statistic."""
    oids = own.structure["oids"]
    if own.structures[0].kind != "index" or not oids or not own.predicted["keys"]:
        return False
    if snapshot.replicas and not snapshot.nodes:
        return False  # a standby may use it
    if any(snapshot.index_by_oid[o].is_unique for o in oids if o in snapshot.index_by_oid):
        return False
    begins = snapshot.window.begins
    since = max(filter(None, (begins, own.state_at)))
    usages = [usage.get(o) for usage in _counters(snapshot) for o in oids]
    is_scanned = any(u is None or u.idx_scan > 0 for u in usages)
    ran = [
        works[n].calls
        for works in seen.work.treated.values()
        for n, span in enumerate(seen.times.intervals)
        if n in works and span[0] >= since
    ]
    is_enough = sum(ran) >= _LIMITS.least_calls
    spans = sum(span[0] >= since for span in seen.times.intervals)
    return not is_scanned and begins is not None and is_enough and spans >= _LIMITS.least_after


def _counters(snapshot: Snapshot) -> Iterator[Mapping[int, Any]]:
    yield snapshot.usage_by_oid
    yield from snapshot.usage_on_nodes


def _unused(effect: Effect) -> Effect:
    return replace(
        effect,
        outcome=AdviceOutcome.NO_EFFECT,
        detail="no query has scanned the index since it was built",
        ready_at=None,
    )


# --- what is not about statements ---------------------------------------------------------------


def _by_finding(connection: sa.Connection, own: StoredAdvice) -> Effect:
    """Tell whether the finding is gone, in the last run that evaluated its rule after the change."""
    last = _last_evaluated(connection, own)
    if last is None:
        return Effect(AdviceOutcome.TOO_EARLY, "its rule has not been evaluated since")
    try:
        told = kept_findings.of_run(connection, last.id)
    except HistoryError:
        return Effect(AdviceOutcome.TOO_EARLY, "what the last run found is damaged")
    if all(each.finding_id != own.finding_id for each in told):
        return Effect(AdviceOutcome.HELPED, "the finding is gone")
    return Effect(AdviceOutcome.UNCLEAR, "the finding is still reported")


def _last_evaluated(connection: sa.Connection, own: StoredAdvice) -> Any:
    """Return the last run after the change in which the rule was evaluated, or None."""
    mine = (runs.c.cluster_id == own.cluster_id, runs.c.taken_at >= own.state_at)
    query = sa.select(runs.c.id, runs.c.taken_at, runs.c.verdicts)
    told: dict[str, bool] = {}
    rows = query.where(*mine, runs.c.verdicts.is_not(None)).order_by(runs.c.taken_at.desc())
    for row in connection.execute(rows).all():
        if row.verdicts not in told:
            told[row.verdicts] = _is_evaluated(connection, row.verdicts, own.rule)
        if told[row.verdicts]:
            return row
    return None


def _is_evaluated(connection: sa.Connection, verdicts: str, rule: str) -> bool:
    try:
        verdict = kept_verdicts.get(connection, verdicts).get(rule)
    except HistoryError:
        return False  # a later run tells
    return verdict is not None and verdict.verdict != "unknown"
