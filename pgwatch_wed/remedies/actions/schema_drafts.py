"""Changes of tables: one action for all that rewrites a table, and no replica identity that a new key makes needless."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from pglast import ast
from pglast.enums import AlterTableType, ConstrType

from pgwatch_wed.findings import ActionStage
from pgwatch_wed.remedies.actions.drafts import Decisions, Draft, connected
from pgwatch_wed.remedies.actions.phrases import title
from pgwatch_wed.remedies.actions.proposals import Proposal, ProposedStep, path, read
from pgwatch_wed.remedies.actions.rewrites import (
    TablePath,
    column_types,
    combined,
    is_wider,
    rewritten,
)

_FULL = "f"

ColumnTypes = dict[tuple[str, str, str], list[tuple[str, Proposal]]]


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
            by = next(keyed[t] for t in map(_identified, proposal.steps) if t in keyed)
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
        title=title((part for s in steps for part in read(s.sql)[0]), group[0].finding.title),
        stage=ActionStage.SCHEMA,
        proposals=(*group, *also),
        steps=steps,
        undo=undo,
        object=group[0].finding.object,
    )


def _keys(proposal: Proposal) -> Iterator[Hashable]:
    yield proposal.finding.id
    yield from (part.text for part in proposal.main)
    yield from filter(None, map(rewritten, proposal.parts))


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
    table = _identified(step)
    if table is None or table not in keyed:
        return False
    known = proposal.snapshot.tables_named.get(table[1], ())
    return any(t.schema == table[0] and t.replica_identity == "d" for t in known)


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
