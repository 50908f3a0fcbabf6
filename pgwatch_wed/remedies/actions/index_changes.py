"""What proposals do to indexes: which they create, drop and rebuild."""

from dataclasses import dataclass

from pglast import ast

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.remedies.actions.index_names import dropped, rebuilt
from pgwatch_wed.remedies.actions.proposals import (
    Proposal,
    SqlPart,
    TablePath,
    is_analyze,
    path,
)
from pgwatch_wed.sqltext import definitions
from pgwatch_wed.sqltext.definitions import IndexText


@dataclass(frozen=True, slots=True)
class CreatedIndex:
    """A new index, without those of partitions that belong to it."""

    schema: str
    table: str
    name: str
    text: IndexText

    @property
    def qualified(self) -> str:
        """``schema.name`` for readers."""
        return f"{self.schema}.{self.name}"

    def serves(self, other: "CreatedIndex", key: frozenset[str]) -> bool:
        """Tell whether the other one is needless; ``key`` are the columns if it is for a foreign key only."""
        mine, theirs = self.text, other.text
        if mine.form == theirs.form and mine.order == theirs.order:
            return True
        if mine.form[0] != "btree" or theirs.form[0] != "btree":
            return False
        if key and mine.begins_with(key):
            return True
        count = len(theirs.keys)
        return (
            not theirs.is_unique
            and mine.form[3][:count] == theirs.form[3]
            and mine.order[:count] == theirs.order
            and mine.form[5] == theirs.form[5]
            and set(theirs.form[4]) <= {*mine.form[4], *mine.keys}
        )


@dataclass(frozen=True, slots=True, eq=False)
class IndexChange:
    """A proposal by what it does to indexes."""

    proposal: Proposal
    created: CreatedIndex | None
    dropped: tuple[Index, ...]
    rebuilt: tuple[Index, ...]

    @classmethod
    def of(cls, proposal: Proposal) -> "IndexChange":
        """Read a proposal."""
        snapshot, parts = proposal.snapshot, proposal.main
        return cls(
            proposal,
            _top(snapshot, parts),
            tuple(i for part in parts for i in dropped(snapshot, part)),
            tuple(i for part in parts for i in rebuilt(snapshot, part)),
        )

    @property
    def only_rebuilds(self) -> bool:
        """Whether it does nothing but rebuild."""
        return bool(self.rebuilt) and len(self.rebuilt) == len(self.proposal.main)

    @property
    def foreign_key(self) -> frozenset[str]:
        """The columns of the foreign key that the new index is for; empty if it is for something else."""
        snapshot, about = self.proposal.snapshot, self.proposal.finding.object
        if about.kind != "constraint":
            return frozenset()
        for table in snapshot.tables_named.get(about.table or "", ()):
            for key in snapshot.constraints_of[table.oid]:
                if table.schema == about.schema and (key.kind, key.name) == ("f", about.name):
                    return frozenset(snapshot.column_names(table.oid, key.columns))
        return frozenset()

    @property
    def ends_with_analyze(self) -> bool:
        """Whether statistics on the new index are collected."""
        parts = self.proposal.parts
        return bool(parts) and is_analyze(parts[-1])


def _top(snapshot: Snapshot, parts: tuple[SqlPart, ...]) -> CreatedIndex | None:
    """Return the index that is created on the topmost table."""
    made = [p for p in parts if isinstance(p.node, ast.IndexStmt) and p.node.idxname]
    tables = {path(p.node.relation): p for p in made}
    for where, part in tables.items():
        text = definitions.read(part.text)
        if text is not None and not _above(snapshot, where) & tables.keys():
            return CreatedIndex(*where, str(part.node.idxname), text)
    return None


def _above(snapshot: Snapshot, where: TablePath) -> set[TablePath]:
    named = (t for t in snapshot.tables_named.get(where[1], ()) if t.schema == where[0])
    return {(a.schema, a.name) for t in named for a in ancestors(snapshot, t)}


def ancestors(snapshot: Snapshot, table: Table) -> tuple[Table, ...]:
    """Return the tables that a table is a partition or an inheritance child of, at every level."""
    found: dict[int, Table] = {}
    above = snapshot.table_by_oid.get(table.parent_oid or 0)
    while above is not None and above.oid not in found:
        found[above.oid] = above
        above = snapshot.table_by_oid.get(above.parent_oid or 0)
    return tuple(found.values())
