"""Who may write a history on PostgreSQL, and who may only read it: two roles, of which others become members.

The role that writes owns the tables, since only an owner can create partitions. Its members take it on for each
transaction, so that what one creates belongs to all.
"""

from enum import StrEnum

import psycopg
import sqlalchemy as sa
from psycopg import sql

from pgwatch_wed import assets
from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.history.schema import SCHEMA


class HistoryRole(StrEnum):
    """What members may do."""

    FLEET = "fleet"
    READER = "reader"

    @property
    def group(self) -> str:
        """The role on the server."""
        return f"pgwatch_wed_{self.value}"


def script(role: HistoryRole, members: tuple[str, ...]) -> str:
    """Return the SQL that makes members of roles that exist; it can be executed again."""
    grants = [
        sql.SQL("GRANT {} TO {};").format(sql.Identifier(role.group), sql.Identifier(member))
        for member in members
    ]
    return "\n\n".join([assets.text("sql", "history", "roles.sql").strip(), *_texts(grants)]) + "\n"


def _texts(grants: list[sql.Composed]) -> list[str]:
    return [grant.as_string() for grant in grants]


def grant(
    connection: psycopg.Connection[object], role: HistoryRole, members: tuple[str, ...]
) -> None:
    """Make members, in one transaction. Raises :class:`UsageError` for a role that does not exist."""
    try:
        connection.execute(script(role, members).encode())
    except psycopg.errors.UndefinedObject as error:
        raise UsageError(
            error.diag.message_primary or str(error), "create it first: CREATE ROLE … LOGIN"
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise HistoryError(
            f"the roles cannot be made: {error.diag.message_primary}",
            "do it once as a superuser, or as a role with CREATEROLE that owns the database",
        ) from None


def owner_to_be(connection: sa.Connection) -> str | None:
    """Return the role that owns the tables if the session's role is another one and may take it on."""
    query = sa.text(
        "SELECT o.rolname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner"
        " WHERE n.nspname = :schema AND o.rolname <> current_user AND pg_has_role(o.oid,"
        " CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)"
    )
    found: str | None = connection.execute(query, {"schema": SCHEMA}).scalar()
    return found


def become(connection: sa.Connection, role: str | None) -> None:
    """Take on a role until the transaction ends."""
    if role is not None:
        name = sql.Identifier(role).as_string()
        connection.exec_driver_sql(f"SET LOCAL ROLE {name.replace('%', '%%')}")
