"""Names that two findings would give to different things: the second gets a free one, also in its undo."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from pglast import ast
from pglast.enums import ObjectType
from pglast.parser import Token, scan

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.actions.proposals import (
    Proposal,
    ProposedStep,
    SqlPart,
    last_two,
    path,
)
from pgwatch_wed.remedies.free_names import FreeNames
from pgwatch_wed.remedies.indexes import words_of
from pgwatch_wed.sqltext import definitions, trees

_NAMED = (ObjectType.OBJECT_INDEX, ObjectType.OBJECT_STATISTIC_EXT)
_DOT = "ASCII_46"


class NamesGiven:
    """The names of the indexes and statistics of one plan, in one database."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._given: set[tuple[str, str]] = set()

    @cached_property
    def _free(self) -> FreeNames:
        # only where a name is given: most plans of a few rules need no tables
        taken = {schema: set(names) for schema, names in self._snapshot.relation_names.items()}
        for each in self._snapshot.extended_statistics:
            taken.setdefault(each.schema, set()).add(each.name)
        return FreeNames(taken)

    def reserve(self, proposals: Iterable[Proposal]) -> None:
        """Let no new name be one that any of them uses."""
        for proposal in proposals:
            for schema, name, _ in _created(proposal):
                self._free.take(schema, name)

    def settled(self, proposal: Proposal) -> Proposal:
        """Return a proposal that gives no name that another one has given before."""
        changes: dict[str, str] = {}
        for schema, name, part in _created(proposal):
            if (schema, name) in self._given and name not in changes:
                changes[name] = self._new(schema, part)
            self._given.add((schema, changes.get(name, name)))
        if not changes:
            return proposal
        steps = tuple(_renamed_step(step, changes) for step in proposal.steps)
        return replace(proposal, steps=steps)

    def _new(self, schema: str, part: SqlPart) -> str:
        node: Any = part.node
        if isinstance(part.node, ast.CreateStatsStmt):
            table = path(node.relations[0])[1]
            columns = (str(e.name) for e in node.exprs or () if e.name)
            return self._free.new(schema, table, columns, "stat")
        text = definitions.read(part.text)
        return self._free.new(schema, path(node.relation)[1], words_of(text) if text else ())


def _created(proposal: Proposal) -> Iterator[tuple[str, str, SqlPart]]:
    """Yield the names that a proposal gives, and those that its undo needs in the meantime."""
    if not any(_name(part) for part in proposal.parts):
        return
    for step in proposal.steps:
        back = step.undo_parts if any(_name(part) for part in step.parts) else ()
        for part in (*step.parts, *back):
            if (found := _name(part)) is not None:
                yield (*found, part)


def _name(part: SqlPart) -> tuple[str, str] | None:
    match part.node:
        case ast.IndexStmt(idxname=str(name)):
            return path(part.node.relation)[0], name
        case ast.CreateStatsStmt():
            return last_two(trees.names(part.node.defnames))
    return None


def _renamed_step(step: ProposedStep, changes: Mapping[str, str]) -> ProposedStep:
    old = step.remedy
    new = replace(old, sql=renamed(old.sql, changes), undo=renamed(old.undo, changes))
    return ProposedStep.of(new)


def renamed(sql: str, changes: Mapping[str, str]) -> str:
    """Return SQL in which indexes and statistics have other names, and nothing else has."""
    tokens = scan(sql)
    spots: list[tuple[int, int, str]] = []
    for each in trees.located(sql):
        if _is_about_names(each.node):
            own = [t for t in tokens if each.start <= t.start < each.end]
            spots += _spots(sql, own, changes, stops=isinstance(each.node, _BEFORE_ON))
    for start, end, new in reversed(spots):
        sql = sql[:start] + ident(new) + sql[end + 1 :]
    return sql


_BEFORE_ON = (ast.IndexStmt, ast.CreateStatsStmt)


def _is_about_names(node: Any) -> bool:
    match node:
        case ast.IndexStmt() | ast.CreateStatsStmt() | ast.AlterStatsStmt() | ast.ReindexStmt():
            return True
        case ast.DropStmt():
            return node.removeType in _NAMED
        case ast.AlterTableStmt() | ast.CommentStmt():
            return node.objtype == ObjectType.OBJECT_INDEX
        case ast.RenameStmt():
            return node.renameType == ObjectType.OBJECT_INDEX
    return False


def _spots(
    sql: str, tokens: list[Token], changes: Mapping[str, str], *, stops: bool
) -> Iterator[tuple[int, int, str]]:
    for place, token in enumerate(tokens):
        if stops and token.name == "ON":
            return
        follows = tokens[place + 1].name if place + 1 < len(tokens) else ""
        new = changes.get(_value(sql[token.start : token.end + 1]))
        if new is not None and follows != _DOT:
            yield token.start, token.end, new


def _value(text: str) -> str:
    """Return the name that a token is, as the catalog has it."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
