"""Why a person has to look first: what no script may run by itself."""

from collections.abc import Iterator
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ConstrType, TransactionStmtKind
from pglast.parser import scan

from pgwatch_wed.facts import Table
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import key_candidates
from pgwatch_wed.remedies.actions.index_names import dropped, rebuilt
from pgwatch_wed.remedies.actions.proposals import (
    Proposal,
    ProposedStep,
    SqlPart,
    functions,
    path,
    setting_name,
)
from pgwatch_wed.remedies.actions.staging import RELOAD, SIGNALS
from pgwatch_wed.remedies.rebuilt import failed_before
from pgwatch_wed.remedies.widening import described
from pgwatch_wed.sqltext import trees

_SLOTS = "pg_drop_replication_slot"
_GAP = "…"
# PostgreSQL's documentation recommends against setting them for all sessions.
_OF_ALL_SESSIONS = frozenset(("lock_timeout", "statement_timeout", "transaction_timeout"))
_REWRITES = (AlterTableType.AT_AlterColumnType, AlterTableType.AT_AddColumn)
_MAX_NAMED = 3


def by_hand(proposal: Proposal) -> str:
    """Return what a person has to decide or fill in before a remedy can run; empty if nothing."""
    found = (reason for step in proposal.steps for reason in _of_step(proposal, step))
    return next(found, "")


def _of_step(proposal: Proposal, step: ProposedStep) -> Iterator[str]:
    if not step.is_readable:
        yield "It is not a complete statement: fill in what is missing."
    elif not step.parts:
        yield "There are only comments: decide what to do as they say."
    elif step.tail:
        yield "Choose from what its comments offer: the statement alone does not mend it."
    for part in step.parts:
        yield from _of_part(proposal, step, part)


def _of_part(proposal: Proposal, step: ProposedStep, part: SqlPart) -> Iterator[str]:
    node = part.node
    if _has_gap(part) or any(isinstance(n, ast.ParamRef) for n in trees.walk(node)):
        yield "It contains a placeholder: fill in the value."
    match node:
        case ast.SelectStmt():
            yield from _of_select(part)
        case ast.VariableSetStmt() if all(
            isinstance(p.node, ast.VariableSetStmt) for p in step.parts
        ):
            yield "It is for the sessions that it is about, not for that of a script."
        case ast.TransactionStmt(kind=TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED):
            yield "Ask its transaction manager first whether it is going to commit it."
        case ast.IndexStmt(idxname=None):
            yield "Choose a name for the index."
        case ast.AlterSystemStmt(setstmt=ast.VariableSetStmt() as change):
            setting = proposal.snapshot.setting_by_name.get(setting_name(node))
            if setting_name(node) in _OF_ALL_SESSIONS and change.args:
                yield "It ends statements of all sessions, also of backups and migrations: set longer timeouts for their roles first."
            if setting is not None and setting.source == "command line":
                yield f"{setting.name} is set on the server's command line, which overrides ALTER SYSTEM: change it there."
        case ast.ReindexStmt():
            if any(i.is_unique and not i.is_usable for i in rebuilt(proposal.snapshot, part)):
                yield "Remove rows with repeated values first: if they made its build fail, it fails again."
        case ast.DropStmt() | ast.AlterTableStmt():
            yield from _of_relation(proposal, step, part)
    yield from _of_key(proposal, part)


def _has_gap(part: SqlPart) -> bool:
    """Tell whether dots stand for something: to the parser, they are a name."""
    if _GAP not in part.text:
        return False
    return any(part.text[t.start : t.end + 1] == _GAP for t in scan(part.text))


def _of_select(part: SqlPart) -> Iterator[str]:
    called = functions(part)
    if _SLOTS in called:
        yield "Ask the owner of its consumer first: it cannot continue from a slot that was dropped."
    elif called & SIGNALS:
        if not any(signaled(part)):
            yield "Run it on the standby, which is another server."
    elif RELOAD not in called:
        yield "It only reads: decide by what it returns."


def signaled(part: SqlPart) -> Iterator[int]:
    """Yield the PIDs that a statement signals."""
    for call in trees.walk(part.node):
        if isinstance(call, ast.FuncCall) and trees.names(call.funcname)[-1] in SIGNALS:
            match call.args:
                case (ast.A_Const(val=ast.Integer(ival=int(pid))), *_):
                    yield pid


def _of_relation(proposal: Proposal, step: ProposedStep, part: SqlPart) -> Iterator[str]:
    for index in dropped(proposal.snapshot, part):
        if index.is_usable and not step.undo_parts:
            yield f"The definition of {index.qualified} is not known: save it first."
    if isinstance(part.node, ast.AlterTableStmt):
        yield from _in_use(proposal, part)
        yield from _built_again(proposal, part)


def _built_again(proposal: Proposal, part: SqlPart) -> Iterator[str]:
    """Yield which indexes a rewrite would build again, too, although that has failed once."""
    commands = part.node.cmds or ()
    if not any(c.subtype in _REWRITES for c in commands):
        return
    snapshot = proposal.snapshot
    for table in _tables(proposal, part):
        for index in failed_before(snapshot, table):
            yield f"Repair or drop {index.qualified} first: the table's indexes are built again, and this one has failed."


def _of_key(proposal: Proposal, part: SqlPart) -> Iterator[str]:
    """Yield what has to be checked before columns become unique, of which nobody knows whether they are."""
    node = part.node
    if not isinstance(node, ast.IndexStmt | ast.AlterTableStmt):
        return
    for table in _tables(proposal, part) if _makes_unique(node) else ():
        known = key_candidates.candidate(proposal.snapshot, table)
        is_proven = known is None or known.is_unique
        if not is_proven and not key_candidates.is_empty(proposal.snapshot, table):
            yield "Check first, as its comments say, that no value is repeated: otherwise it fails."


def _makes_unique(node: Any) -> bool:
    if isinstance(node, ast.IndexStmt):
        return bool(node.unique)
    commands = node.cmds or ()
    if any(c.subtype == AlterTableType.AT_AddColumn for c in commands):
        return False  # it is on the new column
    keys = (c.def_ for c in commands if isinstance(c.def_, ast.Constraint))
    return any(k.contype == ConstrType.CONSTR_PRIMARY and not k.indexname for k in keys)


def _tables(proposal: Proposal, part: SqlPart) -> list[Table]:
    schema, name = path(part.node.relation)
    return [t for t in proposal.snapshot.tables_named.get(name, ()) if t.schema == schema]


def _in_use(proposal: Proposal, part: SqlPart) -> Iterator[str]:
    """Yield what has to be dropped before a column's type can be changed."""
    snapshot = proposal.snapshot
    for table in _tables(proposal, part):
        changed = {c.name for c in part.node.cmds if c.subtype == AlterTableType.AT_AlterColumnType}
        users = [
            user
            for oid in ix.partitions(snapshot, table.oid)
            for column in (snapshot.columns_of.get(oid, ()) if changed else ())
            if column.name in changed
            for user in snapshot.dependents_of.get((oid, column.attnum), ())
        ]
        names = list(dict.fromkeys(map(described, users)))
        if names:
            more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
            yield f"Drop {', '.join(names[:_MAX_NAMED])}{more} first, and create them again afterwards: they use the column."
