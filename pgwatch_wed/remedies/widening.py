"""A wider type for a column that runs out of values: with its sequence, its domain, and how to undo it."""

from collections.abc import Iterator

from pgwatch_wed.facts import Column, ColumnDependent, Sequence, Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import sequences as sq
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import rebuilt
from pgwatch_wed.remedies.free_names import FreeNames
from pgwatch_wed.remedies.script import comment
from pgwatch_wed.sqltext import domains

_WIDER = {"int2": "integer", "int4": "bigint"}
_RANK = {"smallint": 0, "integer": 1, "bigint": 2, "numeric": 3}
_BUILT_IN = frozenset((21, 23, 1700))  # smallint, integer, numeric
_LOCK = (
    "ACCESS EXCLUSIVE on the table while it and its indexes are rewritten: blocks all reads and writes; tables on the "
    "other side of its foreign keys are locked against writes"
)


class Widening:
    """The remedies of one report: no two of them create a domain of the same name."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        taken = {schema: set(names) for schema, names in snapshot.relation_names.items()}
        for domain in snapshot.domains:
            taken.setdefault(domain.schema, set()).add(domain.name)
        self._names = FreeNames(taken)

    def obstacle(self, key: sq.ColumnId) -> str:
        """Say why ALTER TABLE cannot change the type at all; empty if it can."""
        if key[0] not in self._snapshot.table_by_oid:
            return "a table that refers to it was not read."
        table, column = _topmost(self._snapshot, key)
        domain = self._snapshot.domain_by_oid.get(column.type_oid)
        is_known = domain is not None and domains.is_readable(domain.definition)
        if column.type_oid not in _BUILT_IN and not is_known:
            return f"the definition of the domain {column.type} is not known, and its checks must not be lost."
        for part in _tree(self._snapshot, table):
            if column.name in self._snapshot.column_names(part.oid, part.partition_columns):
                return (
                    f"{column.name} is part of the partition key of {part.qualified}, so its type cannot be changed: create a "
                    "new partitioned table and move the rows."
                )
        return ""

    def dependents(self, key: sq.ColumnId) -> tuple[ColumnDependent, ...]:
        """Return the views and other objects that have to be dropped and created again."""
        if key[0] not in self._snapshot.table_by_oid:
            return ()
        table, column = _topmost(self._snapshot, key)
        found: dict[ColumnDependent, None] = {}
        for part in _tree(self._snapshot, table):
            for own in self._snapshot.columns_of[part.oid]:
                if own.name == column.name:
                    found |= dict.fromkeys(
                        self._snapshot.dependents_of.get((part.oid, own.attnum), ())
                    )
        return tuple(found)

    def remedies(
        self,
        keys: tuple[sq.ColumnId, ...],
        clock: sq.SequencePosition | None,
        least: str = "smallint",
    ) -> tuple[Remedy, ...]:
        """Return the steps for some columns, and with the last one for the sequence that feeds it.

        Foreign keys come first: a wide one may refer to a narrow key, but not vice versa. ``least`` is the
        narrowest type to choose.
        """
        own_domains: dict[int, tuple[str, Remedy]] = {}
        changes: dict[sq.ColumnId, Remedy] = {}
        for key in keys:
            table, column = _topmost(self._snapshot, key)
            kind = max(wider(column), least, key=_RANK.__getitem__)
            target = self._type(column, kind, own_domains)
            position = clock if key == keys[-1] else None
            changes[table.oid, column.attnum] = self._step(key, target, kind, position)
        return (*(made for _, made in own_domains.values()), *changes.values())

    def _type(self, column: Column, kind: str, made: dict[int, tuple[str, Remedy]]) -> str:
        """Return the new type: for a domain, one over the wider type that checks the same."""
        domain = self._snapshot.domain_by_oid.get(column.type_oid)
        if domain is None:
            return kind
        if domain.oid not in made:
            name = self._names.new(domain.schema, domain.name, (), kind)
            sql = domains.of_type(domain.definition, (domain.schema, name), kind)
            quoted = ident(domain.schema, name)
            step = Remedy(sql=sql, lock="none", undo=f"DROP DOMAIN {quoted};")
            made[domain.oid] = quoted, step
        return made[domain.oid][0]

    def _step(
        self, key: sq.ColumnId, target: str, kind: str, clock: sq.SequencePosition | None
    ) -> Remedy:
        table, column = _topmost(self._snapshot, key)
        change = (
            f"ALTER TABLE {ident(table.schema, table.name)} ALTER COLUMN {ident(column.name)} TYPE"
        )
        sequence = _sequence_change(clock, column, kind) if clock is not None else ""
        analyze = self._analyze(table)
        notes = [
            *(comment(note) for note in self._notes(key)),
            *rebuilt.warnings(self._snapshot, table),
        ]
        sql = [*notes, f"{change} {target};", *([sequence] if sequence else []), analyze]
        # the sequence first: it fails where values have gone beyond, and the columns are left as they are
        undo = [restored(clock.sequence)] if clock is not None and sequence else []
        undo += [
            f"{change} {column.type};",
            analyze,
            comment(
                f"It fails, and changes nothing, once there are values that {column.type} cannot hold."
            ),
        ]
        return Remedy(sql="\n".join(sql), lock=_LOCK, undo="\n".join(undo))

    def _notes(self, key: sq.ColumnId) -> Iterator[str]:
        found = self.dependents(key)
        if found:
            yield (
                "ALTER TABLE fails as long as these use the column: save their definitions, drop them, and create them again "
                f"afterwards: {', '.join(map(described, found))}"
            )

    def _analyze(self, table: Table) -> str:
        """Return ANALYZE: the statistics of the column are lost; inheritance children have their own."""
        tables = [table] if table.kind == "p" else _tree(self._snapshot, table)
        names = (ident(t.schema, t.name) for t in tables)
        return f"ANALYZE {', '.join(names)};"


def described(dependent: ColumnDependent) -> str:
    """Name an object that uses a column."""
    name = f"{dependent.schema}.{dependent.name}" if dependent.schema else dependent.name
    return f"{dependent.kind} {name}"


def wider(column: Column) -> str:
    """Return the next larger type."""
    return _WIDER.get(column.base_type, "numeric")


def restored(sequence: Sequence) -> str:
    """Return the statement that gives a sequence its type and bounds again, to the letter."""
    return (
        f"ALTER SEQUENCE {ident(sequence.schema, sequence.name)} AS {sequence.type} "
        f"MINVALUE {sequence.min_value} MAXVALUE {sequence.max_value};"
    )


def _sequence_change(clock: sq.SequencePosition, column: Column, kind: str) -> str:
    """Return what lets a sequence go beyond the end of the column's old type; empty if it already does."""
    end = clock.end_in(column)
    if end is None or clock.comes_before(end, clock.own_end):
        return ""
    return extended(clock, "bigint" if kind == "numeric" else kind)


def extended(clock: sq.SequencePosition, wanted: str) -> str:
    """Return the statement that moves the end of a sequence to that of a type, and changes nothing else."""
    sequence = clock.sequence
    words = []
    if _RANK.get(sequence.type, _RANK["bigint"]) < _RANK.get(wanted, -1):
        words.append(f"AS {wanted}")
        # with the type, PostgreSQL changes each bound that is that of the type
        begin = sequence.min_value if clock.is_ascending else sequence.max_value
        if begin == sq.end_of(sequence.type, is_ascending=not clock.is_ascending):
            words.append(f"{'MINVALUE' if clock.is_ascending else 'MAXVALUE'} {begin}")
    if clock.own_end != sq.end_of(sequence.type, is_ascending=clock.is_ascending):
        words.append("NO MAXVALUE" if clock.is_ascending else "NO MINVALUE")
    return f"ALTER SEQUENCE {ident(sequence.schema, sequence.name)} {' '.join(words)};"


def _topmost(snapshot: Snapshot, key: sq.ColumnId) -> tuple[Table, Column]:
    """Return the table whose column is to be changed: partitions and children follow their parent."""
    table, column = snapshot.table_by_oid[key[0]], snapshot.column_by_key[key]
    passed = {table.oid}
    while (above := snapshot.table_by_oid.get(table.parent_oid or 0)) is not None:
        same = [c for c in snapshot.columns_of[above.oid] if c.name == column.name]
        if not same or above.oid in passed:
            break
        passed.add(above.oid)
        table, column = above, same[0]
    return table, column


def _tree(snapshot: Snapshot, table: Table) -> list[Table]:
    """Return a table with its partitions and children at every level."""
    return [snapshot.table_by_oid[oid] for oid in ix.partitions(snapshot, table.oid)]
