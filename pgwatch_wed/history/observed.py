"""What statements did before and after a change, from the series of the history."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import series
from pgwatch_wed.history.dropped_indexes import last_drop
from pgwatch_wed.history.effects import ChangeTimes, Doings, ObservedWork, Work
from pgwatch_wed.history.series import KnownStatement
from pgwatch_wed.history.work_rows import StatementInterval
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.sqltext.reading import QualifiedName, Reading, query

_PAST = timedelta(days=120)
# Where runs are frequent, more than this would only take time.
_MOST_BEFORE = 150
_MOST_AFTER = 120
_WRITES = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What a change may reach: statements by their keys, and tables by all their names; ``of_all``: everything."""

    keys: frozenset[str]
    tables: frozenset[QualifiedName] = frozenset()
    of_all: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The series around a change, ready to be measured, with the text of each statement."""

    times: ChangeTimes
    work: ObservedWork
    texts: Mapping[int, str | None]


def around(
    connection: sa.Connection,
    database_id: int,
    snapshot: Snapshot,
    scope: Scope,
    absent_at: datetime,
    there_at: datetime,
) -> Seen:
    """Return what all statements did around a change, by what they have to do with it."""
    since = absent_at - _PAST
    dropped = last_drop(connection, database_id, scope.tables, since, absent_at)
    if dropped is not None:
        since = dropped + timedelta(microseconds=1)  # without the interval in which it was dropped
    spans = series.intervals_of(connection, database_id, since, snapshot.now)
    told = [s for s in spans if not s.reason]
    before = [s for s in told if s.ended_at <= absent_at][-_MOST_BEFORE:]
    known_spans = [*before, *[s for s in told if s.ended_at > absent_at][:_MOST_AFTER]]
    since = known_spans[0].ended_at if known_spans else snapshot.now
    until = known_spans[-1].ended_at if known_spans else snapshot.now
    number = {s.ended_at: n for n, s in enumerate(known_spans)}
    works = {
        statement: _doings(rows, number)
        for statement, rows in series.of_all_statements(
            connection, database_id, since, until
        ).items()
    }
    known = {s.id: s for s in series.known_statements(connection, database_id) if s.id in works}
    times = ChangeTimes([(s.began_at, s.ended_at) for s in known_spans], absent_at, there_at)
    groups = _grouped(known.values(), scope, _tables(snapshot))
    return Seen(
        times,
        ObservedWork(**{name: {s: works[s] for s in ids} for name, ids in groups.items()}),
        {s.id: s.text for s in known.values()},
    )


def _doings(rows: Iterable[StatementInterval], number: Mapping[datetime, int]) -> Doings:
    return {
        number[r.ended_at]: Work(r.calls, r.blocks + r.temp_blocks, r.exec_ms)
        for r in rows
        if r.ended_at in number
    }


def _grouped(
    known: Iterable[KnownStatement], scope: Scope, tables: frozenset[str]
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"treated": [], "controls": [], "others": [], "writers": []}
    for s in known:
        group = "treated" if s.key in scope.keys else _group(s, scope, tables)
        if group:
            found[group].append(s.id)
    return found


def _group(statement: KnownStatement, scope: Scope, tables: frozenset[str]) -> str:
    """Return what a statement has to do with the change; "" if that is not known."""
    if statement.text is None or _is_tooling(statement.text) or scope.of_all:
        return ""
    read = query(statement.text)
    if read is None:
        return ""
    if _touches(read, scope.tables):
        return "writers" if read.kinds & _WRITES else "others"
    # a view or a function may read the table
    is_plain = read.relations and all(r.name in tables for r in read.relations)
    return "controls" if is_plain else ""


def _is_tooling(text: str) -> bool:
    return statement_text.is_own(text) or statement_text.is_monitoring(text)


def _touches(read: Reading, tables: frozenset[QualifiedName]) -> bool:
    return any(
        r.name == t.name and (r.schema is None or r.schema == t.schema)
        for r in read.relations
        for t in tables
    )


def _tables(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(t.name for t in snapshot.tables)
