"""The GRANTs that show more to the role that analyzes, and what reverses them."""

from collections.abc import Iterator
from typing import Any

from pglast import ast
from pglast.enums import GrantTargetType
from pglast.stream import RawStream

from pgwatch_wed.facts import Cause, Missing, Server, Snapshot
from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import trees

ALL_STATS = "pg_read_all_stats"
ALL_DATA = "pg_read_all_data"

_READS_EVERYTHING = (
    f"{ALL_DATA} allows the role to read every row of every table in all databases to which it can connect. "
    "To avoid that, GRANT SELECT only on the tables whose statistics are needed; those of other tables stay hidden."
)
_READS_ROWS = (
    "SELECT on tables allows the role to read their rows. Without it, everything but index advice works, "
    "if the columns of pg_statistic are granted."
)


def grant_stats(server: Server) -> str:
    """Return the SQL that shows the activity of all roles; nothing if the role should see it already."""
    return "" if reads_all_stats(server) else member(server, ALL_STATS)


def reads_all_stats(server: Server) -> bool:
    """Tell whether the role sees the activity of all roles, except for what a provider hides."""
    return server.is_superuser or ALL_STATS in server.role_memberships


def grant_column_statistics(server: Server) -> str:
    """Return the SQL that shows what ANALYZE collected.

    Columns of pg_statistic, if they can be granted: they contain no values, and row-level security does not
    apply to them. Only a superuser can; on a managed service, reading statistics takes reading the tables.
    """
    if server.provider is None and server.hidden_statistic_columns:
        listed = ", ".join(server.hidden_statistic_columns)
        return f"GRANT SELECT ({listed}) ON pg_catalog.pg_statistic TO {ident(server.role)};"
    if server.features.has_read_all_data():
        return member(server, ALL_DATA)
    return ""


def reads_all_statistics(server: Server) -> bool:
    """Tell whether the role sees what ANALYZE collected about every table."""
    return server.is_superuser or ALL_DATA in server.role_memberships or reads_catalog(server)


def reads_catalog(server: Server) -> bool:
    """Tell whether the role may read pg_statistic, where no row-level security applies."""
    return not server.hidden_statistic_columns


def tables_closed(snapshot: Snapshot) -> Missing | None:
    """Return that the role may not read all tables: index advice copies definitions with pg_dump, which requires it."""
    server = snapshot.server
    usable = {s.name for s in snapshot.schemas if s.can_use}
    closed = [t for t in snapshot.tables if not t.can_select or t.schema not in usable]
    if server.is_superuser or not closed:
        return None
    role, grants = ident(server.role), []
    for schema in sorted({t.schema for t in closed}):
        if schema not in usable:
            grants.append(f"GRANT USAGE ON SCHEMA {ident(schema)} TO {role};")
        if any(t.schema == schema and not t.can_select for t in closed):
            grants.append(f"GRANT SELECT ON ALL TABLES IN SCHEMA {ident(schema)} TO {role};")
    reason = f"{server.role} may not read all tables, which index advice requires, although it reads no rows"
    return Missing(reason, "\n".join(grants), Cause.DENIED)


def member(server: Server, group: str) -> str:
    """Return the SQL that gives the role the privileges of a predefined one."""
    role, grant = ident(server.role), f"GRANT {group} TO {ident(server.role)}"
    is_member = group in server.unused_memberships
    if not is_member and server.inherits:
        return f"{grant};"
    if server.features.has_membership_options():
        return f"{grant} WITH INHERIT TRUE;"
    inherit = [] if server.inherits else [f"ALTER ROLE {role} INHERIT;"]
    return "\n".join([*([] if is_member else [f"{grant};"]), *inherit])


def warnings(script: str) -> tuple[str, ...]:
    """Return what a script allows beyond what it is for."""
    statements = _parsed(script)
    roles = (n for n in statements if isinstance(n, ast.GrantRoleStmt))
    if any(ALL_DATA in _groups(n) for n in roles):
        return (_READS_EVERYTHING,)
    tables = (n for n in statements if isinstance(n, ast.GrantStmt))
    is_whole = any(n.targtype == GrantTargetType.ACL_TARGET_ALL_IN_SCHEMA for n in tables)
    return (_READS_ROWS,) if is_whole else ()


def undo(server: Server, script: str) -> str:
    """Return the SQL that reverses GRANTs of what the role did not have, the last first."""
    return "\n".join(reversed([*_reversed(server, script)]))


def _reversed(server: Server, script: str) -> Iterator[str]:
    role = ident(server.role)
    for node in _parsed(script):
        match node:
            case ast.GrantRoleStmt():
                for group in _groups(node):
                    # a membership without privileges stays
                    if group in server.unused_memberships:
                        yield f"GRANT {ident(group)} TO {role} WITH INHERIT FALSE;"
                    else:
                        yield f"REVOKE {ident(group)} FROM {role};"
            case ast.GrantStmt():
                node.is_grant = False
                yield f"{RawStream()(node)};"
            case ast.AlterRoleStmt():
                yield f"ALTER ROLE {role} NOINHERIT;"


def _parsed(script: str) -> tuple[Any, ...]:
    """Return the statements of a script; a file may contain one that no server wrote."""
    try:
        return tuple(trees.parse(script))
    except trees.UnreadableError:
        return ()


def _groups(node: ast.GrantRoleStmt) -> tuple[str, ...]:
    return tuple(str(privilege.priv_name) for privilege in node.granted_roles or ())
