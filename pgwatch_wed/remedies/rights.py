"""Which roles may do what a remedy does, and whether the role that analyzed is one of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pgwatch_wed.facts import OwnRights, Session, Snapshot, Table
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import privileges
from pgwatch_wed.quote import ident

SIGNAL = "pg_signal_backend"
SIGNAL_WORKER = "pg_signal_autovacuum_worker"
MAINTAIN = "pg_maintain"
_NONE = OwnRights(is_replication=False, can_create_roles=False, can_reload=False)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a statement requires: a word for programs, who has it, and whether our role does.

    ``owner`` and ``what`` are set if it is the ownership of a relation by one role.
    """

    needs: str
    who: str
    is_met: bool
    owner: str = ""
    what: str = ""


@dataclass(frozen=True)
class Rights:
    """Who may do what on one server, as far as its facts tell; a superuser always may."""

    snapshot: Snapshot

    @cached_property
    def _own(self) -> OwnRights:
        return self.snapshot.rights[0] if self.snapshot.rights else _NONE

    @cached_property
    def _is_superuser(self) -> bool:
        return self.snapshot.server.is_superuser

    @cached_property
    def _roles(self) -> frozenset[str]:
        """The roles whose privileges ours has, predefined ones included."""
        server = self.snapshot.server
        return frozenset((server.role, *server.role_memberships, *self._own.acts_as))

    def _has(self, role: str | None) -> bool:
        return self._is_superuser or role in self._roles

    @cached_property
    def _table_by_relation(self) -> Mapping[tuple[str, str], Table]:
        """Tables by their own names and those of their indexes."""
        snapshot = self.snapshot
        tables = {(t.schema, t.name): t for t in snapshot.tables}
        indexes = {
            (i.schema, i.name): table
            for i in snapshot.indexes
            if (table := snapshot.table_by_oid.get(i.table_oid)) is not None
        }
        return {**indexes, **tables}

    @cached_property
    def _owner_by_name(self) -> Mapping[tuple[str, str], str]:
        """Owners of what is neither a user's table nor an index."""
        snapshot = self.snapshot
        owners = {(s.schema, s.name): s.owner for s in snapshot.sequences if s.owner is not None}
        return owners | {(s.schema, s.name): s.owner for s in snapshot.system_tables}

    def table(self, schema: str, name: str) -> Table | None:
        """Return a table by its name or that of one of its indexes."""
        # no table of a user's is without a schema: who only asks about catalogs needs no tables
        return self._table_by_relation.get((schema, name)) if schema else None

    # Requirements

    def superuser(self, *, unless: str = "", is_met: bool = False) -> Requirement:
        """Return what only superusers may, and whoever ``unless`` describes."""
        provider = self.snapshot.server.provider
        who = f"the administrator role of {provider}" if provider else "a superuser"
        who = f"{who}, or {unless}" if unless else who
        return Requirement("superuser", who, self._is_superuser or is_met)

    def owner(self, schema: str, name: str, *, below: bool = False) -> Requirement:
        """Return the ownership of a relation; ``below``: and of its partitions, if others own them."""
        table = self.table(schema, name)
        owner = table.owner if table else self._owner_by_name.get((schema, name))
        if owner is None:
            return Requirement("owner", f"the owner of {_label(schema, name)}", self._is_superuser)
        owners = {owner, *(self._owners_of_partitions(table) if below else ())}
        what = _label(table.schema, table.name) if table else _label(schema, name)
        may = all(map(self._has, owners))
        if len(owners) > 1:
            names = ", ".join(sorted(owners))
            who = f"a role that is a member of all owners of {what} and its partitions ({names})"
            return Requirement("owner", who, may)
        return Requirement("owner", f"{owner}, the owner of {what}", may, owner, what)

    def _owners_of_partitions(self, table: Table | None) -> Iterable[str]:
        if table is None or table.kind != "p":
            return
        for oid in ix.partitions(self.snapshot, table.oid):
            part = self.snapshot.table_by_oid.get(oid)
            if part is not None:
                yield part.owner

    def create_in(self, schema: str, owner_of: Table | None) -> Iterable[Requirement]:
        """Yield the right to create objects in a schema, if the owner of the table lacks it."""
        found = next((s for s in self.snapshot.schemas if s.name == schema), None)
        if found is None or owner_of is None or owner_of.owner not in found.owners_without_create:
            return
        grant = f"GRANT CREATE ON SCHEMA {ident(schema)} TO {ident(owner_of.owner)}"
        may = self._is_superuser or (found.can_create and self._has(owner_of.owner))
        who = f"{owner_of.owner}, the owner of {owner_of.qualified}, after {grant}"
        yield Requirement("create on schema", who, may)

    def select(self, schema: str, name: str) -> Iterable[Requirement]:
        """Yield the right to read a user's table."""
        table = self.table(schema, name)
        if table is not None:
            who = f"a role with SELECT on {table.qualified}"
            may = table.can_select and self._uses(schema)
            yield Requirement("select", who, self._is_superuser or may)

    def maintain(self, schema: str, name: str, *, below: bool = False) -> Requirement:
        """Return the right to VACUUM, ANALYZE or REINDEX a table: from 17 on, it can be granted."""
        table, owner = self.table(schema, name), self.owner(schema, name, below=below)
        if not self.snapshot.server.features.has_maintain():
            return owner
        by_role = self._has(MAINTAIN) and self._uses(schema)
        by_grant = table is not None and table.oid in self._own.maintains
        what = _label(table.schema, table.name) if table else _label(schema, name)
        who = f"{owner.who}, or a role with MAINTAIN on {what} and USAGE on its schema"
        return replace(owner, who=who, is_met=owner.is_met or by_role or by_grant)

    def _uses(self, schema: str) -> bool:
        return any(s.can_use for s in self.snapshot.schemas if s.name == schema)

    def vacuum_system_table(self, schema: str, name: str) -> Requirement:
        """Return the right to VACUUM a catalog: that of the database's owner, unless it is shared."""
        tables = self.snapshot.system_tables
        found = next((t for t in tables if (t.schema, t.name) == (schema, name)), None)
        if found is None or found.is_shared:
            return self._everywhere()
        return self._or_maintainer(self.database_owner(self.snapshot.server.database))

    def vacuum_database(self) -> Requirement:
        """Return the right to VACUUM all tables: the database's owner may not those that are shared."""
        return self._everywhere()

    def _everywhere(self) -> Requirement:
        if not self.snapshot.server.features.has_maintain():
            return self.superuser()
        return self.superuser(unless=f"a member of {MAINTAIN}", is_met=self._has(MAINTAIN))

    def reindex_database(self, database: str) -> Requirement:
        """Return the right to rebuild all indexes of a database."""
        return self._or_maintainer(self.database_owner(database))

    def _or_maintainer(self, owner: Requirement) -> Requirement:
        if not self.snapshot.server.features.has_maintain():
            return owner
        who = f"{owner.who}, or a member of {MAINTAIN}"
        return Requirement("owner", who, owner.is_met or self._has(MAINTAIN))

    def database_owner(self, database: str) -> Requirement:
        """Return the ownership of a database."""
        found = next((d.owner for d in self.snapshot.databases if d.name == database), None)
        who = f"{found}, the owner" if found else "the owner"
        return Requirement("owner", f"{who} of database {database}", self._has(found))

    def schema_owner(self, schema: str) -> Requirement:
        """Return the ownership of a schema."""
        found = next((s.owner for s in self.snapshot.schemas if s.name == schema), None)
        if found is None:
            return self.superuser()
        return Requirement("owner", f"{found}, the owner of schema {schema}", self._has(found))

    def signal(self, session: Session | None) -> Requirement:
        """Return the right to end a session or its statement, and to see that it is still the same one."""
        if session is None:
            who = f"a member of {SIGNAL} and {privileges.ALL_STATS}; for sessions of superusers, a superuser"
            met = self._has(SIGNAL) and self._has(privileges.ALL_STATS)
            return Requirement(SIGNAL, who, met)
        if session.backend_type == "autovacuum worker":
            return self._signal_worker()
        users = {r.name: r.is_superuser for r in self.snapshot.roles}
        if session.user is None or users.get(session.user, False):
            return self.superuser()
        met = self._has(SIGNAL) and self._has(privileges.ALL_STATS)
        who = f"{session.user}, or a member of {SIGNAL} and {privileges.ALL_STATS}"
        return Requirement(SIGNAL, who, met or self._has(session.user))

    def _signal_worker(self) -> Requirement:
        if not self.snapshot.server.features.has_signal_of_autovacuum():
            return self.superuser()
        met = self._has(SIGNAL_WORKER) and self._has(privileges.ALL_STATS)
        unless = f"a member of {SIGNAL_WORKER} and {privileges.ALL_STATS}"
        return self.superuser(unless=unless, is_met=met)

    def prepared(self, gid: str) -> Requirement:
        """Return who may end a prepared transaction: the very role that prepared it."""
        owners = (p.owner for p in self.snapshot.prepared_transactions if p.gid == gid)
        owner = next(owners, None)
        if owner is None:
            return self.superuser()
        met = self._is_superuser or owner == self.snapshot.server.role
        return Requirement("owner", f"{owner}, who prepared it, or a superuser", met)

    def replication(self) -> Requirement:
        """Return the attribute that replication slots require; it is not inherited."""
        met = self._is_superuser or self._own.is_replication
        return Requirement("replication", "a role with the attribute REPLICATION", met)

    def alter_system(self, names: Iterable[str], *, reloads: bool) -> Requirement:
        """Return the right to change settings of the server, and to reload them."""
        listed = tuple(names)
        server = self.snapshot.server
        if server.provider:
            who = f"nobody: {server.provider} does not allow ALTER SYSTEM; change {' and '.join(listed)} in its parameter group or console"
            return Requirement("superuser", who, is_met=False)
        if self.snapshot.setting_on("allow_alter_system") is False:
            who = f"nobody: allow_alter_system is off; change {' and '.join(listed)} where the configuration is managed"
            return Requirement("superuser", who, is_met=False)
        if not server.features.has_parameter_grants():
            return self.superuser()
        met = set(listed) <= set(self._own.parameters) and (self._own.can_reload or not reloads)
        unless = f"a role with ALTER SYSTEM ON PARAMETER {', '.join(listed)}"
        unless += " and EXECUTE on pg_reload_conf()" if reloads else ""
        return self.superuser(unless=unless, is_met=met)

    def reload(self) -> Requirement:
        """Return the right to reload the configuration."""
        unless = "a role with EXECUTE on pg_reload_conf()"
        return self.superuser(unless=unless, is_met=self._own.can_reload)

    def role(self, name: str, *, by_itself: bool) -> Requirement:
        """Return the right to alter a role; ``by_itself``: it may do so itself."""
        users = {r.name: r.is_superuser for r in self.snapshot.roles}
        if users.get(name, False):
            return self.superuser()
        by_creator = self._own.can_create_roles
        who = "a role with CREATEROLE"
        if self.snapshot.server.features.has_membership_options():
            by_creator = by_creator and name in self._own.administers
            who += f" and ADMIN OPTION on {name}"
        met = self._is_superuser or by_creator
        if by_itself:
            met, who = met or name == self.snapshot.server.role, f"{name} itself, or {who}"
        return Requirement("createrole", who, met)

    def parameter(self, name: str = "") -> Iterable[Requirement]:
        """Yield the right to set a parameter that ordinary roles may not set."""
        setting = self.snapshot.setting_by_name.get(name)
        if setting is not None and setting.context in ("superuser", "superuser-backend"):
            yield self.superuser()

    def grant_role(self, name: str) -> Requirement:
        """Return the right to grant membership in a role."""
        unless = f"a role with ADMIN OPTION on {name}"
        met = name in self._own.administers
        if not self.snapshot.server.features.has_membership_options():
            unless, met = f"{unless} or CREATEROLE", met or self._own.can_create_roles
        return self.superuser(unless=unless, is_met=met)


def _label(schema: str, name: str) -> str:
    return f"{schema}.{name}" if schema else name


@derived
def of(snapshot: Snapshot) -> Rights:
    """Return the rights on the server of a snapshot."""
    return Rights(snapshot)
