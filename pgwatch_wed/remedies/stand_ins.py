"""Indexes that are built under another name, and that take the name of an old one which is dropped in between.

Such a script that is run again would build them again: their name is free once they have been renamed.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ObjectType

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext import trees

Path = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StandIns:
    """What a script renames, by the name before, and the indexes that it drops, by schema and name."""

    renamed: Mapping[Path, Path]
    dropped: Set[Path]

    @classmethod
    def of(cls, nodes: Sequence[Any]) -> "StandIns":
        """Read the statements of a script."""
        renames = [n for n in nodes if isinstance(n, ast.RenameStmt) and n.relation is not None]
        renamed = {_path(n.relation): (_path(n.relation)[0], str(n.newname)) for n in renames}
        return cls(renamed, {path for node in nodes for path in dropped(node)})

    def condition(self, node: Any) -> str:
        """Return the SQL that tells whether what a statement builds still has to take a name; "" for other statements."""
        final = next((self.renamed[p] for p in built(node) if p in self.renamed), None)
        if final is None:
            return ""
        if final in self.dropped:
            return (
                "NOT EXISTS (SELECT FROM pg_catalog.pg_index"
                f" WHERE indexrelid = {_oid(final)}::pg_catalog.oid AND indisvalid)"
            )
        tops = ", ".join(f"{_oid(path)}::pg_catalog.oid" for path in sorted(self.dropped))
        above = f"pg_catalog.pg_partition_ancestors({_oid(final)}) a WHERE a.relid::pg_catalog.oid IN ({tops})"
        return f"EXISTS (SELECT FROM {above})" if tops else ""


def built(node: Any) -> tuple[Path, ...]:
    """Return the index that a statement builds, or the constraint with its index."""
    match node:
        case ast.IndexStmt(idxname=str(name)):
            return ((_path(node.relation)[0], name),)
        case ast.AlterTableStmt():
            made = (
                c.def_.conname
                for c in node.cmds or ()
                if c.subtype == AlterTableType.AT_AddConstraint
            )
            return tuple((_path(node.relation)[0], str(name)) for name in made if name)
        case _:
            return ()


def dropped(node: Any) -> tuple[Path, ...]:
    """Return the indexes that a statement drops, or the constraint with its index."""
    match node:
        case ast.DropStmt(removeType=ObjectType.OBJECT_INDEX):
            paths = (trees.names(names) for names in node.objects or ())
            return tuple((p[-2] if len(p) > 1 else "", p[-1]) for p in paths)
        case ast.AlterTableStmt():
            gone = (
                c.name for c in node.cmds or () if c.subtype == AlterTableType.AT_DropConstraint
            )
            return tuple((_path(node.relation)[0], str(name)) for name in gone)
        case _:
            return ()


def _path(relation: Any) -> Path:
    return str(relation.schemaname or ""), str(relation.relname)


def _oid(path: Path) -> str:
    return f"pg_catalog.to_regclass({literal(ident(*filter(None, path)))})"
