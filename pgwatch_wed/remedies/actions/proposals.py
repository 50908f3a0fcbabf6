"""Remedies as statements: what a finding proposes to run, read by PostgreSQL's parser."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pglast import ast

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Remedy
from pgwatch_wed.remedies import authority
from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.fragments import fragments, terminated

TablePath = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True, slots=True)
class SqlPart:
    """One statement of a remedy, without its semicolon, and the comments before it."""

    node: Any
    text: str
    notes: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The statement with its comments, as it is pasted."""
        return "\n".join((*self.notes, terminated(self.text)))


@dataclass(frozen=True, slots=True)
class ProposedStep:
    """A remedy and its statements; ``tail`` are the comments after the last one."""

    remedy: Remedy
    parts: tuple[SqlPart, ...] = ()
    tail: tuple[str, ...] = ()
    is_readable: bool = True

    @classmethod
    def of(cls, remedy: Remedy) -> "ProposedStep":
        """Read a remedy."""
        try:
            parts, tail = read(remedy.sql)
        except trees.UnreadableError:
            return cls(remedy, is_readable=False)
        return cls(remedy, parts, tail)

    @property
    def undo_parts(self) -> tuple[SqlPart, ...]:
        """The statements that undo it; none if there are only comments."""
        try:
            return read(self.remedy.undo)[0]
        except trees.UnreadableError:
            return ()


@dataclass(frozen=True, eq=False)
class Proposal:
    """What one finding proposes. ``rank`` is its place in the report, 0 for the most important."""

    rank: int
    finding: Finding
    steps: tuple[ProposedStep, ...]
    snapshot: Snapshot

    @classmethod
    def of(cls, rank: int, finding: Finding, snapshot: Snapshot) -> "Proposal":
        """Read the remedies of a finding."""
        return cls(rank, finding, tuple(map(ProposedStep.of, finding.remedy)), snapshot)

    @property
    def database(self) -> str:
        """The database that the snapshot is of."""
        return self.snapshot.server.database

    @cached_property
    def parts(self) -> tuple[SqlPart, ...]:
        """All statements, in order."""
        return tuple(part for step in self.steps for part in step.parts)

    @cached_property
    def main(self) -> tuple[SqlPart, ...]:
        """The statements that are what it is about: ANALYZE only if there is nothing else."""
        return tuple(p for p in self.parts if not is_analyze(p)) or self.parts


def read(sql: str) -> tuple[tuple[SqlPart, ...], tuple[str, ...]]:
    """Split SQL into statements, each with the comments before it, and the comments at the end.

    Raises :class:`pgwatch_wed.sqltext.trees.UnreadableError` if it is not SQL.
    """
    found: list[SqlPart] = []
    notes: list[str] = []
    for part in fragments(sql):
        if part.is_comment:
            notes.append(part.text)
        elif part.node is None:
            raise trees.UnreadableError("it cannot be parsed")
        else:
            found.append(SqlPart(part.node, part.text, tuple(notes)))
            notes = []
    return tuple(found), tuple(notes)


def is_analyze(part: SqlPart) -> bool:
    """Tell whether it is ANALYZE, and not VACUUM."""
    return isinstance(part.node, ast.VacuumStmt) and not part.node.is_vacuumcmd


def functions(part: SqlPart) -> frozenset[str]:
    """Return the names of the functions that a statement calls."""
    calls = (n for n in trees.walk(part.node) if isinstance(n, ast.FuncCall))
    return frozenset(trees.names(call.funcname)[-1] for call in calls)


def setting_name(node: Any) -> str:
    """Return what SET or RESET, for whomever, is about."""
    return str(node.setstmt.name)


def path(relation: Any) -> TablePath:
    """Return schema and name of a relation in a statement."""
    return str(relation.schemaname or ""), str(relation.relname)


def last_two(names: tuple[str, ...]) -> tuple[str, str]:
    """Return schema and name of a list of words."""
    return (names[-2] if len(names) > 1 else "", names[-1])


def remedy_of(proposal: Proposal, step: ProposedStep, parts: Iterable[SqlPart]) -> Remedy | None:
    """Return a remedy with only some of its statements; None if none are left."""
    kept = tuple(parts)
    if not kept:
        return None
    if kept == step.parts:
        return step.remedy
    sql = "\n".join(part.sql for part in kept)
    old = step.remedy
    return authority.signed(proposal.snapshot, Remedy(sql, old.lock, old.in_transaction, old.undo))
