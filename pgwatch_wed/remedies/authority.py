"""Who may run a remedy: what each of its statements requires, by PostgreSQL's own rules."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pglast import ast
from pglast.enums import (
    AlterTableType,
    ConstrType,
    ObjectType,
    ReindexObjectType,
    TransactionStmtKind,
)

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Remedy
from pgwatch_wed.remedies import rights
from pgwatch_wed.remedies.rights import Requirement, Rights
from pgwatch_wed.sqltext import trees

_SYSTEM = ("pg_catalog", "pg_toast", "information_schema")
_SIGNALS = ("pg_cancel_backend", "pg_terminate_backend")
_SLOTS = (
    *("pg_drop_replication_slot", "pg_create_physical_replication_slot"),
    *("pg_create_logical_replication_slot", "pg_replication_slot_advance"),
)
_WHOLE = (ReindexObjectType.REINDEX_OBJECT_SYSTEM, ReindexObjectType.REINDEX_OBJECT_DATABASE)


_MOST_NAMED = 3
# Changes of a partitioned table that leave its partitions alone.
_OF_ONE_TABLE = (
    *(AlterTableType.AT_ReplicaIdentity, AlterTableType.AT_ClusterOn),
    *(AlterTableType.AT_AttachPartition, AlterTableType.AT_DetachPartition),
)


def with_authority(snapshot: Snapshot, finding: Finding) -> Finding:
    """Return the finding whose remedies say what they need, and who may run them if our role may not."""
    return replace(finding, remedy=tuple(signed(snapshot, r) for r in finding.remedy))


def signed(snapshot: Snapshot, remedy: Remedy) -> Remedy:
    """Return a remedy that says what it needs, and who may run it if our role may not."""
    needs = ", ".join(sorted({r.needs for r in requirements(snapshot, remedy.sql)}))
    return replace(remedy, needs=needs, run_as=run_as(snapshot, remedy.sql))


def run_as(snapshot: Snapshot, script: str) -> str:
    """Name who may run a script if our role may not; a superuser may do everything else, too."""
    found = dict.fromkeys(requirements(snapshot, script))
    unmet = [requirement for requirement in found if not requirement.is_met]
    highest = [requirement for requirement in unmet if requirement.needs == "superuser"]
    if len(unmet) > 1 and len({r.owner for r in unmet}) == 1 and unmet[0].owner:
        return f"{unmet[0].owner}, the owner of {_few([r.what for r in unmet])}"
    return "; and ".join(dict.fromkeys(r.who for r in highest or unmet))


def _few(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def requirements(snapshot: Snapshot, script: str) -> Iterator[Requirement]:
    """Yield what the statements of a script require; a script that cannot be parsed, a superuser."""
    try:
        statements = trees.parse(script)
    except trees.UnreadableError:
        yield rights.of(snapshot).superuser()
        return
    found = _Script(rights.of(snapshot))
    settings = [
        name for s in statements if isinstance(s, ast.AlterSystemStmt) for name in _parameter(s)
    ]
    if settings:
        reloads = any("pg_reload_conf" in _functions(s) for s in statements)
        yield found.rights.alter_system(settings, reloads=reloads)
    for statement in statements:
        yield from found.of(statement, has_settings=bool(settings))


@dataclass(frozen=True)
class _Script:
    """The statements of a remedy, and the tables of what they create."""

    rights: Rights
    created: dict[tuple[str, str], Table] = field(default_factory=dict)

    def of(self, node: Any, *, has_settings: bool) -> Iterator[Requirement]:
        match node:
            case ast.AlterSystemStmt():
                pass  # together with the reload
            case ast.SelectStmt():
                yield from self._select(node, has_settings=has_settings)
            case ast.VacuumStmt():
                yield from self._vacuum(node)
            case ast.ReindexStmt():
                yield self._reindex(node)
            case ast.IndexStmt():
                yield from self._create(node.relation, (node.idxname,))
            case ast.CreateStatsStmt(relations=(relation, *_)):
                yield from self._create(relation, trees.names(node.defnames)[-1:])
            case ast.AlterTableStmt():
                yield from self._alter(node)
            case ast.RefreshMatViewStmt() | ast.ClusterStmt(relation=ast.RangeVar()):
                yield self._maintain(node.relation)
            case ast.AlterSeqStmt(sequence=relation):
                yield self._owner(*_path(relation))
            case ast.RenameStmt(relation=ast.RangeVar() as relation):
                yield self._owner(*_path(relation))
            case ast.InsertStmt() | ast.UpdateStmt() | ast.DeleteStmt():
                yield self._owner(*_path(node.relation))
            case ast.DropStmt() | ast.CommentStmt() | ast.AlterStatsStmt() | ast.AlterDomainStmt():
                yield from self._objects(node)
            case _:
                yield from self._server(node)

    def _server(self, node: Any) -> Iterator[Requirement]:
        """Yield the requirements of what belongs to no table."""
        match node:
            case ast.AlterRoleSetStmt(role=ast.RoleSpec(rolename=str(name))):
                yield self.rights.role(name, by_itself=True)
                yield from self.rights.parameter(*_parameter(node))
            case ast.AlterRoleStmt(role=ast.RoleSpec(rolename=str(name))):
                yield self.rights.role(name, by_itself=False)
            case ast.AlterDatabaseSetStmt():
                yield self.rights.database_owner(str(node.dbname))
                yield from self.rights.parameter(*_parameter(node))
            case ast.AlterDatabaseStmt() | ast.AlterDatabaseRefreshCollStmt():
                yield self.rights.database_owner(str(node.dbname))
            case ast.TransactionStmt(kind=TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED):
                yield self.rights.prepared(str(node.gid))
            case ast.GrantRoleStmt():
                for granted in node.granted_roles or ():
                    yield self.rights.grant_role(str(granted.priv_name))
            case ast.GrantStmt():
                yield from self._grant(node)
            case ast.AlterCollationStmt():
                *schema, name = trees.names(node.collname)
                yield self._owner(schema[0] if schema else "", name)
            case ast.TransactionStmt() | ast.VariableSetStmt():
                pass
            case _:
                yield self.rights.superuser()

    # Tables

    def _owner(self, schema: str, name: str, *, below: bool = False) -> Requirement:
        table = self.created.get((schema, name))
        if table is not None:
            return self.rights.owner(table.schema, table.name)
        if schema in _SYSTEM:
            return self.rights.superuser()
        return self.rights.owner(schema, name, below=below)

    def _maintain(self, relation: Any, *, below: bool = False) -> Requirement:
        schema, name = _path(relation)
        if schema in _SYSTEM:
            return self.rights.vacuum_system_table(schema, name)
        return self.rights.maintain(schema, name, below=below)

    def _vacuum(self, node: ast.VacuumStmt) -> Iterator[Requirement]:
        if not node.rels:
            yield self.rights.vacuum_database()
        for each in node.rels or ():
            yield self._maintain(each.relation, below=True)

    def _reindex(self, node: ast.ReindexStmt) -> Requirement:
        if node.kind in _WHOLE:
            database = node.name or self.rights.snapshot.server.database
            return self.rights.reindex_database(str(database))
        if node.relation is None:
            return self.rights.schema_owner(str(node.name))
        return self._maintain(node.relation)

    def _create(self, relation: Any, created: Iterable[str | None]) -> Iterator[Requirement]:
        schema, name = _path(relation)
        table = self.rights.table(schema, name)
        yield self._owner(schema, name)
        yield from self.rights.create_in(schema, table)
        if table is not None:
            self.created.update({(schema, new): table for new in created if new})

    def _alter(self, node: Any) -> Iterator[Requirement]:
        schema, name = _path(node.relation)
        commands = node.cmds or ()
        with_parts = bool(node.relation.inh)  # codespell:ignore inh
        descends = with_parts and any(c.subtype not in _OF_ONE_TABLE for c in commands)
        yield self._owner(schema, name, below=descends)
        for command in commands:
            definition = command.def_
            if isinstance(definition, ast.PartitionCmd):
                yield self._owner(*_path(definition.name))
            if _creates(command):
                yield from self.rights.create_in(schema, self.rights.table(schema, name))
            if isinstance(definition, ast.Constraint) and definition.pktable is not None:
                yield self._owner(*_path(definition.pktable))

    def _objects(self, node: Any) -> Iterator[Requirement]:
        """Yield the ownership of what is named by a list of words."""
        match node:
            case ast.DropStmt():
                paths = [trees.names(o) for o in node.objects or () if isinstance(o, tuple)]
            case ast.CommentStmt(objtype=ObjectType.OBJECT_TABCONSTRAINT):
                paths = [trees.names(node.object)[:-1]]
            case ast.CommentStmt():
                paths = [trees.names(node.object)]
            case ast.AlterDomainStmt():
                paths = [trees.names(node.typeName)]
            case _:
                paths = [trees.names(node.defnames)]
        for path in paths:
            if path:
                yield self._owner(path[-2] if len(path) > 1 else "", path[-1])

    def _grant(self, node: ast.GrantStmt) -> Iterator[Requirement]:
        for target in node.objects or ():
            match target:
                case ast.RangeVar():
                    yield self._owner(*_path(target))
                case ast.String() if node.objtype == ObjectType.OBJECT_SCHEMA:
                    yield self.rights.schema_owner(str(target.sval))
                case _:
                    yield self.rights.superuser()

    # Functions

    def _select(self, node: ast.SelectStmt, *, has_settings: bool) -> Iterator[Requirement]:
        called = _functions(node)
        if called & set(_SIGNALS):
            yield self._signal(node)
        if called & set(_SLOTS):
            yield self.rights.replication()
        if "pg_reload_conf" in called and not has_settings:
            yield self.rights.reload()
        for relation in (n for n in trees.walk(node) if isinstance(n, ast.RangeVar)):
            yield from self.rights.select(*_path(relation))

    def _signal(self, node: ast.SelectStmt) -> Requirement:
        calls = (n for n in trees.walk(node) if isinstance(n, ast.FuncCall))
        for call in calls:
            if trees.names(call.funcname)[-1] not in _SIGNALS:
                continue
            match call.args:
                case (ast.A_Const(val=ast.Integer(ival=int(pid))), *_):
                    session = self.rights.snapshot.session_by_pid.get(pid)
                    return self.rights.signal(session)
        return self.rights.signal(None)


def _path(relation: Any) -> tuple[str, str]:
    return str(relation.schemaname or ""), str(relation.relname)


def _parameter(statement: Any) -> tuple[str, ...]:
    """Return the name of what SET or RESET changes; nothing for ALL."""
    name = statement.setstmt.name
    return (str(name),) if name else ()


def _functions(node: Any) -> set[str]:
    calls = (n for n in trees.walk(node) if isinstance(n, ast.FuncCall))
    return {trees.names(call.funcname)[-1] for call in calls}


def _creates(command: ast.AlterTableCmd) -> bool:
    """Tell whether a command of ALTER TABLE creates an index or a sequence."""
    definition: Any = command.def_
    if command.subtype == AlterTableType.AT_AddConstraint:
        keys = (ConstrType.CONSTR_PRIMARY, ConstrType.CONSTR_UNIQUE, ConstrType.CONSTR_EXCLUSION)
        return definition.contype in keys and definition.indexname is None
    if command.subtype == AlterTableType.AT_AddIdentity:
        return True
    return isinstance(definition, ast.ColumnDef) and bool(definition.constraints)
