"""What a statement does, in a few words: from these, the titles of actions are made."""

from collections.abc import Iterable, Iterator
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ConstrType, ObjectType

from pgwatch_wed.remedies.actions.proposals import (
    SqlPart,
    functions,
    is_analyze,
    last_two,
    path,
    setting_name,
)
from pgwatch_wed.sqltext import trees

_MAX_SHOWN = 3
_TYPES = {"int2": "smallint", "int4": "integer", "int8": "bigint"}
_COMMANDS = {
    AlterTableType.AT_AddColumn: "add a column to {table}",
    AlterTableType.AT_DropConstraint: "drop constraint {name} of {table}",
    AlterTableType.AT_ValidateConstraint: "validate constraint {name} of {table}",
    AlterTableType.AT_AlterConstraint: "enforce a constraint of {table}",
    AlterTableType.AT_ReplicaIdentity: "set the replica identity of {table}",
    AlterTableType.AT_SetNotNull: "set {table}.{name} NOT NULL",
    AlterTableType.AT_SetStatistics: "read a larger sample of {table}.{name}",
    AlterTableType.AT_SetOptions: "set {options} of {table}.{name}",
    AlterTableType.AT_ResetOptions: "reset {options} of {table}.{name}",
    AlterTableType.AT_SetRelOptions: "set {options} of {table}",
    AlterTableType.AT_ResetRelOptions: "reset {options} of {table}",
}


def title(given: Iterable[SqlPart], otherwise: str) -> str:
    """Return what some statements do, as a title; ``otherwise`` if they say nothing."""
    parts = list(given)
    told = [p for p in parts if not is_analyze(p)] or parts
    settings = [setting_name(p.node) for p in told if isinstance(p.node, ast.AlterSystemStmt)]
    if settings and all(isinstance(p.node, ast.AlterSystemStmt | ast.SelectStmt) for p in told):
        return f"Set {listed(settings)}"
    found = list(dict.fromkeys(phrase for part in told for phrase in _phrases(part)))
    if not found:
        return otherwise
    shown = found[:_MAX_SHOWN]
    if len(found) > _MAX_SHOWN:
        shown = [*found[: _MAX_SHOWN - 1], f"{len(found) - _MAX_SHOWN + 1} more changes"]
    text = ", then ".join(shown)
    return text[0].upper() + text[1:]


def lowered(text: str) -> str:
    """Return a title as it goes on within another one."""
    return text[:1].lower() + text[1:]


def listed(names: Iterable[str], most: int = _MAX_SHOWN) -> str:
    """Join names for a sentence; if there are many, the first ones and a number."""
    found = list(dict.fromkeys(names))
    if len(found) > most:
        found = [*found[: most - 1], f"{len(found) - most + 1} more"]
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1] if found else "")))


def _phrases(part: SqlPart) -> Iterator[str]:
    node = part.node
    match node:
        case ast.SelectStmt():
            yield from _of_functions(part)
        case ast.VacuumStmt():
            yield _of_vacuum(node)
        case ast.IndexStmt():
            yield f"create index {node.idxname} on {_dotted(path(node.relation))}"
        case ast.ReindexStmt(relation=ast.RangeVar()):
            yield f"rebuild index {_dotted(path(node.relation))}"
        case ast.DropStmt(removeType=ObjectType.OBJECT_INDEX):
            for names in node.objects or ():
                yield f"drop index {_dotted(last_two(trees.names(names)))}"
        case ast.AlterTableStmt(objtype=ObjectType.OBJECT_INDEX):
            pass  # a detail of creating or completing it
        case ast.AlterTableStmt():
            for command in node.cmds or ():
                yield _of_command(_dotted(path(node.relation)), command)
        case _:
            yield from _of_others(node)


def _of_others(node: Any) -> Iterator[str]:
    match node:
        case ast.CreateStatsStmt(relations=(relation, *_)):
            yield f"create statistics on {_dotted(path(relation))}"
        case ast.AlterSeqStmt():
            yield f"extend sequence {_dotted(path(node.sequence))}"
        case ast.CreateDomainStmt():
            yield f"create domain {_dotted(last_two(trees.names(node.domainname)))}"
        case ast.AlterDomainStmt():
            yield f"validate constraint {node.name} of {_dotted(last_two(trees.names(node.typeName)))}"
        case ast.RefreshMatViewStmt():
            yield f"refresh {_dotted(path(node.relation))}"
        case ast.AlterRoleSetStmt():
            who = f"role {node.role.rolename}" if node.role else "all roles"
            yield f"{_verb(node.setstmt)} {setting_name(node)} for {who}"
        case ast.AlterDatabaseSetStmt():
            yield f"{_verb(node.setstmt)} {setting_name(node)} for database {node.dbname}"
        case ast.AlterSystemStmt():
            yield f"set {setting_name(node)}"
        case ast.CreateExtensionStmt():
            yield f"create extension {node.extname}"
        case ast.AlterExtensionStmt():
            yield f"update extension {node.extname}"
        case ast.AlterCollationStmt() | ast.AlterDatabaseRefreshCollStmt():
            yield "record the new version of the collation"


def _of_functions(part: SqlPart) -> Iterator[str]:
    called = functions(part)
    for function, verb in (
        ("pg_terminate_backend", "terminate session"),
        ("pg_cancel_backend", "cancel the statement of session"),
    ):
        if function in called:
            constants = (n for n in trees.walk(part.node) if isinstance(n, ast.A_Const))
            pids = [c.val.ival for c in constants if isinstance(c.val, ast.Integer)]
            yield f"{verb} {pids[0]}" if pids else f"{verb}s"


def _of_vacuum(node: Any) -> str:
    options = {option.defname for option in node.options or ()}
    where = listed(_dotted(path(r.relation)) for r in node.rels or ()) or "the whole database"
    if not node.is_vacuumcmd:
        return f"analyze {where}"
    verbs = [
        "vacuum",
        *(v for o, v in (("freeze", "freeze"), ("analyze", "analyze")) if o in options),
    ]
    return f"{listed(verbs)} {where}"


def _of_command(table: str, command: Any) -> str:
    definition = command.def_
    match command.subtype, definition:
        case AlterTableType.AT_AlterColumnType, ast.ColumnDef(typeName=ast.TypeName(names=words)):
            kind = trees.names(words)[-1]
            return f"change the type of {table}.{command.name} to {_TYPES.get(kind, kind)}"
        case AlterTableType.AT_AddConstraint, ast.Constraint(contype=ConstrType.CONSTR_PRIMARY):
            return f"add a primary key to {table}"
    options = definition if isinstance(definition, tuple) else ()
    text = _COMMANDS.get(command.subtype, "change {table}")
    names = listed(str(o.defname) for o in options if isinstance(o, ast.DefElem))
    return text.format(table=table, name=command.name, options=names)


def _verb(statement: Any) -> str:
    return "set" if statement.args else "reset"


def _dotted(found: tuple[str, str]) -> str:
    return ".".join(filter(None, found))
