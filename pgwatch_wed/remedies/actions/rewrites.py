"""Changes that rewrite a table, as few ALTER TABLEs as possible: each rewrites all rows and all indexes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType
from pglast.parser import scan

from pgwatch_wed.facts import Constraint, Snapshot
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Remedy
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import authority
from pgwatch_wed.remedies.actions.proposals import (
    Proposal,
    ProposedStep,
    SqlPart,
    TablePath,
    is_analyze,
    path,
    read,
)
from pgwatch_wed.sqltext import trees

_RANK = {"int2": 0, "int4": 1, "int8": 2, "numeric": 3}
_NAMES = {"int2": "smallint", "int4": "integer", "int8": "bigint", "numeric": "numeric"}
_FORWARD = (AlterTableType.AT_AlterColumnType, AlterTableType.AT_AddColumn)
_BACK = (AlterTableType.AT_AlterColumnType, AlterTableType.AT_DropColumn)


ColumnPath = tuple[str, str, str]
"""Schema, table and column."""


def rewritten(part: SqlPart, kinds: tuple[AlterTableType, ...] = _FORWARD) -> TablePath | None:
    """Return the table that a statement rewrites; None if it rewrites none."""
    node = part.node
    is_table = isinstance(node, ast.AlterTableStmt)
    if is_table and any(c.subtype in kinds for c in node.cmds or ()):
        return path(node.relation)
    return None


def column_types(proposal: Proposal) -> Iterator[tuple[ColumnPath, str]]:
    """Yield the columns whose type a proposal changes, and the new types."""
    for part in proposal.parts:
        if (table := rewritten(part)) is not None:
            for command in part.node.cmds:
                if command.subtype == AlterTableType.AT_AlterColumnType:
                    yield (*table, str(command.name)), _type(command)


def is_wider(kind: str, other: str) -> bool | None:
    """Tell whether one type can hold what the other can, too; None if that is not known."""
    if kind == other:
        return False
    if kind not in _RANK or other not in _RANK:
        return None
    return _RANK[kind] > _RANK[other]


def _type(command: Any) -> str:
    return trees.names(command.def_.typeName.names)[-1]


@dataclass(slots=True)
class _Script:
    """Statements by where they go: before the tables are rewritten, their changes, and afterwards."""

    kinds: tuple[AlterTableType, ...]
    before: dict[str, None] = field(default_factory=dict)
    tables: dict[str, dict[object, tuple[str, str]]] = field(default_factory=dict)
    leads: dict[TablePath, str] = field(default_factory=dict)
    after: dict[str, None] = field(default_factory=dict)
    analyzed: dict[str, None] = field(default_factory=dict)

    def take(self, parts: Sequence[SqlPart]) -> None:
        """Take over the statements of a step."""
        has_rewritten = False
        for part in parts:
            if rewritten(part, self.kinds) is not None:
                has_rewritten = True
                self._change(part)
            elif is_analyze(part):
                self.analyzed.setdefault(part.sql)
            else:
                (self.after if has_rewritten else self.before).setdefault(part.sql)

    def _change(self, part: SqlPart) -> None:
        lead, texts = _commands(part)
        kept = self.tables.setdefault(lead, {})
        self.leads[path(part.node.relation)] = lead
        for command, text in zip(part.node.cmds, texts, strict=True):
            is_type = command.subtype == AlterTableType.AT_AlterColumnType
            key: object = str(command.name) if is_type else text
            kind = _type(command) if is_type else ""
            if key not in kept or is_wider(kind, kept[key][1]):
                kept[key] = text, kind

    def type_of(self, column: ColumnPath) -> str:
        """Return the type that a column is given; empty if none."""
        kept = self.tables.get(self.leads.get(column[:2], ""), {})
        return kept[column[2]][1] if column[2] in kept else ""

    def give(self, column: ColumnPath, kind: str) -> None:
        """Give a column another type than the one that it was to be given."""
        text = f"ALTER COLUMN {ident(column[2])} TYPE {_NAMES[kind]}"
        self.tables[self.leads[column[:2]]][column[2]] = text, kind

    def sql(self) -> str:
        """Return the whole."""
        alters = (
            f"{lead} {', '.join(text for text, _ in kept.values())};"
            for lead, kept in self.tables.items()
        )
        return "\n".join((*self.before, *alters, *self.after, *self.analyzed))


def _commands(part: SqlPart) -> tuple[str, list[str]]:
    """Split ALTER TABLE into what names the table, and its commands."""
    tokens = scan(part.text)
    at = next(n for n, t in enumerate(tokens) if t.name == "TABLE") + 1
    while tokens[at].name in ("ONLY", "IF_P", "EXISTS"):
        at += 1
    while tokens[at + 1].name == "ASCII_46":
        at += 2
    lead = part.text[: tokens[at].end + 1]
    depth, starts = 0, [tokens[at + 1].start]
    ends: list[int] = []
    for token in tokens[at + 1 :]:
        depth += {"ASCII_40": 1, "ASCII_41": -1}.get(token.name, 0)
        if depth == 0 and token.name == "ASCII_44":
            ends.append(token.start)
            starts.append(token.end + 1)
    ends.append(len(part.text))
    return lead, [part.text[a:b].strip() for a, b in zip(starts, ends, strict=True)]


def joined(snapshot: Snapshot, columns: Iterable[ColumnPath]) -> Iterator[int]:
    """Yield the foreign keys of which columns are a part, on either side."""
    sides = _sides(snapshot)
    return (oid for column in columns for oid in sides.get(column, ()))


@derived
def _sides(snapshot: Snapshot) -> Mapping[ColumnPath, list[int]]:
    found: dict[ColumnPath, list[int]] = {}
    for key in snapshot.constraints:
        for own, aim in _pairs(snapshot, key):
            for column in (own, aim):
                found.setdefault(column, []).append(key.oid)
    return found


def _pairs(snapshot: Snapshot, key: Constraint) -> Iterator[tuple[ColumnPath, ColumnPath]]:
    own = snapshot.table_by_oid.get(key.table_oid)
    aim = snapshot.table_by_oid.get(key.referenced_oid or 0)
    if key.kind == "f" and own is not None and aim is not None:
        mine = snapshot.column_names(own.oid, key.columns)
        theirs = snapshot.column_names(aim.oid, key.referenced_columns)
        for one, other in zip(mine, theirs, strict=False):
            yield (own.schema, own.name, one), (aim.schema, aim.name, other)


def _follow(script: _Script, snapshot: Snapshot) -> None:
    """Give a column that refers to another one no narrower type than that one is given."""
    pairs = [pair for key in snapshot.constraints for pair in _pairs(snapshot, key)]
    pairs = [(own, aim) for own, aim in pairs if script.type_of(own) and script.type_of(aim)]
    for _ in pairs:  # as many times as there may be one behind the other
        for own, aim in pairs:
            if is_wider(script.type_of(aim), script.type_of(own)):
                script.give(own, script.type_of(aim))


def combined(proposals: Sequence[Proposal]) -> tuple[tuple[Remedy, ...], tuple[str, ...]]:
    """Return the steps of several proposals that rewrite the same tables, and what undoes all of them."""
    # a change of several tables has them in the right order
    ordered = sorted(proposals, key=lambda p: -len({rewritten(part) for part in p.parts}))
    forward, back = _Script(_FORWARD), _Script(_BACK)
    early: dict[str, Remedy] = {}
    late: dict[str, Remedy] = {}
    core: dict[str, ProposedStep] = {}
    for proposal in ordered:
        has_rewritten = False
        for step in proposal.steps:
            if any(rewritten(part) is not None for part in step.parts):
                has_rewritten = True
                core[step.remedy.sql] = step
            else:
                (late if has_rewritten else early).setdefault(step.remedy.sql, step.remedy)
    notes: dict[str, None] = {}
    for step in core.values():
        forward.take(step.parts)
        back.take(step.undo_parts)
        notes |= dict.fromkeys(read(step.remedy.undo)[1] if step.undo_parts else ())
    _follow(forward, proposals[0].snapshot)
    undo = "\n".join((back.sql(), *notes))
    remedy = Remedy(
        forward.sql(),
        "; ".join(dict.fromkeys(step.remedy.lock for step in core.values())),
        all(step.remedy.in_transaction for step in core.values()),
        undo,
    )
    middle = authority.signed(proposals[0].snapshot, remedy)
    steps = (*early.values(), middle, *late.values())
    return steps, tuple(step.undo for step in reversed(steps))
