"""The tables and columns that the names in a statement's text mean."""

from pgwatch_wed.facts import Column, Snapshot, Table
from pgwatch_wed.sqltext.levels import Level, Name, Relation


def table_of(snapshot: Snapshot, level: Level, name: Name) -> Table | None:
    """Return the table that a column belongs to; None if that does not follow from the text.

    An unqualified table must exist in only one schema, and an unqualified column in only one of the
    level's tables.
    """
    candidates = [r for r in level.relations if name.alias in (None, r.alias)]
    found = {
        t.oid: t
        for r in candidates
        if (t := relation(snapshot, r)) is not None and column(snapshot, t, name.column) is not None
    }
    return next(iter(found.values())) if len(found) == 1 else None


def may_mean(snapshot: Snapshot, level: Level, name: Name, table: Table) -> bool:
    """Tell whether a column may belong to a table: a qualified one to that of its alias, another one to any with it."""
    candidates = [r for r in level.relations if name.alias in (None, r.alias)]
    return any(relation(snapshot, r) is table for r in candidates) and (
        column(snapshot, table, name.column) is not None
    )


def relation(snapshot: Snapshot, wanted: Relation) -> Table | None:
    """Return the table of a FROM clause; see :func:`table`."""
    return table(snapshot, wanted.schema, wanted.name)


def table(snapshot: Snapshot, schema: str | None, name: str) -> Table | None:
    """Return the table of a name; None if an unqualified name exists in several schemas."""
    found = [t for t in snapshot.tables_named.get(name, ()) if schema in (None, t.schema)]
    return found[0] if len(found) == 1 else None


def column(snapshot: Snapshot, table: Table, name: str) -> Column | None:
    """Return a table's column by name."""
    return next((c for c in snapshot.columns_of[table.oid] if c.name == name), None)
