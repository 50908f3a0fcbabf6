"""The statements of a remedy, read as the structures that they make."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pglast import ast
from pglast.enums import (
    AlterTableType,
    ConstrType,
    ObjectType,
    TransactionStmtKind,
    VariableSetKind,
)
from pglast.stream import RawStream

from pgwatch_wed.facts import Index, Snapshot
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Remedy
from pgwatch_wed.history import held_indexes, held_objects, held_settings, index_forms
from pgwatch_wed.history.structure import Advised, Structure
from pgwatch_wed.sqltext import trees

# They prepare or complete a step, show something, or have no effect that lasts: their own presence means nothing.
_AUXILIARY = (
    *(ast.SelectStmt, ast.VariableSetStmt, ast.CommentStmt, ast.RenameStmt, ast.CreateDomainStmt),
    *(ast.AlterStatsStmt, ast.CheckPointStmt),
)
_LASTING_CALLS = frozenset(
    {"pg_drop_replication_slot", "pg_terminate_backend", "pg_cancel_backend"}
)

Made = Iterator[Structure | str]


def advised(remedies: Iterable[Remedy], snapshot: Snapshot) -> Advised:
    """Return what the steps of a finding's remedy would make; what cannot be followed is said."""
    made: list[Structure | str] = []
    for remedy in remedies:
        made.extend(_of_text(remedy.sql, snapshot))
    structures = [each for each in made if isinstance(each, Structure)]
    lasting = [s for s in _without_parts(structures, snapshot) if not s.is_event]
    # a step such as ANALYZE that accompanies another one does not count by itself
    kept = lasting or structures
    said = tuple(dict.fromkeys(each for each in made if isinstance(each, str)))
    return Advised(tuple({s.label: s for s in kept}.values()), said)


def _of_text(sql: str, snapshot: Snapshot) -> Made:
    try:
        statements = trees.parse(sql)
    except trees.UnreadableError:
        yield "statements that the parser does not know"
        return
    for statement in statements:
        yield from _of_statement(statement, snapshot)


def _of_statement(statement: Any, snapshot: Snapshot) -> Made:
    reader = _READERS.get(type(statement))
    if reader is not None:
        yield from reader(statement, snapshot)
    elif not isinstance(statement, _AUXILIARY):
        yield f"{_words(type(statement).__name__)} is not followed"


def _words(name: str) -> str:
    plain = name.removesuffix("Stmt")
    return "".join(f" {c}" if c.isupper() else c for c in plain).strip().upper()


def _without_parts(found: list[Structure], snapshot: Snapshot) -> list[Structure]:
    """Leave out the indexes of partitions: they are part of the index of the partitioned table."""
    tops = {s.known["table_oid"] for s in found if s.kind == "index"}
    return [s for s in found if s.kind != "index" or not _is_below(snapshot, s, tops)]


def _is_below(snapshot: Snapshot, structure: Structure, tops: set[int]) -> bool:
    table = snapshot.table_by_oid.get(structure.known["table_oid"])
    seen: set[int] = set()
    while table is not None and table.parent_oid is not None and table.oid not in seen:
        seen.add(table.oid)
        if table.parent_oid in tops:
            return True
        table = snapshot.table_by_oid.get(table.parent_oid)
    return False


# Names


def _place(relation: Any, snapshot: Snapshot) -> dict[str, Any] | None:
    return held_objects.place(snapshot, relation.schemaname or "public", relation.relname)


def _index(snapshot: Snapshot, parts: tuple[str, ...]) -> Index | None:
    schema = parts[-2] if len(parts) > 1 else "public"
    return _indexes(snapshot).get((schema, parts[-1]))


@derived
def _indexes(snapshot: Snapshot) -> Mapping[tuple[str, str], Index]:
    return {(i.schema, i.name): i for i in snapshot.indexes}


def _unseen(name: str) -> str:
    return f"{name} was not among the facts"


# Indexes


def _create_index(statement: Any, snapshot: Snapshot) -> Made:
    place = _place(statement.relation, snapshot)
    if place is None:
        yield _unseen(statement.relation.relname)
        return
    table = snapshot.table_by_oid[place["table_oid"]]

    definition = str(RawStream()(statement))
    form = index_forms.of_statement(statement, {})
    yield held_indexes.wanted(snapshot, table, definition, form)


def _drop(statement: Any, snapshot: Snapshot) -> Made:
    for each in statement.objects:
        parts = trees.names(each)
        index = _index(snapshot, parts) if statement.removeType == ObjectType.OBJECT_INDEX else None
        yield held_indexes.unwanted(snapshot, index) if index else _unseen(".".join(parts))


def _reindex(statement: Any, snapshot: Snapshot) -> Made:
    relation = statement.relation
    if relation is None:
        yield "REINDEX of a whole database is not followed"
        return
    parts = tuple(filter(None, (relation.schemaname, relation.relname)))
    index = _index(snapshot, parts)
    yield held_indexes.rebuilt(snapshot, index) if index else _unseen(relation.relname)


# Settings


def _value(statement: Any) -> str | None:
    if statement.kind == VariableSetKind.VAR_SET_VALUE:
        return ", ".join(_constant(each) for each in statement.args)
    return None


def _constant(node: Any) -> str:
    inner = trees.without_casts(node)
    value = getattr(inner, "val", inner)
    for slot in ("sval", "ival", "fval", "boolval"):
        if hasattr(value, slot):
            return str(getattr(value, slot))
    return str(value)


def _alter_system(statement: Any, snapshot: Snapshot) -> Made:
    own = statement.setstmt
    yield held_settings.server_setting(snapshot, own.name, _value(own))


def _alter_role_set(statement: Any, snapshot: Snapshot) -> Made:
    own = statement.setstmt
    role = statement.role.rolename if statement.role is not None else None
    yield held_settings.role_setting(snapshot, role, statement.database, own.name, _value(own))


def _alter_database_set(statement: Any, snapshot: Snapshot) -> Made:
    own = statement.setstmt
    yield held_settings.role_setting(snapshot, None, statement.dbname, own.name, _value(own))


# Tables


def _alter_table(statement: Any, snapshot: Snapshot) -> Made:
    if statement.objtype == ObjectType.OBJECT_INDEX:
        return  # attaches, or sets a target of statistics: the index is what matters
    place = _place(statement.relation, snapshot)
    for command in statement.cmds:
        if place is None:
            yield _unseen(statement.relation.relname)
        else:
            yield from _command(command, place, snapshot)


def _command(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    reader = _COMMANDS.get(command.subtype)
    if reader is not None:
        yield from reader(command, place, snapshot)
    elif command.subtype not in _AUXILIARY_COMMANDS:
        yield f"ALTER TABLE … {_title(command.subtype)} is not followed"


def _title(subtype: Any) -> str:
    return str(subtype.name).removeprefix("AT_")


_AUXILIARY_COMMANDS = frozenset({AlterTableType.AT_ClusterOn, AlterTableType.AT_SetNotNull})


def _set_options(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    is_reset = command.subtype == AlterTableType.AT_ResetRelOptions
    for each in command.def_:
        name = f"{each.defnamespace}.{each.defname}" if each.defnamespace else each.defname
        value = None if is_reset else _constant(each.arg) if each.arg is not None else "true"
        yield held_settings.option(snapshot, place, name, value)


def _drop_constraint(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    of_table = snapshot.indexes_of[place["table_oid"]]
    index = next((i for i in of_table if i.constraint_name == command.name), None)
    if index is not None:
        yield held_indexes.unwanted(snapshot, index)
    else:
        yield held_objects.constraint(snapshot, place, command.name, "no")


def _validate(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    yield held_objects.constraint(snapshot, place, command.name, "validated")


def _alter_constraint(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    if command.def_.alterEnforceability:
        yield held_objects.constraint(snapshot, place, command.def_.conname, "enforced")
    else:
        yield "ALTER CONSTRAINT is not followed"


_KINDS = {
    ConstrType.CONSTR_PRIMARY: "p",
    ConstrType.CONSTR_UNIQUE: "u",
    ConstrType.CONSTR_FOREIGN: "f",
}


def _add_constraint(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    own = command.def_
    kind = _KINDS.get(own.contype, "")
    name = own.conname or f"{place['table']}_pkey"
    yield held_objects.constraint(snapshot, place, name, "a", kind)


def _add_column(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    kinds = {c.contype for c in command.def_.constraints or ()}
    if ConstrType.CONSTR_PRIMARY in kinds:
        name = f"{place['table']}_pkey"
        yield held_objects.constraint(snapshot, place, name, "a", "p")
    else:
        yield "ALTER TABLE … ADD COLUMN is not followed"


_TYPES = {"int2": "smallint", "int4": "integer", "int8": "bigint"}


def _column_type(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    own = command.def_.typeName
    if own.typmods:
        yield "a type with a length is not followed"
        return
    parts = trees.names(own.names)
    kind = _TYPES.get(parts[-1], parts[-1])
    is_own = len(parts) > 1 and parts[0] != "pg_catalog"
    yield _column(command.name, "type", ".".join(parts) if is_own else kind, place, snapshot)


def _column_target(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    value = _constant(command.def_)
    wanted = "None" if value == "-1" else value
    yield _column(command.name, "statistics_target", wanted, place, snapshot)


def _column_options(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    for each in command.def_:
        if each.defname == "n_distinct":
            value = _constant(each.arg)
            yield _column(command.name, "n_distinct_option", value, place, snapshot)
        else:
            yield f"the column option {each.defname} is not followed"


def _column(
    name: str, aspect: str, value: str, place: Mapping[str, Any], snapshot: Snapshot
) -> Structure | str:
    own = next((c for c in snapshot.columns_of[place["table_oid"]] if c.name == name), None)
    if own is None:
        return _unseen(name)
    before = str(getattr(own, aspect))
    label = f"{aspect.replace('_', ' ')} {value} of {place['schema']}.{place['table']}.{name}"
    known = {"column": name, "attnum": own.attnum, "aspect": aspect, "value": value}
    return Structure("column", label, {**place, **known, "before": before})


def _replica_identity(command: Any, place: Mapping[str, Any], snapshot: Snapshot) -> Made:
    table = snapshot.table_by_oid[place["table_oid"]]
    value = command.def_.identity_type
    known = {**place, "value": value, "before": table.replica_identity}
    yield Structure("replica identity", f"replica identity of {table.qualified}", known)


_COMMANDS: dict[AlterTableType, Callable[[Any, Mapping[str, Any], Snapshot], Made]] = {
    AlterTableType.AT_SetRelOptions: _set_options,
    AlterTableType.AT_ResetRelOptions: _set_options,
    AlterTableType.AT_DropConstraint: _drop_constraint,
    AlterTableType.AT_ValidateConstraint: _validate,
    AlterTableType.AT_AlterConstraint: _alter_constraint,
    AlterTableType.AT_AddConstraint: _add_constraint,
    AlterTableType.AT_AddColumn: _add_column,
    AlterTableType.AT_AlterColumnType: _column_type,
    AlterTableType.AT_SetStatistics: _column_target,
    AlterTableType.AT_SetOptions: _column_options,
    AlterTableType.AT_ReplicaIdentity: _replica_identity,
}


# Maintenance


def _vacuum(statement: Any, snapshot: Snapshot) -> Made:
    is_vacuum = bool(statement.is_vacuumcmd)
    what = "vacuum" if is_vacuum else "analyze"
    if not statement.rels:
        yield from _whole_database(snapshot, is_vacuum=is_vacuum)
    for each in statement.rels or ():
        place = _place(each.relation, snapshot)
        if place is None:
            yield _unseen(each.relation.relname)
        else:
            known = {**place, "what": what, "since": snapshot.now.isoformat()}
            label = f"{what.upper()} of {place['schema']}.{place['table']}"
            yield Structure("maintained", label, known, is_event=True)


def _whole_database(snapshot: Snapshot, *, is_vacuum: bool) -> Made:
    if is_vacuum and snapshot.database is not None:
        known = {"age": snapshot.database.xid_age_xids}
        yield Structure("frozen", "VACUUM (FREEZE) of the database", known, is_event=True)
    else:
        yield "ANALYZE of the whole database is not followed"


def _refresh(statement: Any, snapshot: Snapshot) -> Made:
    place = _place(statement.relation, snapshot)
    if place is None:
        yield _unseen(statement.relation.relname)
        return
    pages = snapshot.table_by_oid[place["table_oid"]].pages
    label = f"refresh of {place['schema']}.{place['table']}"
    yield Structure("shrunk", label, {**place, "pages": pages}, is_event=True)


# Others


def _statistics(statement: Any, snapshot: Snapshot) -> Made:
    relation = statement.relations[0]
    place = _place(relation, snapshot)
    if place is None:
        yield _unseen(relation.relname)
        return
    columns = [e.name for e in statement.exprs if e.name]
    kinds = [str(k.sval) for k in statement.stat_types or ()]
    label = f"statistics ({', '.join(kinds)}) on {', '.join(columns)} of {relation.relname}"
    yield Structure("statistics", label, {**place, "columns": columns, "kinds": kinds})


def _sequence(statement: Any, snapshot: Snapshot) -> Made:
    wanted = (statement.sequence.schemaname or "public", statement.sequence.relname)
    own = next((s for s in snapshot.sequences if (s.schema, s.name) == wanted), None)
    if own is None:
        yield _unseen(wanted[1])
        return
    end = abs(own.max_value if own.increment > 0 else own.min_value)
    yield Structure("sequence", f"end of {own.schema}.{own.name}", {"oid": own.oid, "end": end})


def _extension(statement: Any, snapshot: Snapshot) -> Made:
    own = snapshot.extension(statement.extname)
    before = own.installed_version if own is not None else None
    name = statement.extname
    yield Structure("extension", f"extension {name}", {"name": name, "before": before})


def _call(statement: Any, _snapshot: Snapshot) -> Made:
    for target in statement.targetList or ():
        call = target.val
        name = trees.names(call.funcname)[-1] if isinstance(call, ast.FuncCall) else ""
        if name == "pg_drop_replication_slot":
            slot = _constant(call.args[0])
            yield Structure("no slot", f"no replication slot {slot}", {"name": slot})
        elif name in _LASTING_CALLS:
            yield f"{name}() leaves nothing behind that could be followed"


def _transaction(statement: Any, _snapshot: Snapshot) -> Made:
    if statement.kind == TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED:
        gid = statement.gid
        yield Structure("no prepared", f"no prepared transaction {gid}", {"gid": gid})


def _domain(statement: Any, _snapshot: Snapshot) -> Made:
    parts = trees.names(statement.typeName)
    if statement.subtype != "V":
        yield "ALTER DOMAIN is not followed"
        return
    schema = parts[-2] if len(parts) > 1 else "public"
    known = {"schema": schema, "domain": parts[-1], "name": statement.name}
    yield Structure("domain", f"validated constraint {statement.name} of {parts[-1]}", known)


def _collation(statement: Any, snapshot: Snapshot) -> Made:
    parts = trees.names(statement.collname)
    stale = [c.name for c in snapshot.collation_versions if c.oid is not None]
    names = [n for n in stale if n in (parts[-1], ".".join(parts))] or [".".join(parts)]
    yield Structure("collation", f"version of collation {parts[-1]}", {"names": names})


def _database_collation(_statement: Any, snapshot: Snapshot) -> Made:
    names = [c.name for c in snapshot.collation_versions if c.oid is None]
    yield Structure("collation", "version of the database's collation", {"names": names})


_READERS: dict[type, Callable[[Any, Snapshot], Made]] = {
    ast.IndexStmt: _create_index,
    ast.DropStmt: _drop,
    ast.ReindexStmt: _reindex,
    ast.AlterSystemStmt: _alter_system,
    ast.AlterRoleSetStmt: _alter_role_set,
    ast.AlterDatabaseSetStmt: _alter_database_set,
    ast.AlterTableStmt: _alter_table,
    ast.VacuumStmt: _vacuum,
    ast.RefreshMatViewStmt: _refresh,
    ast.CreateStatsStmt: _statistics,
    ast.AlterSeqStmt: _sequence,
    ast.CreateExtensionStmt: _extension,
    ast.AlterExtensionStmt: _extension,
    ast.SelectStmt: _call,
    ast.TransactionStmt: _transaction,
    ast.AlterDomainStmt: _domain,
    ast.AlterCollationStmt: _collation,
    ast.AlterDatabaseRefreshCollStmt: _database_collation,
}
