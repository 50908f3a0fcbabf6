"""VACUUM, ANALYZE, statistics and storage parameters: one action a table, each statement once."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType

from pgwatch_wed.findings import ActionStage, Object, Remedy
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import authority
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.phrases import title
from pgwatch_wed.remedies.actions.proposals import (
    Proposal,
    ProposedStep,
    SqlPart,
    TablePath,
    path,
    read,
    remedy_of,
)

_RESETS = (AlterTableType.AT_ResetRelOptions, AlterTableType.AT_ResetOptions)
_ANALYZE = "analyze"


def maintenance_drafts(proposals: Sequence[Proposal], decisions: Decisions) -> None:
    """Add an action for each table: what changes its parameters first, then VACUUM or ANALYZE."""
    for group in connected(proposals, _keys):
        decisions.drafts.append(_draft(group))


def _draft(group: Sequence[Proposal]) -> Draft:
    work = _Work()
    for proposal in group:
        for step in proposal.steps:
            work.take(proposal, step)
    steps = tuple(work.steps())
    parts = [part for step in steps for part in read(step.sql)[0]]
    return Draft(
        title=title(parts, group[0].finding.title),
        stage=ActionStage.MAINTENANCE,
        proposals=tuple(group),
        steps=steps,
        object=_object(group),
    )


def _object(group: Sequence[Proposal]) -> Object:
    """Return the table, rather than a statement that suffers from it."""
    for proposal in group:
        for table in (t for part in proposal.parts for t in tables(part) if t is not None):
            return Object("table", table[1], proposal.database, table[0], table[1])
    return group[0].finding.object


@dataclass(slots=True)
class _Work:
    resets: dict[str, Remedy] = field(default_factory=dict)
    others: dict[str, Remedy] = field(default_factory=dict)
    vacuums: dict[TablePath | None, dict[str, None]] = field(default_factory=dict)
    analyzed: dict[TablePath, None] = field(default_factory=dict)
    plain: dict[str, tuple[Proposal, ProposedStep]] = field(default_factory=dict)
    locks: dict[str, tuple[Proposal, ProposedStep]] = field(default_factory=dict)

    def take(self, proposal: Proposal, step: ProposedStep) -> None:
        """Take over the statements of a step."""
        rest: list[SqlPart] = []
        for part in step.parts:
            if not isinstance(part.node, ast.VacuumStmt):
                rest.append(part)
            elif _is_plain(part.node):
                self._vacuum(part.node, proposal, step)
            else:
                self.plain.setdefault(part.text, (proposal, step))
        remedy = remedy_of(proposal, step, rest)
        if remedy is not None:
            kept = self.resets if all(map(_is_reset, rest)) else self.others
            kept.setdefault("\n".join(part.text for part in rest), remedy)

    def _vacuum(self, node: Any, proposal: Proposal, step: ProposedStep) -> None:
        for table in tables_of_vacuum(node):
            self.locks.setdefault(_label(table), (proposal, step))
            if node.is_vacuumcmd:
                options = {str(o.defname): None for o in node.options or ()}
                self.vacuums.setdefault(table, {}).update(options)
            elif table is not None:
                self.analyzed.setdefault(table)

    def steps(self) -> Iterator[Remedy]:
        """Yield what to run, in order."""
        yield from self.resets.values()
        yield from self.others.values()
        yield from (step.remedy for _, step in self.plain.values())
        for table, options in self.vacuums.items():
            if table in self.analyzed:
                options.setdefault(_ANALYZE)
            names = [name.upper() for name in sorted(options, key=lambda n: (n == _ANALYZE, n))]
            words = ["VACUUM", *([f"({', '.join(names)})"] if names else []), _label(table)]
            yield self._remedy(table, " ".join(filter(None, words)), is_vacuum=True)
        for table in self.analyzed:
            if table not in self.vacuums:
                yield self._remedy(table, f"ANALYZE {_label(table)}", is_vacuum=False)

    def _remedy(self, table: TablePath | None, sql: str, *, is_vacuum: bool) -> Remedy:
        proposal, step = self.locks[_label(table)]
        old = step.remedy
        if old.sql == f"{sql};":
            return old
        is_alone = len(step.parts) == 1
        undo = old.undo if is_alone else ""
        remedy = Remedy(f"{sql};", old.lock, not is_vacuum, undo)
        return authority.signed(proposal.snapshot, remedy)


def _label(table: TablePath | None) -> str:
    return ident(*filter(None, table)) if table else ""


def _is_plain(node: Any) -> bool:
    """Tell whether it can be combined: no columns, and only options without a value."""
    has_values = any(option.arg is not None for option in node.options or ())
    return not has_values and not any(r.va_cols for r in node.rels or ())


def _is_reset(part: SqlPart) -> bool:
    return isinstance(part.node, ast.AlterTableStmt) and all(
        command.subtype in _RESETS for command in part.node.cmds or ()
    )


def tables_of_vacuum(node: Any) -> Iterator[TablePath | None]:
    """Yield what is processed: None for the whole database."""
    if not node.rels:
        yield None
    for each in node.rels or ():
        yield path(each.relation)


def tables(part: SqlPart) -> Iterator[TablePath | None]:
    """Yield the tables that a statement of this stage is about."""
    match part.node:
        case ast.VacuumStmt():
            yield from tables_of_vacuum(part.node)
        case ast.AlterTableStmt():
            yield path(part.node.relation)
        case ast.CreateStatsStmt(relations=(relation, *_)):
            yield path(relation)


def _keys(proposal: Proposal) -> Iterator[Hashable]:
    yield proposal.finding.id
    where = proposal.database
    if proposal.finding.object.kind == "database":
        where = proposal.finding.object.name
    for part in proposal.parts:
        found = list(tables(part))
        yield from ((where, table) for table in found)
        if not found:
            yield (where, part.text)
