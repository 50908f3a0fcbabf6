"""A primary key for a table without one: on columns that are unique already, or on a new one; and how to undo it."""

from collections.abc import Iterator

from pgwatch_wed.facts import Column, Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import key_candidates
from pgwatch_wed.postgres.key_candidates import KeyCandidate
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies import rebuilt
from pgwatch_wed.remedies.free_names import FreeNames
from pgwatch_wed.remedies.script import comment

_NAMES = ("id", "row_id")
_ADD_COLUMN = "ACCESS EXCLUSIVE on the table while it is rewritten: blocks all reads and writes"
_SCAN = "ACCESS EXCLUSIVE on the table while it is read once: blocks all reads and writes"
_BUILD = "ACCESS EXCLUSIVE on the table and its partitions while indexes are built: blocks all reads and writes"


class PrimaryKeys:
    """The remedies of one report: no name of a constraint is used twice."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._names = FreeNames(snapshot.relation_names)

    def obstacle(self, table: Table) -> str:
        """Say why there is no SQL for a table; empty if there is."""
        if 0 in table.partition_columns:
            return "It is partitioned by an expression, so it cannot have a key on all partitions."
        if table.kind == "p" and _has_foreign_partitions(self._snapshot, table):
            return "It has foreign tables as partitions, so it cannot have a key on all partitions."
        return ""

    def adds_column(self, table: Table) -> bool:
        """Tell whether no columns are known that may identify a row."""
        return key_candidates.candidate(self._snapshot, table) is None

    def remedy(self, table: Table, children: tuple[Table, ...] = ()) -> Remedy:
        """Return the SQL; ``children`` inherit from the table and get a key on the new column, too."""
        candidate = key_candidates.candidate(self._snapshot, table)
        if candidate is None:
            return self._new_column(table, children)
        if candidate.index is not None and candidate.index.is_immediate:
            return self._not_null(table, candidate)
        if table.kind == "p":
            return self._on_partitions(table, candidate)
        if table.parent_oid is not None and not candidate.nullable:
            return self._unique_index(table, candidate)
        return self._using_index(table, candidate)

    def _not_null(self, table: Table, candidate: KeyCandidate) -> Remedy:
        """Make a unique index a key in all but name."""
        where = ident(table.schema, table.name)
        parts = ", ".join(f"ALTER COLUMN {ident(c.name)} SET NOT NULL" for c in candidate.nullable)
        assert candidate.index is not None
        note = f"{ident(candidate.index.name)} is unique; with NOT NULL, it is a key. It fails if there are NULLs:"
        return Remedy(
            sql=f"{comment(f'{note} {self._nulls(table, candidate)}')}\nALTER TABLE {where} {parts};",
            lock=_SCAN,
            undo="\n".join(self._nullable_again(table, candidate.columns)),
        )

    def _nulls(self, table: Table, candidate: KeyCandidate) -> str:
        tests = " OR ".join(f"{ident(c.name)} IS NULL" for c in candidate.nullable)
        return f"SELECT count(*) FROM {ident(table.schema, table.name)} WHERE {tests};"

    def _using_index(self, table: Table, candidate: KeyCandidate) -> Remedy:
        where, name = (
            ident(table.schema, table.name),
            self._names.new(table.schema, table.name, (), "pkey"),
        )
        columns, key = _listed(candidate.columns), ident(name)
        return Remedy(
            sql="\n".join(
                (
                    *self._how_to_check(table, candidate),
                    f"CREATE UNIQUE INDEX CONCURRENTLY {key} ON {where} ({columns});",
                    f"ALTER TABLE {where} ADD CONSTRAINT {key} PRIMARY KEY USING INDEX {key};",
                )
            ),
            lock=f"{held.CONCURRENTLY}; then {held.BRIEF_EXCLUSIVE if not candidate.nullable else _SCAN}",
            in_transaction=False,
            undo="\n".join(
                (
                    f"ALTER TABLE {where} DROP CONSTRAINT {key};",
                    *self._nullable_again(table, candidate.columns),
                )
            ),
        )

    def _unique_index(self, table: Table, candidate: KeyCandidate) -> Remedy:
        """Add only an index: with a key, NOT NULL would no longer be just inherited, which cannot be undone."""
        name = self._names.new(table.schema, table.name, [c.name for c in candidate.columns], "key")
        on = f"{ident(table.schema, table.name)} ({_listed(candidate.columns)})"
        create = f"CREATE UNIQUE INDEX CONCURRENTLY {ident(name)} ON {on};"
        return Remedy(
            sql="\n".join((*self._how_to_check(table, candidate), create)),
            lock=held.CONCURRENTLY,
            in_transaction=False,
            undo=f"DROP INDEX CONCURRENTLY {ident(table.schema, name)};",
        )

    def _how_to_check(self, table: Table, candidate: KeyCandidate) -> Iterator[str]:
        if candidate.is_unique or key_candidates.is_empty(self._snapshot, table):
            return
        columns, where = _listed(candidate.columns), ident(table.schema, table.name)
        known = (
            "No value was repeated in the sample of ANALYZE"
            if candidate.is_sampled
            else "It is not known whether values are repeated"
        )
        yield comment(
            f"{known}. To check all rows: SELECT {columns}, count(*) FROM {where} GROUP BY {columns} HAVING count(*) > 1;"
        )
        yield "-- If they are, the index cannot be built and is left invalid: then drop it."

    def _on_partitions(self, table: Table, candidate: KeyCandidate) -> Remedy:
        """Include the partition columns, as a partitioned table's key must; it cannot be built concurrently."""
        where, name = (
            ident(table.schema, table.name),
            self._names.new(table.schema, table.name, (), "pkey"),
        )
        columns = (*candidate.columns, *self._partition_columns(table, candidate.columns))
        return Remedy(
            sql="\n".join(
                (
                    *self._how_to_check(
                        table, KeyCandidate(columns, is_sampled=candidate.is_sampled)
                    ),
                    f"ALTER TABLE {where} ADD CONSTRAINT {ident(name)} PRIMARY KEY ({_listed(columns)});",
                )
            ),
            lock=_BUILD,
            undo="\n".join(
                (
                    f"ALTER TABLE {where} DROP CONSTRAINT {ident(name)};",
                    *self._nullable_again(table, columns),
                )
            ),
        )

    def _partition_columns(self, table: Table, but: tuple[Column, ...]) -> tuple[Column, ...]:
        """Return the partition columns of a table and of its partitions, in order."""
        parts = (self._snapshot.table_by_oid[o] for o in ix.partitions(self._snapshot, table.oid))
        names = dict.fromkeys(
            name for p in parts for name in self._snapshot.column_names(p.oid, p.partition_columns)
        )
        own = {c.name: c for c in self._snapshot.columns_of[table.oid]}
        return tuple(own[name] for name in names if name in own and own[name] not in but)

    def _new_column(self, table: Table, children: tuple[Table, ...]) -> Remedy:
        column = ident(next(n for n in _names(table) if n not in self._taken(table)))
        key = (column, *(ident(c.name) for c in self._partition_columns(table, ())))
        where = ident(table.schema, table.name)
        add = f"ADD COLUMN {column} {self._type(table)}, ADD PRIMARY KEY ({', '.join(key)})"
        sql = [*rebuilt.warnings(self._snapshot, table), f"ALTER TABLE {where} {add};"]
        sql += [
            f"ALTER TABLE {ident(c.schema, c.name)} ADD PRIMARY KEY ({column});" for c in children
        ]
        return Remedy(
            sql="\n".join(sql),
            lock=_ADD_COLUMN,
            undo="\n".join(
                (
                    f"ALTER TABLE {where} DROP COLUMN {column};",
                    *self._nullable_again(table, self._partition_columns(table, ())),
                )
            ),
        )

    def _type(self, table: Table) -> str:
        """Return an identity column, which children cannot inherit, and partitions not in every version."""
        with_parts = self._snapshot.server.features.has_identity_of_partitioned_tables()
        if table.has_children and not (table.kind == "p" and with_parts):
            return "bigserial"
        if table.kind == "p" and not with_parts:
            return "bigserial"
        return "bigint GENERATED ALWAYS AS IDENTITY"

    def _taken(self, table: Table) -> set[str]:
        oids = ix.partitions(self._snapshot, table.oid)
        return {c.name for oid in oids for c in self._snapshot.columns_of[oid]}

    def _nullable_again(self, table: Table, columns: tuple[Column, ...]) -> Iterator[str]:
        """Yield what takes back NOT NULL, which a key adds to its columns, also to those of children."""
        names = [c.name for c in columns if not c.is_not_null]
        if not names:
            return
        parts = [self._snapshot.table_by_oid[o] for o in ix.partitions(self._snapshot, table.oid)]
        if table.kind == "r" and not self._snapshot.server.features.has_inherited_not_null():
            for part in parts:  # otherwise, the children would lose NOT NULL of their own
                yield from _altered(
                    part, "DROP", self._those(part, names, is_not_null=False), "ONLY "
                )
            return
        yield from _altered(table, "DROP", names)
        for part in parts[1:]:
            yield from _altered(part, "SET", self._those(part, names, is_not_null=True))

    def _those(self, table: Table, names: list[str], *, is_not_null: bool) -> list[str]:
        own = self._snapshot.columns_of[table.oid]
        return [c.name for c in own if c.name in names and c.is_not_null is is_not_null]


def _altered(table: Table, verb: str, names: list[str], only: str = "") -> Iterator[str]:
    if names:
        parts = ", ".join(f"ALTER COLUMN {ident(n)} {verb} NOT NULL" for n in names)
        yield f"ALTER TABLE {only}{ident(table.schema, table.name)} {parts};"


def _listed(columns: tuple[Column, ...]) -> str:
    return ", ".join(ident(c.name) for c in columns)


def _names(table: Table) -> Iterator[str]:
    yield from (*_NAMES, f"{table.name[:60]}_id")
    number = 2
    while True:
        yield f"row_id{number}"
        number += 1


def _has_foreign_partitions(snapshot: Snapshot, table: Table) -> bool:
    oids = ix.partitions(snapshot, table.oid)
    return any(o.kind == "f" for oid in oids for o in snapshot.other_partitions_of[oid])
