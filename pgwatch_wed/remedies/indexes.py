"""SQL that creates, replaces and drops indexes without blocking reads or writes, and how to undo it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held


def drop(snapshot: Snapshot, index: Index) -> Remedy:
    """Return the SQL that drops an index, or the constraint that owns it, with the SQL to recreate it."""
    table = snapshot.table_by_oid.get(index.table_oid)
    definition = snapshot.definition_by_oid.get(index.oid)
    if index.constraint_name is not None and table is not None:
        return Remedy(
            sql=f"ALTER TABLE {ident(table.schema, table.name)} "
            f"DROP CONSTRAINT {ident(index.constraint_name)};",
            lock="ACCESS EXCLUSIVE on the table: briefly blocks all reads and writes; set lock_timeout first",
            undo=_constraint_undo(snapshot, index, table),
        )
    name = ident(index.schema, index.name)
    if index.kind == "I":
        return Remedy(
            sql=f"DROP INDEX {name};", lock=held.DROP_PARENT, undo=statement(definition) or _NO_UNDO
        )
    return Remedy(
        sql=f"DROP INDEX CONCURRENTLY {name};",
        lock=held.CONCURRENTLY,
        in_transaction=False,
        undo=concurrently(definition) or _NO_UNDO,
    )


_NO_UNDO = "-- the definition could not be read because the table is locked; save it before you drop the index"


def _constraint_undo(snapshot: Snapshot, index: Index, table: Table) -> str:
    kind = {"p": "PRIMARY KEY", "u": "UNIQUE"}.get(index.constraint_type or "", "")
    columns = ", ".join(ident(c) for c in snapshot.column_names(index.table_oid, index.keys))
    nulls = " NULLS NOT DISTINCT" if index.nulls_not_distinct else ""
    later = "" if index.is_immediate else " DEFERRABLE"
    return (
        f"ALTER TABLE {ident(table.schema, table.name)} ADD CONSTRAINT "
        f"{ident(index.constraint_name or index.name)} {kind}{nulls} ({columns}){later};"
    )


def statement(definition: str | None) -> str:
    """End a definition with a semicolon."""
    return f"{definition};" if definition else ""


def concurrently(definition: str | None) -> str:
    """Return CREATE INDEX text with CONCURRENTLY in it."""
    if not definition:
        return ""
    return re.sub(r"\A(CREATE (?:UNIQUE )?INDEX) ", r"\1 CONCURRENTLY ", definition) + ";"


def shape(snapshot: Snapshot, index: Index) -> str | None:
    """Return an index's definition from USING on, or None if it could not be read."""
    table = snapshot.table_by_oid.get(index.table_oid)
    definition = snapshot.definition_by_oid.get(index.oid, "")
    if table is None:
        return None
    head = f"CREATE{' UNIQUE' if index.is_unique else ''} INDEX {ident(index.name)} ON "
    for only in ("", "ONLY "):
        start = f"{head}{only}{ident(table.schema, table.name)} "
        if definition.startswith(start):
            return definition.removeprefix(start)
    return None


def replaced_by(
    snapshot: Snapshot, table: Table, index: Index, new_shape: str, suffix: str
) -> tuple[Remedy, ...]:
    """Return the steps that create an index with another definition and then drop the old one."""
    words = (*snapshot.column_names(index.table_oid, [a for a in index.keys if a]), suffix)
    return (build(snapshot, table, new_shape, words), drop(snapshot, index))


def new_name(
    snapshot: Snapshot,
    table: Table,
    parts: Iterable[str],
    suffix: str = "idx",
    also_taken: Iterable[str] = (),
) -> str:
    """Return a name as PostgreSQL would choose it, of at most 63 bytes and not in use in the schema."""
    taken = snapshot.relation_names.get(table.schema, frozenset()) | set(also_taken)
    stem = "_".join((table.name, *parts))
    number = 0
    while True:
        tail = f"_{suffix}{number or ''}"
        name = _cut(stem, 63 - len(tail)) + tail
        if name not in taken:
            return name
        number += 1


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")


def create(snapshot: Snapshot, table: Table, columns: tuple[str, ...]) -> Remedy:
    """Return the SQL that creates a B-tree on columns without blocking writes, partitions included."""
    listed = ", ".join(ident(c) for c in columns)
    return build(snapshot, table, f"({listed})", columns)


def build(snapshot: Snapshot, table: Table, shape: str, parts: Iterable[str]) -> Remedy:
    """Return the SQL that creates an index (``USING brin (at)``) without blocking writes.

    ``parts`` go into its name. CONCURRENTLY is not possible on a partitioned table: there the index is
    created on the parent alone, built on each partition, and attached.
    """
    words = tuple(parts)
    name = new_name(snapshot, table, words)
    if table.kind != "p":
        return Remedy(
            sql=f"CREATE INDEX CONCURRENTLY {ident(name)} ON {ident(table.schema, table.name)} {shape};",
            lock=held.CONCURRENTLY,
            in_transaction=False,
            undo=f"DROP INDEX CONCURRENTLY {ident(table.schema, name)};",
        )
    script = _PartitionScript(snapshot, shape, words, {name}, {table.oid})
    return Remedy(
        sql="\n".join(script.lines(table, name)),
        lock=f"briefly SHARE on the partitioned table; then {held.CONCURRENTLY}, one partition at a time",
        in_transaction=False,
        undo=f"DROP INDEX {ident(table.schema, name)};",
    )


@dataclass(frozen=True, slots=True)
class _PartitionScript:
    snapshot: Snapshot
    shape: str
    words: tuple[str, ...]
    taken: set[str]
    seen: set[int]

    def lines(self, table: Table, name: str) -> Iterator[str]:
        """Yield the statements for one level of partitions; each one is completed before it is attached."""
        yield f"CREATE INDEX {ident(name)} ON ONLY {ident(table.schema, table.name)} {self.shape};"
        for part in self.snapshot.partitions_of[table.oid]:
            if part.oid in self.seen:
                continue
            self.seen.add(part.oid)
            child = new_name(self.snapshot, part, self.words, also_taken=self.taken)
            self.taken.add(child)
            if part.kind == "p":
                yield from self.lines(part, child)
            else:
                where = ident(part.schema, part.name)
                yield f"CREATE INDEX CONCURRENTLY {ident(child)} ON {where} {self.shape};"
            parent, attached = ident(table.schema, name), ident(part.schema, child)
            yield f"ALTER INDEX {parent} ATTACH PARTITION {attached};"
