"""What differs in the structure of a database: tables, columns, indexes, constraints, sequences, statistics objects."""

from collections.abc import Iterator
from typing import Any

from pgwatch_wed.facts import Column, Constraint, Index, Sequence, Snapshot, Table
from pgwatch_wed.findings import Object
from pgwatch_wed.history.change import (
    Aspects,
    Change,
    ChangeKind,
    ChangeValue,
    What,
    altered,
    compared,
    joined,
    yes,
)
from pgwatch_wed.history.pairing import Oids, Pairing
from pgwatch_wed.postgres import indexes as ix


def structure_changes(pairing: Pairing) -> Iterator[Change]:
    """Yield what differs in the structure of the database."""
    yield from _tables(pairing)
    yield from _columns(pairing)
    yield from _indexes(pairing)
    yield from _constraints(pairing)
    yield from _sequences(pairing)
    yield from _statistics(pairing)


def _key(pairs: Oids) -> Any:
    return lambda row: pairs.get(row.oid, ("old", row.oid))


def _renamed(pairing: Pairing, was: Any, now: Any) -> bool:
    return pairing.has_names and (was.schema, was.name) != (now.schema, now.name)


# --- tables ---------------------------------------------------------------------------------------


def _tables(pairing: Pairing) -> Iterator[Change]:
    found = compared(pairing, "tables", _key(pairing.tables), lambda t: t.oid)
    old, new = pairing.old, pairing.new
    kind = ChangeKind.TABLE
    for table in _own(found.gone):
        yield Change(
            kind, What.DROPPED, ix.table_object(old, table), table.qualified, None, table.oid
        )
    for table in _own(found.come):
        yield Change(
            kind, What.CREATED, ix.table_object(new, table), None, table.qualified, table.oid
        )
    for was, now in found.both:
        if now.is_in_extension:
            continue
        name = ix.table_object(new, now)
        if _renamed(pairing, was, now):
            yield Change(kind, What.RENAMED, name, was.qualified, now.qualified, now.oid)
        if was.oid != now.oid and not pairing.by_name:
            yield Change(kind, What.RECREATED, name, was.qualified, now.qualified, now.oid)
        for aspect, a, b in altered(was, now, _TABLE):
            yield Change(kind, What.ALTERED, name, a, b, now.oid, aspect)
        yield from _attached(pairing, was, now, name)


def _own(tables: tuple[Any, ...]) -> Iterator[Any]:
    return (t for t in tables if not t.is_in_extension)


def _options(options: tuple[str, ...]) -> str | None:
    return joined(sorted(options))


_KINDS = {"r": "table", "p": "partitioned table", "m": "materialized view"}
_PERSISTENCE = {"p": "logged", "u": "unlogged"}
_IDENTITY = {"d": "default", "n": "nothing", "f": "full", "i": "index"}
_TABLE: Aspects = {
    "kind": lambda t: _KINDS.get(t.kind, t.kind),
    "storage parameters": lambda t: _options(t.options),
    "storage parameters of TOAST": lambda t: _options(t.toast_options),
    "persistence": lambda t: _PERSISTENCE.get(t.persistence, t.persistence),
    "replica identity": lambda t: _IDENTITY.get(t.replica_identity, t.replica_identity),
    "tablespace": lambda t: t.tablespace,
    "access method": lambda t: t.access_method,
    "owner": lambda t: t.owner,
    "triggers": lambda t: yes(t.has_triggers),
}


def _attached(pairing: Pairing, was: Table, now: Table, name: Object) -> Iterator[Change]:
    before = None if was.parent_oid is None else pairing.tables.get(was.parent_oid, -1)
    if before != now.parent_oid:
        a, b = _qualified(pairing.old, was.parent_oid), _qualified(pairing.new, now.parent_oid)
        yield Change(ChangeKind.TABLE, What.ALTERED, name, a, b, now.oid, "parent")


def _qualified(snapshot: Snapshot, oid: int | None) -> str | None:
    if oid is None:
        return None
    table = snapshot.table_by_oid.get(oid)
    return table.qualified if table else "?"


# --- columns --------------------------------------------------------------------------------------


def _columns(pairing: Pairing) -> Iterator[Change]:
    if not pairing.has("tables", "columns"):
        return
    may_drop, may_create = pairing.is_whole("columns"), pairing.was_whole("columns")
    old, new = pairing.old, pairing.new
    for was, now in pairing.tables.items():
        before, after = old.columns_of[was], new.columns_of[now]
        if before == after or new.table_by_oid[now].is_in_extension:
            continue
        same_oid = was == now and not pairing.by_name
        mine = {c.attnum if same_oid else c.name: c for c in before}
        theirs = {c.attnum if same_oid else c.name: c for c in after}
        gone = {c.name: c for k, c in mine.items() if k not in theirs}
        come = {c.name: c for k, c in theirs.items() if k not in mine}
        table = new.table_by_oid[now]
        for name in gone.keys() - come.keys() if may_drop else ():
            yield _column(new, table, gone[name], What.DROPPED, gone[name].type, None)
        for name in come.keys() - gone.keys() if may_create else ():
            yield _column(new, table, come[name], What.CREATED, None, come[name].type)
        for name in come.keys() & gone.keys():
            types = gone[name].type, come[name].type
            yield _column(new, table, come[name], What.RECREATED, *types)
        for key in mine.keys() & theirs.keys():
            yield from _both_columns(pairing, table, mine[key], theirs[key])


def _both_columns(pairing: Pairing, table: Table, was: Column, now: Column) -> Iterator[Change]:
    if was.name != now.name and pairing.has_names:
        yield _column(pairing.new, table, now, What.RENAMED, was.name, now.name)
    for aspect, a, b in altered(was, now, _COLUMN):
        yield _column(pairing.new, table, now, What.ALTERED, a, b, aspect)


def _column(
    snapshot: Snapshot,
    table: Table,
    column: Column,
    what: What,
    before: ChangeValue,
    after: ChangeValue,
    aspect: str = "",
) -> Change:
    name = f"{table.name}.{column.name}"
    where = Object("column", name, snapshot.server.database, table.schema, table.name)
    return Change(ChangeKind.COLUMN, what, where, before, after, table.oid, aspect)


_COLUMN: Aspects = {
    "type": lambda c: c.type,
    "not null": lambda c: yes(c.is_not_null),
    "default": lambda c: yes(c.has_default),
    "identity": lambda c: c.identity or None,
    "generated": lambda c: c.generated or None,
    "storage": lambda c: c.type_storage,
    "statistics target": lambda c: c.statistics_target,
    "n_distinct": lambda c: c.n_distinct_option,
}


# --- indexes --------------------------------------------------------------------------------------


def _indexes(pairing: Pairing) -> Iterator[Change]:
    found = compared(pairing, "indexes", _key(pairing.indexes), lambda i: i.oid)
    old, new = pairing.old, pairing.new
    kind = ChangeKind.INDEX
    for index in _own(found.gone):
        name = ix.object_of(old, index)
        yield Change(kind, What.DROPPED, name, definition(old, index), None, index.oid)
    for index in _own(found.come):
        name = ix.object_of(new, index)
        yield Change(kind, What.CREATED, name, None, definition(new, index), index.oid)
    for was, now in found.both:
        if not now.is_in_extension:
            yield from _index(pairing, was, now)


def _index(pairing: Pairing, was: Index, now: Index) -> Iterator[Change]:
    name, kind = ix.object_of(pairing.new, now), ChangeKind.INDEX
    if _renamed(pairing, was, now):
        yield Change(kind, What.RENAMED, name, was.qualified, now.qualified, now.oid)
    if was.oid != now.oid:
        texts = definition(pairing.old, was), definition(pairing.new, now)
        differ = texts[0] != texts[1] and pairing.has_names
        if not pairing.by_name or differ:
            what = What.ALTERED if pairing.by_name else What.RECREATED
            yield Change(kind, what, name, *texts, now.oid, "definition")
    if was.is_usable != now.is_usable:
        what = What.VALID if now.is_usable else What.INVALID
        yield Change(kind, what, name, yes(was.is_usable), yes(now.is_usable), now.oid)
    for aspect, a, b in altered(was, now, _INDEX):
        yield Change(kind, What.ALTERED, name, a, b, now.oid, aspect)


_INDEX: Aspects = {
    "storage parameters": lambda i: _options(i.options),
    "tablespace": lambda i: i.tablespace,
    "clustered": lambda i: yes(i.is_clustered),
    "replica identity": lambda i: yes(i.is_replica_identity),
}


def definition(snapshot: Snapshot, index: Index) -> str:
    """Return CREATE INDEX, or without it, since the relation was locked, what it is over."""
    text = snapshot.definition_by_oid.get(index.oid)
    if text is not None:
        return text
    columns = ", ".join(snapshot.column_names(index.table_oid, index.keys))
    return f"{index.access_method} ({columns})"


# --- constraints ----------------------------------------------------------------------------------


def _constraints(pairing: Pairing) -> Iterator[Change]:
    if not pairing.has("tables"):
        return
    by_oid = pairing.is_same_server
    tables = pairing.tables
    # pg_upgrade does not keep the oids of constraints
    found = compared(
        pairing,
        "constraints",
        lambda c: c.oid if by_oid else (tables.get(c.table_oid, -c.table_oid), c.name),
        lambda c: c.oid if by_oid else (c.table_oid, c.name),
    )
    gone = {(tables.get(c.table_oid, -c.table_oid), c.name): c for c in found.gone}
    come = {(c.table_oid, c.name): c for c in found.come}
    for key in gone.keys() - come.keys():
        yield from _constraint(pairing.old, gone[key], What.DROPPED, True)
    for key in come.keys() - gone.keys():
        yield from _constraint(pairing.new, come[key], What.CREATED, False)
    for was, now in (*((gone[k], come[k]) for k in gone.keys() & come.keys()), *found.both):
        yield from _both_constraints(pairing, was, now)


def _constraint(
    snapshot: Snapshot, constraint: Constraint, what: What, is_before: bool
) -> Iterator[Change]:
    table = snapshot.table_by_oid.get(constraint.table_oid)
    if table is None or table.is_in_extension or constraint.kind == _NOT_NULL:
        return  # NOT NULL is told of the column
    text = _over(snapshot, constraint)
    yield Change(
        ChangeKind.CONSTRAINT,
        what,
        ix.constraint_object(snapshot, constraint, table),
        text if is_before else None,
        None if is_before else text,
        table.oid,
    )


_NOT_NULL = "n"
_CONSTRAINTS = {
    "p": "primary key",
    "u": "unique",
    "f": "foreign key",
    "x": "exclusion",
    "c": "check",
}


def _over(snapshot: Snapshot, constraint: Constraint) -> str:
    columns = ", ".join(snapshot.column_names(constraint.table_oid, constraint.columns))
    text = f"{_CONSTRAINTS.get(constraint.kind, constraint.kind)} ({columns})"
    if constraint.referenced_oid is None:
        return text
    return f"{text} references {_qualified(snapshot, constraint.referenced_oid)}"


def _both_constraints(pairing: Pairing, was: Constraint, now: Constraint) -> Iterator[Change]:
    table = pairing.new.table_by_oid.get(now.table_oid)
    if table is None or table.is_in_extension:
        return
    name = ix.constraint_object(pairing.new, now, table)
    kind = ChangeKind.CONSTRAINT
    if was.name != now.name and pairing.has_names:
        yield Change(kind, What.RENAMED, name, was.name, now.name, table.oid)
    if was.oid != now.oid and pairing.is_same_server:
        texts = _over(pairing.old, was), _over(pairing.new, now)
        yield Change(kind, What.RECREATED, name, *texts, table.oid)
    for aspect, a, b in altered(was, now, _CONSTRAINT):
        yield Change(kind, What.ALTERED, name, a, b, table.oid, aspect)


_ACTIONS = {
    "a": "no action",
    "r": "restrict",
    "c": "cascade",
    "n": "set null",
    "d": "set default",
}
_CONSTRAINT: Aspects = {
    "validated": lambda c: yes(c.is_validated),
    "enforced": lambda c: yes(c.is_enforced),
    "deferrable": lambda c: yes(c.is_deferrable),
    "initially deferred": lambda c: yes(c.is_deferred),
    "on delete": lambda c: _ACTIONS.get(c.on_delete, c.on_delete) or None,
    "on update": lambda c: _ACTIONS.get(c.on_update, c.on_update) or None,
}


# --- sequences and statistics objects -------------------------------------------------------------


def _sequences(pairing: Pairing) -> Iterator[Change]:
    found = compared(pairing, "sequences", _key(pairing.sequences), lambda s: s.oid)
    kind = ChangeKind.SEQUENCE
    for row in found.gone:
        name = _sequence_object(pairing.old, row)
        yield Change(kind, What.DROPPED, name, f"{row.schema}.{row.name}", None, row.oid)
    for row in found.come:
        name = _sequence_object(pairing.new, row)
        yield Change(kind, What.CREATED, name, None, f"{row.schema}.{row.name}", row.oid)
    for was, now in found.both:
        name = _sequence_object(pairing.new, now)
        labels = f"{was.schema}.{was.name}", f"{now.schema}.{now.name}"
        if _renamed(pairing, was, now):
            yield Change(kind, What.RENAMED, name, *labels, now.oid)
        if was.oid != now.oid and not pairing.by_name:
            yield Change(kind, What.RECREATED, name, *labels, now.oid)
        elif _went_back(was, now) and not pairing.by_name:
            yield Change(
                kind, What.ALTERED, name, was.last_value, now.last_value, now.oid, "last value"
            )
        for aspect, a, b in altered(was, now, _SEQUENCE):
            yield Change(kind, What.ALTERED, name, a, b, now.oid, aspect)


_SEQUENCE: Aspects = {
    "type": lambda s: s.type,
    "minimum": lambda s: s.min_value,
    "maximum": lambda s: s.max_value,
    "increment": lambda s: s.increment,
    "cycle": lambda s: yes(s.is_cycling),
    "cache": lambda s: s.cache,
}


def _sequence_object(snapshot: Snapshot, sequence: Sequence) -> Object:
    return Object("sequence", sequence.name, snapshot.server.database, sequence.schema)


def _went_back(was: Sequence, now: Sequence) -> bool:
    if was.last_value is None or now.last_value is None or now.is_cycling:
        return False
    difference = now.last_value - was.last_value
    return difference < 0 if now.increment > 0 else difference > 0


def _statistics(pairing: Pairing) -> Iterator[Change]:
    """Statistics objects have no oid here: one with the same columns of the same table was renamed."""
    if not pairing.has("tables"):
        return
    tables = pairing.tables
    found = compared(
        pairing,
        "extended_statistics",
        lambda s: (tables.get(s.table_oid, -s.table_oid), s.schema, s.name),
        lambda s: (s.table_oid, s.schema, s.name),
    )
    kind = ChangeKind.STATISTICS
    come = {(s.table_oid, s.columns, s.kinds, s.has_expressions): s for s in found.come}
    for row in found.gone:
        again = come.pop(
            (tables.get(row.table_oid), row.columns, row.kinds, row.has_expressions), None
        )
        if again is None:
            name = _statistics_object(pairing.old, row)
            yield Change(kind, What.DROPPED, name, _kinds(row), None, row.table_oid)
        elif pairing.has_names:
            name = _statistics_object(pairing.new, again)
            yield Change(kind, What.RENAMED, name, row.name, again.name, again.table_oid)
    for row in come.values():
        name = _statistics_object(pairing.new, row)
        yield Change(kind, What.CREATED, name, None, _kinds(row), row.table_oid)
    for was, now in found.both:
        for aspect, a, b in altered(was, now, {"kinds": _kinds}):
            name = _statistics_object(pairing.new, now)
            yield Change(kind, What.ALTERED, name, a, b, now.table_oid, aspect)


def _statistics_object(snapshot: Snapshot, row: Any) -> Object:
    table = ix.table_name(snapshot, row.table_oid)
    return Object("statistics", row.name, snapshot.server.database, row.schema, table)


def _kinds(row: Any) -> str | None:
    return joined(_STATISTICS.get(kind, kind) for kind in row.kinds)


_STATISTICS = {"d": "ndistinct", "f": "dependencies", "m": "mcv", "e": "expressions"}
