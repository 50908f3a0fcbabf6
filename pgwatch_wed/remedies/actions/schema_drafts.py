"""Changes of tables: one action for all that rewrites a table, and no replica identity that a new key makes needless."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from pglast import ast
from pglast.enums import AlterTableType, ConstrType

from pgwatch_wed.facts import Table
from pgwatch_wed.findings import ActionStage, Remedy
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.phrases import listed, lowered, title
from pgwatch_wed.remedies.actions.proposals import Proposal, ProposedStep, TablePath, path, read
from pgwatch_wed.remedies.actions.rewrites import (
    ColumnPath,
    column_types,
    combined,
    is_wider,
    joined,
    rewritten,
)

_FULL = "f"

ColumnTypes = dict[ColumnPath, list[tuple[str, Proposal]]]


def schema_drafts(proposals: Sequence[Proposal], decisions: Decisions) -> None:
    """Add the actions for the tables of one database."""
    keyed = {t: p for p in reversed(proposals) for t in _given_a_key(p)}
    kept: list[Proposal] = []
    served: dict[str, list[Proposal]] = {}
    for proposal in proposals:
        rest = _without_needless(proposal, keyed)
        if rest.steps:
            kept.append(rest)
        else:
            givers = (_giver(proposal, step, keyed) for step in proposal.steps)
            by = next(giver for giver in givers if giver is not None)
            served.setdefault(by.finding.id, []).append(proposal)
    types: ColumnTypes = {}
    agreed = [p for p in kept if _agrees(p, types, decisions)]
    for group in connected(agreed, _keys):
        also = [p for one in group for p in served.get(one.finding.id, ())]
        decisions.drafts.append(_draft(group, also))


def _draft(group: Sequence[Proposal], also: Sequence[Proposal]) -> Draft:
    undo = None
    steps = tuple({s.remedy.sql: s.remedy for p in group for s in p.steps}.values())
    if len(group) > 1 and any(rewritten(part) for p in group for part in p.parts):
        steps, undo = combined(group)
    return Draft(
        title=_title(group, steps),
        stage=ActionStage.SCHEMA,
        proposals=(*group, *also),
        steps=steps,
        undo=undo,
        object=group[0].finding.object,
    )


def _title(group: Sequence[Proposal], steps: Sequence[Remedy]) -> str:
    columns = [".".join(column) for p in group for column, _ in column_types(p)]
    if len(set(columns)) <= 1:
        parts = (part for s in steps for part in read(s.sql)[0])
        return title(parts, group[0].finding.title)
    others = [part for p in group if not any(column_types(p)) for part in p.parts]
    then = f", and {lowered(title(others, ''))}" if others else ""
    return f"Change the types of {listed(columns)}{then}"


def _keys(proposal: Proposal) -> Iterator[Hashable]:
    yield proposal.finding.id
    yield from (part.text for part in proposal.main)
    yield from filter(None, map(rewritten, proposal.parts))
    yield from joined(proposal.snapshot, (column for column, _ in column_types(proposal)))


def _agrees(proposal: Proposal, types: ColumnTypes, decisions: Decisions) -> bool:
    """Tell whether no more important proposal gives one of the columns a type that does not serve both."""
    mine = dict(column_types(proposal))
    for column, kind in mine.items():
        for other_kind, other in types.get(column, ()):
            if other_kind != kind and is_wider(kind, other_kind) is None:
                reason = f"{other.finding.rule} gives {'.'.join(column)} another type; run the analysis again afterwards."
                decisions.refuse(proposal, reason)
                return False
    for column, kind in mine.items():
        types.setdefault(column, []).append((kind, proposal))
    return True


# Replica identities


def _given_a_key(proposal: Proposal) -> Iterator[TablePath]:
    for part in proposal.parts:
        if isinstance(part.node, ast.AlterTableStmt):
            definitions = (c.def_ for c in part.node.cmds or ())
            if any(
                isinstance(d, ast.Constraint) and d.contype == ConstrType.CONSTR_PRIMARY
                for d in definitions
            ):
                yield path(part.node.relation)


def _without_needless(proposal: Proposal, keyed: dict[TablePath, Proposal]) -> Proposal:
    """Leave out REPLICA IDENTITY FULL for tables whose new key will be the default."""
    steps = tuple(s for s in proposal.steps if not _is_needless(proposal, s, keyed))
    return proposal if len(steps) == len(proposal.steps) else replace(proposal, steps=steps)


def _is_needless(proposal: Proposal, step: ProposedStep, keyed: dict[TablePath, Proposal]) -> bool:
    table = _table(proposal, step)
    if table is None or table.replica_identity != "d":
        return False
    return _giver(proposal, step, keyed) is not None


def _giver(
    proposal: Proposal, step: ProposedStep, keyed: dict[TablePath, Proposal]
) -> Proposal | None:
    """Return what gives a table its key, by itself or with the partitioned table above."""
    table, passed = _table(proposal, step), set[int]()
    while table is not None and table.oid not in passed:
        if (table.schema, table.name) in keyed:
            return keyed[table.schema, table.name]
        passed.add(table.oid)
        above = proposal.snapshot.table_by_oid.get(table.parent_oid or 0)
        table = above if above is not None and above.kind == "p" else None
    return None


def _table(proposal: Proposal, step: ProposedStep) -> Table | None:
    found = _identified(step)
    if found is None:
        return None
    known = proposal.snapshot.tables_named.get(found[1], ())
    return next((t for t in known if t.schema == found[0]), None)


def _identified(step: ProposedStep) -> TablePath | None:
    """Return the table whose replica identity a step sets to FULL, if it does nothing else."""
    if len(step.parts) != 1 or not isinstance(step.parts[0].node, ast.AlterTableStmt):
        return None
    node = step.parts[0].node
    commands = node.cmds or ()
    is_full = all(
        c.subtype == AlterTableType.AT_ReplicaIdentity and c.def_.identity_type == _FULL
        for c in commands
    )
    return path(node.relation) if is_full and commands else None
