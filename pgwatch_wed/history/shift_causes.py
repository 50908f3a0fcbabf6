"""What changed since statements became slower, as far as they may depend on it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot, StatementPlan
from pgwatch_wed.facts.rows import ShiftCause, StatementShift
from pgwatch_wed.history import snapshots
from pgwatch_wed.history.changes import Change, ChangeKind, What, changes_of
from pgwatch_wed.history.periods import Periods
from pgwatch_wed.postgres import named
from pgwatch_wed.sqltext import reading
from pgwatch_wed.sqltext.plan_trees import shape_hash

_EVERYWHERE = frozenset((ChangeKind.VERSION, ChangeKind.SETTING, ChangeKind.ROLE_SETTING))
_OF_TABLES = frozenset(
    (
        *(ChangeKind.TABLE, ChangeKind.COLUMN, ChangeKind.INDEX, ChangeKind.CONSTRAINT),
        *(ChangeKind.STATISTICS, ChangeKind.SIZE, ChangeKind.ROWS, ChangeKind.DEAD_ROWS),
    )
)
_HARMLESS = frozenset((What.SHRANK, What.VACUUMED, What.RENAMED, What.VALID))
# Settings of other categories do not make a statement slower.
_CATEGORIES = ("Query Tuning", "Resource Usage", "Client Connection Defaults", "Write-Ahead Log")
_MOST = 20
PLAN = "plan"
# So many runs are looked through for one that planned the statements.
_MOST_RUNS = 48

# The facts that must have been read on both sides for a kind of change to be seen, or ruled out.
_NEEDED: Mapping[ChangeKind, tuple[str, ...]] = {
    ChangeKind.VERSION: (),
    ChangeKind.SETTING: ("settings",),
    ChangeKind.INDEX: ("tables", "indexes", "index_definitions"),
    ChangeKind.SIZE: ("tables",),
    ChangeKind.DEAD_ROWS: ("tables", "table_activity"),
}

TableNames = frozenset[tuple[str | None, str]]


@dataclass(frozen=True, slots=True)
class Causes:
    """What is different, and the kinds of changes that were looked for."""

    found: tuple[ShiftCause, ...]
    compared: tuple[str, ...]


def causes_of(
    connection: sa.Connection,
    database_id: int,
    snapshot: Snapshot,
    found: Periods,
    regressed: Iterable[StatementShift],
) -> Mapping[int, Causes]:
    """Return what each statement may depend on and is different from when it was faster.

    Nothing is returned if there is no run of that time any more.
    """
    stored = snapshots.of_database(connection, database_id, until=found.changed_after)
    if not stored:
        return {}
    try:
        old = snapshots.read(connection, stored[-1])
    except HistoryError:
        return {}
    changes = changes_of(old, snapshot).changes
    texts = {s.query_id: s.text for s in snapshot.statements}
    plans = _Plans.of(connection, database_id, snapshot, found)
    found_causes: dict[int, Causes] = {}
    for shift in regressed:
        text, query_id = texts.get(shift.query_id), shift.query_id
        causes = (*plans.changed(query_id), *_causes(old, snapshot, changes, text))[:_MOST]
        compared = (*plans.compared(query_id), *_compared(old, snapshot, text))
        found_causes[query_id] = Causes(causes, compared)
    return found_causes


@dataclass(frozen=True, slots=True)
class _Plans:
    """The generic plans of statements before and now, by query id: the last that are known."""

    before: Mapping[int, StatementPlan]
    after: Mapping[int, StatementPlan]

    @classmethod
    def of(
        cls, connection: sa.Connection, database_id: int, snapshot: Snapshot, found: Periods
    ) -> "_Plans":
        base = snapshots.of_database(connection, database_id, until=found.current_begins)
        later = snapshots.of_database(connection, database_id, since=found.current_begins)
        known = {p.query_id: p for p in snapshot.statement_plans if _is_known(p)}
        return cls(_last_known(connection, base), known or _last_known(connection, later[1:]))

    def compared(self, query_id: int) -> Iterator[str]:
        if query_id in self.before and query_id in self.after:
            yield PLAN

    def changed(self, query_id: int) -> Iterator[ShiftCause]:
        """Yield the change of a statement's plan, with both."""
        old, new = self.before.get(query_id), self.after.get(query_id)
        if old is not None and new is not None and shape_hash(old.tree) != shape_hash(new.tree):
            about = ("generic plan", None, None, "")
            yield ShiftCause(PLAN, "altered", *about, old.plan, new.plan, None, None)


def _last_known(
    connection: sa.Connection, stored: Sequence[snapshots.StoredSnapshot]
) -> dict[int, StatementPlan]:
    """Return the plans of the last run that planned statements."""
    for each in reversed(stored[-_MOST_RUNS:]):
        try:
            read = snapshots.read(connection, each, ("statement_plans",))
        except HistoryError:
            continue
        if "statement_plans" in read.missing:
            continue
        return {p.query_id: p for p in read.statement_plans if _is_known(p)}
    return {}


def _is_known(plan: StatementPlan) -> bool:
    return not plan.refused and not plan.doubts and shape_hash(plan.tree) is not None


def _compared(old: Snapshot, new: Snapshot, text: str | None) -> Iterator[str]:
    """Yield the kinds of changes that would have been seen."""
    missing = {fact.removesuffix(":left-out") for fact in (*old.missing, *new.missing)}
    has_tables = bool(_tables(old, text) & _tables(new, text))
    for kind, needed in _NEEDED.items():
        if missing.isdisjoint(needed) and (has_tables or kind in _EVERYWHERE):
            yield kind.value


def _causes(
    old: Snapshot, new: Snapshot, changes: Iterable[Change], text: str | None
) -> Iterator[ShiftCause]:
    tables = _tables(old, text) | _tables(new, text)
    for change in changes:
        if change.what not in _HARMLESS and (_is_general(new, change) or _touches(change, tables)):
            yield _cause(old, change)


def _tables(snapshot: Snapshot, text: str | None) -> TableNames:
    read = reading.query(text)
    if read is None:
        return frozenset()
    found = (named.table(snapshot, r.schema, r.name) for r in read.relations)
    return frozenset((t.schema, t.name) for t in found if t is not None)


def _is_general(snapshot: Snapshot, change: Change) -> bool:
    if change.kind is not ChangeKind.SETTING:
        return change.kind in _EVERYWHERE
    row = next((s for s in snapshot.settings if s.name == change.object.name), None)
    return row is not None and row.category.startswith(_CATEGORIES)


def _touches(change: Change, tables: TableNames) -> bool:
    table = change.object.table or change.object.name
    return change.kind in _OF_TABLES and (change.object.schema, table) in tables


def _cause(old: Snapshot, change: Change) -> ShiftCause:
    is_gone = change.kind is ChangeKind.INDEX and change.what is What.DROPPED
    ddl = next((d.definition for d in old.index_definitions if d.oid == change.oid), None)
    return ShiftCause(
        change.kind.value,
        change.what.value,
        change.object.name,
        change.object.schema,
        change.object.table,
        change.aspect,
        None if change.before is None else str(change.before),
        None if change.after is None else str(change.after),
        ddl if is_gone else None,
        change.at,
    )
