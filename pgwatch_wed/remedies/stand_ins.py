"""Indexes that are built under another name, and that take the name of an old one which is dropped in between.

Such a script that is run again would build them again: their name is free once they have been renamed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ObjectType

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext import trees

Path = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StandIns:
    """What a script renames, by the name before, and the indexes that it drops, by schema and name.

    ``added``, for an undo, are the parts that an index has been given, without which it was before.
    """

    renamed: Mapping[Path, Path]
    dropped: Set[Path]
    added: Set[Path] | None = None

    @classmethod
    def of(cls, nodes: Sequence[Any], forward: Sequence[Any] | None = None) -> "StandIns":
        """Read the statements of a script; ``forward`` are those that it undoes."""
        renames = [n for n in nodes if isinstance(n, ast.RenameStmt) and n.relation is not None]
        renamed = {_path(n.relation): (_path(n.relation)[0], str(n.newname)) for n in renames}
        gone = {path for node in nodes for path in dropped(node)}
        if forward is None:
            return cls(renamed, gone)
        before = {renamed.get(path, path) for node in nodes for path in _attached(node)}
        parts = {path for node in forward for path in (*_attached(node), *_built_alone(node))}
        return cls(renamed, gone, parts - before)

    def condition(self, node: Any) -> str:
        """Return the SQL that tells whether what a statement builds still has to take a name; "" for other statements.

        What has the name until then goes only once there is something to take it.
        """
        taken = {final: path for path, final in self.renamed.items()}
        if stand_in := next((taken[p] for p in dropped(node) if p in taken), None):
            return f"{_oid(stand_in)} IS NOT NULL"
        final = next((self.renamed[p] for p in built(node) if p in self.renamed), None)
        if final is None:
            return ""
        if final in self.dropped:
            return self._is_as_it_was_not(final)
        return " OR ".join(self._goes_with(final, top, taken) for top in sorted(self.dropped))

    def _goes_with(self, final: Path, top: Path, taken: Mapping[Path, Path]) -> str:
        """Return the SQL that tells whether an old index is going to be dropped with the one above it."""
        if top in taken:
            return f"{self._is_as_it_was_not(top)} OR {_oid(taken[top])} IS NOT NULL"
        above = f"pg_catalog.pg_partition_ancestors({_oid(final)}) a"
        return f"EXISTS (SELECT FROM {above} WHERE a.relid::pg_catalog.oid = {_oid(top)}::pg_catalog.oid)"

    def _is_as_it_was_not(self, final: Path) -> str:
        if self.added:
            tree = f"pg_catalog.pg_partition_tree({_oid(final)}) t"
            return f"EXISTS (SELECT FROM {tree} WHERE t.relid::pg_catalog.oid IN ({_listed(self.added)}))"
        valid = (
            "EXISTS (SELECT FROM pg_catalog.pg_index"
            f" WHERE indexrelid = {_oid(final)}::pg_catalog.oid AND indisvalid)"
        )
        return f"NOT {valid}" if self.added is None else valid


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


def _attached(node: Any) -> Iterator[Path]:
    """Yield the index that a statement attaches to that of a partitioned table."""
    if isinstance(node, ast.AlterTableStmt) and node.objtype == ObjectType.OBJECT_INDEX:
        for command in node.cmds or ():
            if isinstance(command.def_, ast.PartitionCmd):
                yield _path(command.def_.name)


def _built_alone(node: Any) -> tuple[Path, ...]:
    return built(node) if isinstance(node, ast.IndexStmt) and node.concurrent else ()


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(f"{_oid(path)}::pg_catalog.oid" for path in sorted(paths))


def _path(relation: Any) -> Path:
    return str(relation.schemaname or ""), str(relation.relname)


def _oid(path: Path) -> str:
    return f"pg_catalog.to_regclass({literal(ident(*filter(None, path)))})"
