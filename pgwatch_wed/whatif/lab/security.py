"""Row-level security in the lab: the target's policies, the roles that they bind, and the owners that they do not.

Policies add conditions that no statement shows, so a statement is planned as the role that runs it. In the lab, roles
have no rights but to read and write the target's tables; some names are replaced, since here they are those of roles
with more rights.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgwatch_wed.errors import said
from pgwatch_wed.sqltext.plan_trees import PlanNode, tables_of, walk
from pgwatch_wed.sqltext.unknown_values import unknown_values
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.lab import guest
from pgwatch_wed.whatif.model import Query, WithheldError
from pgwatch_wed.whatif.unencoded import readable

Connection = psycopg.Connection[Any]

_PREFIX = "pgwatch_wed_as_"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class SecuredRelation:
    """A table with row-level security, or a view, which reads tables with the rights of its owner."""

    schema: str
    name: str
    kind: str
    owner: str
    is_secured: bool
    is_forced: bool
    hides_statistics: bool
    policies: tuple[str, ...]

    @property
    def label(self) -> str:
        """Its name, for people."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class RoleRights:
    """A role of the target; ``is_free`` of policies as a superuser or by BYPASSRLS, ``is_ours`` if we connect as it."""

    name: str
    is_free: bool
    is_ours: bool
    member_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in the lab, and the values in its condition that only a session knows."""

    schema: str
    table: str
    name: str
    roles: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(slots=True)
class Security:
    """What a target's row-level security is; ``policies`` are those that the lab has."""

    relations: tuple[SecuredRelation, ...] = ()
    roles: Mapping[str, RoleRights] = field(default_factory=dict)
    policies: tuple[Policy, ...] = ()

    def role_of(self, query: Query) -> str | None:
        """Return the lab's role as which a query is planned; None if its role is not known."""
        user = self._user(query)
        return None if user is None else lab_name(user.name)

    def withhold(self, query: Query, tree: PlanNode) -> None:
        """Raise :class:`WithheldError` if the lab's plan says nothing about the target's."""
        for table in self._read(tree):
            why = self._why_withheld(table, query)
            if why:
                raise WithheldError(why)

    def is_bound(self, query: Query, tree: PlanNode) -> bool:
        """Tell whether policies bind the role of a query."""
        user = self._user(query)
        return user is not None and any(self._binds(table, user) for table in self._read(tree))

    def doubts(self, query: Query, tree: PlanNode) -> Iterator[str]:
        """Yield why the target may plan a query otherwise, although the policies are known."""
        user = self._user(query)
        yield from self._of_others(query, tree)
        if query.user is None and user is not None:
            yield from self._of_nobody(user, tree)
        if not any(str(n.get("Subplan Name", "")).startswith("InitPlan") for n in walk(tree)):
            return  # no value is unknown: a view read it with its owner's rights
        for table in self._read(tree):
            if user is None or not self._binds(table, user):
                continue
            for policy in self.policies:
                is_its = (policy.schema, policy.table) == (table.schema, table.name)
                if is_its and policy.values and _applies(policy, user):
                    values = ", ".join(policy.values[:_SHOWN])
                    yield (
                        f"policy {policy.name} of {table.label} adds a condition on {values}, whose value only the "
                        "session knows; the average of the statistics was assumed"
                    )

    def _of_nobody(self, user: RoleRights, tree: PlanNode) -> Iterator[str]:
        """Yield which tables have policies that were left out, since only the role that asks is known."""
        for table in self._read(tree):
            if table.policies and not self._binds(table, user):
                yield (
                    f"policies of {table.label} do not apply to {user.name}, as whom it was planned; if another role "
                    "runs it, name that in the first line of its file: -- role: NAME"
                )

    def _of_others(self, query: Query, tree: PlanNode) -> Iterator[str]:
        """Yield which other roles run a query to whom other policies apply."""
        user = self._user(query)
        for table in self._read(tree):
            differing = [
                name
                for name in query.others
                if self._applying(table, name) != self._applying(table, user)
            ]
            if differing:
                yield (
                    f"{', '.join(differing[:_SHOWN])} also runs it, with other policies of {table.label}: "
                    f"it was planned as {user.name if user else 'nobody'}"
                )

    def _applying(
        self, table: SecuredRelation, user: RoleRights | str | None
    ) -> frozenset[str] | None:
        """Return the policies of a table that apply to a role; None if they do not bind it."""
        role = self.roles.get(user) if isinstance(user, str) else user
        if role is None or not self._binds(table, role):
            return None
        mine = (p for p in self.policies if (p.schema, p.table) == (table.schema, table.name))
        return frozenset(p.name for p in mine if _applies(p, role))

    def _user(self, query: Query) -> RoleRights | None:
        if query.user is None:
            return next((role for role in self.roles.values() if role.is_ours), None)
        return self.roles.get(query.user)

    def _read(self, tree: PlanNode) -> list[SecuredRelation]:
        read = tables_of(tree)
        return [r for r in self.relations if r.is_secured and (r.schema, r.name) in read]

    def _why_withheld(self, table: SecuredRelation, query: Query) -> str:
        user = self._user(query)
        if table.hides_statistics:
            ours = next((r.name for r in self.roles.values() if r.is_ours), "this role")
            return (
                f"row-level security hides the statistics of {table.label} from {ours}; "
                "BYPASSRLS or the table's owner is required"
            )
        if user is None:
            return f"row-level security applies to {table.label}, and {_unknown(query)}"
        if self._binds(table, user):
            lost = self._lost(table)
            return (
                f"policies of {table.label} cannot be created in the lab ({lost})" if lost else ""
            )
        return ""

    def _binds(self, table: SecuredRelation, user: RoleRights) -> bool:
        if user.is_free:
            return False
        return table.is_forced or table.owner not in (user.name, *user.member_of)

    def _lost(self, table: SecuredRelation) -> str:
        mine = {p.name for p in self.policies if (p.schema, p.table) == (table.schema, table.name)}
        return ", ".join(name for name in table.policies if name not in mine)

    def incomplete(self) -> list[SecuredRelation]:
        """Return the tables without all their policies: with too few, all rows would be hidden."""
        return [r for r in self.relations if r.is_secured and self._lost(r)]


def _unknown(query: Query) -> str:
    return f"role {query.user} does not exist" if query.user else "the statement's role is unknown"


def _applies(policy: Policy, user: RoleRights) -> bool:
    own = {lab_name(name) for name in (user.name, *user.member_of)}
    return not policy.roles or not own.isdisjoint(policy.roles)


def lab_name(role: str) -> str:
    """Return the name of a target's role in the lab."""
    is_reserved = role in ("postgres", guest.ROLE) or role.startswith(("pg_", _PREFIX))
    return f"{_PREFIX}{role}"[:63] if is_reserved else role


def read(connection: Connection, users: Iterable[str]) -> Security:
    """Read a target's row-level security; the ``users`` are the roles that run statements."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(composed("whatif", "secured")).fetchall()
        if not any(row["is_secured"] for row in rows):
            return Security()
        wanted = {"users": sorted(set(users))}
        roles = cursor.execute(composed("whatif", "role_rights"), wanted).fetchall()
    rows, roles = ([{k: readable(v) for k, v in row.items()} for row in x] for x in (rows, roles))
    relations = (SecuredRelation(**row | {"policies": tuple(row["policies"])}) for row in rows)
    rights = (RoleRights(**row | {"member_of": tuple(row["member_of"])}) for row in roles)
    return Security(tuple(relations), {role.name: role for role in rights})


def create_roles(admin: Connection, security: Security) -> None:
    """Create the target's roles with their memberships, but without any other rights."""
    ours = sql.Identifier(guest.ROLE)
    for role in security.roles.values():
        free = sql.SQL("bypassrls" if role.is_free else "nobypassrls")
        create = sql.SQL("create role {} {} in role pg_read_all_data, pg_write_all_data")
        name = sql.Identifier(lab_name(role.name))
        admin.execute(create.format(name, free))
        admin.execute(sql.SQL("grant {} to {}").format(name, ours))
    for role in security.roles.values():
        for other in role.member_of:
            names = (sql.Identifier(lab_name(n)) for n in (other, role.name))
            admin.execute(sql.SQL("grant {} to {}").format(*names))


def secure(admin: Connection, loader: Connection, security: Security) -> None:
    """Make loaded policies those of the lab's roles, with session's values unknown; then set owners."""
    security.policies = tuple(_policies(loader))
    for table in security.incomplete():
        name = sql.Identifier(table.schema, table.name)
        loader.execute(sql.SQL("alter table {} disable row level security").format(name))
    for relation in security.relations:
        kind = sql.SQL("view" if relation.kind == "v" else "table")
        name, owner = sql.Identifier(relation.schema, relation.name), lab_name(relation.owner)
        change = sql.SQL("alter {} {} owner to {}").format(kind, name, sql.Identifier(owner))
        try:
            with admin.transaction():
                admin.execute(change)
        except psycopg.Error:
            continue  # it was not loaded, so nothing that reads it can be planned


def _policies(loader: Connection) -> Iterator[Policy]:
    unsteady = {tuple(row) for row in loader.execute(composed("lab", "unsteady_functions"))}

    def is_unsteady(name: Sequence[str]) -> bool:
        return (("pg_catalog", *name) if len(name) == 1 else tuple(name)) in unsteady

    for schema, table, name, condition, roles in loader.execute(composed("lab", "policies")):
        here = tuple(lab_name(role) for role in roles)
        values: tuple[str, ...] = ()
        try:
            changed, values = unknown_values(condition or "true", is_unsteady)
            if values:
                _alter(loader, schema, table, name, f"using ({changed})")
        except (ValueError, psycopg.Error) as error:
            values = (f"something that could not be replaced ({said(error)})",)
        if here != tuple(roles):
            listed = sql.SQL(", ").join(map(sql.Identifier, here)).as_string()
            _alter(loader, schema, table, name, f"to {listed}")
        yield Policy(schema, table, name, here, values)


def _alter(loader: Connection, schema: str, table: str, name: str, change: str) -> None:
    place = sql.Identifier(schema, table).as_string()
    loader.execute(f"alter policy {sql.Identifier(name).as_string()} on {place} {change}".encode())
