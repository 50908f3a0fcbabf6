"""SQL that creates, replaces and drops indexes without blocking reads or writes, and how to undo it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Constraint, Index, MissingIndex, OtherRelation, Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies import partitions
from pgwatch_wed.remedies.free_names import FreeNames
from pgwatch_wed.remedies.partitions import IndexedTable, OldIndex, OwnedBy
from pgwatch_wed.remedies.script import Script, Step, lines
from pgwatch_wed.sqltext import definitions
from pgwatch_wed.sqltext.definitions import IndexText

_NO_UNDO = "-- the definition could not be read because the table is locked; save it before you drop the index"
_NO_TABLE = (
    "-- none: its table was not read; the index of a TOAST table is created by PostgreSQL itself"
)
_NO_EXCLUSION = "-- not known: save the output of pg_get_constraintdef() before you drop it"
_NO_PARTS = "-- not known: some of its partitions are in skipped schemas"
_KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE"}


@dataclass(frozen=True, slots=True)
class AdvisedIndex:
    """An index recommended by the advisor, and the script that builds it."""

    advice: MissingIndex
    script: Script

    def begins_with(self, columns: Iterable[str]) -> bool:
        """Tell whether it is a B-tree of every row, led by these columns in any order."""
        text = definitions.read(self.advice.ddl)
        is_btree = self.advice.method == "btree"
        return is_btree and text is not None and text.begins_with(frozenset(columns))


class IndexBuilder:
    """Builds the indexes of one report: an index recommended twice is the same, and no name is used twice."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._names = FreeNames(snapshot.relation_names)
        self._made: dict[tuple[str, str, object], Script] = {}
        # first, since its names are already chosen
        self.advised = tuple(self._of_the_advisor())

    def build(self, table: Table, shape: str) -> Script:
        """Return the script for an index of this shape (``USING brin (at)``) on a table and its partitions."""
        text = definitions.of_shape(shape)
        if text is None:  # a column that was not read
            sql = f"CREATE INDEX CONCURRENTLY ON {ident(table.schema, table.name)} {shape}"
            return Script((Step(sql, held.CONCURRENTLY, in_transaction=False),))
        return self._script(_tree(self._snapshot, table), text)

    def named(self, schema: str, table: str, ddl: str, name: str) -> Script:
        """Return the script for an index that already has a name; ``ddl`` is its CREATE INDEX."""
        text = definitions.read(ddl)
        if text is None:
            return Script((Step(ddl.removesuffix(";"), held.SHARE),))
        found = next(
            (t for t in self._snapshot.tables if (t.schema, t.name) == (schema, table)), None
        )
        tree = _tree(self._snapshot, found) if found else IndexedTable(schema, table, "r")
        return self._script(tree, text, name)

    def advised_for(self, table: Table, columns: tuple[str, ...]) -> Script | None:
        """Return the script of a recommended index that begins with these columns, if there is one."""
        for each in self.advised:
            here = (each.advice.schema, each.advice.table) == (table.schema, table.name)
            if here and each.begins_with(columns):
                return each.script
        return None

    def replaced(self, table: Table, index: Index, shape: str) -> tuple[Remedy, Remedy]:
        """Return the steps that create an index of another shape and then drop the old one."""
        return self.build(table, shape).remedy, drop(self._snapshot, index)

    def completed(self, table: Table, index: Index) -> Remedy | None:
        """Return what makes a partitioned index valid; None if its definition could not be read."""
        old = _old(self._snapshot, index)
        if old.text is None:
            return None
        tree = _tree(self._snapshot, table)
        script = partitions.complete(tree, old, self._names, words_of(old.text))
        return script.remedy if script is not None else None

    def _of_the_advisor(self) -> Iterator[AdvisedIndex]:
        for advice in self._snapshot.missing_indexes:
            self._names.take(advice.schema, advice.name)
        for advice in self._snapshot.missing_indexes:
            script = self.named(advice.schema, advice.table, advice.ddl, advice.name)
            yield AdvisedIndex(advice, script)

    def _script(self, tree: IndexedTable, text: IndexText, name: str = "") -> Script:
        key = (*tree.path, (text.form, text.order))
        if key not in self._made:
            words = words_of(text)
            name = name or self._names.new(tree.schema, tree.name, words)
            self._made[key] = partitions.build(tree, text, name, self._names, words)
        return self._made[key]


def words_of(text: IndexText) -> tuple[str, ...]:
    """Return the words that name an index of this kind."""
    method = text.form[0]
    return (
        *text.labels,
        *(() if method == "btree" else (str(method),)),
        *(("part",) if text.where else ()),
        *(("incl",) if text.include else ()),
    )


def drop(snapshot: Snapshot, index: Index) -> Remedy:
    """Return the SQL that drops an index, or the constraint that owns it, and that re-creates it."""
    table = snapshot.table_by_oid.get(index.table_oid)
    undo = _undo(snapshot, index, table)
    if index.constraint_name is not None and table is not None:
        name = ident(table.schema, table.name)
        sql = f"ALTER TABLE {name} DROP CONSTRAINT {ident(index.constraint_name)};"
        lock = held.DROP_PARENT if index.kind == "I" else held.BRIEF_EXCLUSIVE
        return Remedy(sql=sql, lock=lock, undo=undo)
    name = ident(index.schema, index.name)
    if index.kind == "I":
        return Remedy(sql=f"DROP INDEX {name};", lock=held.DROP_PARENT, undo=undo)
    sql = f"DROP INDEX CONCURRENTLY {name};"
    return Remedy(sql=sql, lock=held.CONCURRENTLY, in_transaction=False, undo=undo)


def _undo(snapshot: Snapshot, index: Index, table: Table | None) -> str:
    if table is None:
        return _NO_TABLE
    if index.is_exclusion:
        return _NO_EXCLUSION
    if has_unseen_parts(snapshot, table):
        return _NO_PARTS
    # reading the definitions of all other indexes takes time, and only partitions' are needed
    alone = IndexedTable(table.schema, table.name, table.kind)
    top = _tree(snapshot, table) if index.kind == "I" else alone
    steps = partitions.restored(top, _old(snapshot, index))
    return "\n".join(lines(steps)) if steps is not None else _NO_UNDO


def has_unseen_parts(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether a partition that may have indexes was left out."""
    oids = ix.partitions(snapshot, table.oid) if table.kind == "p" else ()
    return any(part.kind != "f" for oid in oids for part in snapshot.other_partitions_of[oid])


def shape(snapshot: Snapshot, index: Index) -> str | None:
    """Return an index's definition from USING on, or None if it could not be read."""
    text = definitions.read(snapshot.definition_by_oid.get(index.oid, ""))
    return text.shape if text is not None else None


# Input of the script builder


def _tree(snapshot: Snapshot, table: Table, above: tuple[int, ...] = ()) -> IndexedTable:
    """Return a table with its partitions at every level; inheritance children are separate tables."""
    return IndexedTable(
        table.schema,
        table.name,
        table.kind,
        tuple(_parts(snapshot, table, above)),
        tuple(_old(snapshot, i) for i in snapshot.indexes_of[table.oid] if i.is_live),
    )


def _parts(
    snapshot: Snapshot, table: Table | OtherRelation, above: tuple[int, ...]
) -> Iterator[IndexedTable]:
    if table.kind != "p":
        return
    path = (*above, table.oid)
    # tables come largest first; as they were created is an order that people know
    for part in sorted(snapshot.partitions_of[table.oid], key=lambda t: t.oid):
        if part.oid not in path:
            yield _tree(snapshot, part, path)
    # foreign tables, and partitions left out: nothing is known about their indexes
    for other in snapshot.other_partitions_of[table.oid]:
        if other.oid not in path:
            parts = tuple(_parts(snapshot, other, path))
            yield IndexedTable(other.schema, other.name, other.kind, parts)


def _old(snapshot: Snapshot, index: Index) -> OldIndex:
    # the index of an exclusion constraint does not tell everything
    definition = "" if index.is_exclusion else snapshot.definition_by_oid.get(index.oid, "")
    return OldIndex(
        oid=index.oid,
        schema=index.schema,
        name=index.name,
        definition=definition,
        is_valid=index.is_usable,
        parent_oid=index.parent_oid,
        constraint=_owner(snapshot, index),
        tablespace=index.tablespace,
        after=tuple(_after(snapshot, index)),
    )


def _owner(snapshot: Snapshot, index: Index) -> OwnedBy | None:
    if index.constraint_name is None:
        return None
    deferral = "" if index.is_immediate else " DEFERRABLE"
    if deferral and any(c.is_deferred for c in _constraints(snapshot, index)):
        deferral += " INITIALLY DEFERRED"
    return OwnedBy(index.constraint_name, _KINDS.get(index.constraint_type or "", ""), deferral)


def _constraints(snapshot: Snapshot, index: Index) -> Iterator[Constraint]:
    of_table = snapshot.constraints_of[index.table_oid]
    return (c for c in of_table if c.oid == index.constraint_oid)


def _after(snapshot: Snapshot, index: Index) -> Iterator[Step]:
    """Yield what an index has in addition to its definition."""
    name = ident(index.schema, index.name)
    table = snapshot.table_by_oid.get(index.table_oid)
    found = snapshot.index_definition_by_oid.get(index.oid)
    if found is not None:
        targets = zip(found.statistics_columns, found.statistics_targets, strict=False)
        for column, target in targets:
            sql = f"ALTER INDEX {name} ALTER COLUMN {column} SET STATISTICS {target}"
            yield Step(sql, held.ON_INDEX)
        if found.comment is not None:
            yield Step(f"COMMENT ON INDEX {name} IS {literal(found.comment)}", held.ON_INDEX)
        if found.constraint_comment is not None and table is not None:
            what = f"{ident(index.constraint_name or '')} ON {ident(table.schema, table.name)}"
            text = literal(found.constraint_comment)
            yield Step(f"COMMENT ON CONSTRAINT {what} IS {text}", held.SHARE_UPDATE)
    if index.is_clustered and table is not None:
        sql = f"ALTER TABLE {ident(table.schema, table.name)} CLUSTER ON {ident(index.name)}"
        yield Step(sql, held.SHARE_UPDATE)
