"""The role that a replay runs as: it can read, and nothing else."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import CollectError, ConnectError, UsageError, said
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.proof import copies

PREFIX = "pgwatch_wed_replay_"
_LOCK = 7_203_441_865_233  # an arbitrary number of our own
_NEEDS = (
    "connect to the copy as a superuser, as a role with CREATEROLE that may grant pg_read_all_data,"
    " or as a role that can only read"
)


@dataclass(frozen=True, slots=True)
class ReplayRole:
    """``name`` is what sessions SET ROLE to; None if the role that connects can only read as it is."""

    name: str | None
    is_superuser: (
        bool  # whether the sessions' own role is one: it may set limits that others cannot
    )


@contextmanager
def standing(
    connection: psycopg.Connection[Any], copy: str, left: list[str]
) -> Iterator[ReplayRole]:
    """Have a role without privileges other than reading for the duration of a ``with`` block.

    ``copy`` is how to connect again if the session breaks; in ``left`` is told what could not be dropped. What a killed
    replay left in this database is dropped first. Raises :class:`UsageError` if there is no way.
    """
    if not _one(connection, "select pg_catalog.pg_try_advisory_lock(%s)", _LOCK):
        raise CollectError("another replay is running on this copy", "wait until it has finished")
    row = connection.execute(composed("load", "replay_rights")).fetchone()
    assert row is not None
    is_superuser, may_create, can_write, is_readers_role = row
    if not is_superuser and not may_create:
        if can_write:
            raise UsageError(
                "a replay needs a role that can only read, and this one can write", _NEEDS
            )
        yield ReplayRole(None, is_superuser=False)
        return
    for (leftover,) in connection.execute(
        composed("load", "replay_roles_left"), {"prefix": PREFIX}
    ).fetchall():
        _drop(connection, leftover)
    name = f"{PREFIX}{secrets.token_hex(4)}"
    try:
        try:
            _create(connection, name, is_readers_role=is_readers_role)
        except psycopg.errors.InsufficientPrivilege as error:
            raise UsageError(
                f"a role that can only read could not be created: {said(error)}", _NEEDS
            ) from None
        yield ReplayRole(name, is_superuser=is_superuser)
    finally:
        left += _removed(connection, copy, name)


def _removed(connection: psycopg.Connection[Any], copy: str, name: str) -> list[str]:
    """Drop the role, over a new connection if the session broke; return what is left, for people."""
    try:
        with suppress(psycopg.OperationalError):  # that it broke may show only now
            if not connection.closed:
                connection.rollback()
                _drop(connection, name)
                return []
        with copies.connected(copy) as other:
            _drop(other, name)
    except (psycopg.Error, ConnectError) as error:
        return [
            f"the role {name} was not dropped: {said(error)}; the next replay on this copy drops it"
        ]
    return []


def _create(connection: psycopg.Connection[Any], name: str, *, is_readers_role: bool) -> None:
    role = sql.Identifier(name)
    with connection.transaction():
        connection.execute(sql.SQL("create role {} nologin").format(role))
        mark = _one(
            connection,
            "select 'pgwatch_wed replay in ' || oid from pg_catalog.pg_database"
            " where datname = current_database()",
        )
        connection.execute(sql.SQL("comment on role {} is {}").format(role, sql.Literal(mark)))
        if is_readers_role:
            connection.execute(sql.SQL("grant pg_read_all_data to {}").format(role))
        else:
            _grant_each(connection, role)
    with suppress(psycopg.Error), connection.transaction():
        # a superuser may become any role; whoever created it, only as a member
        connection.execute(sql.SQL("grant {} to current_user").format(role))


def _grant_each(connection: psycopg.Connection[Any], role: sql.Identifier) -> None:
    for (schema,) in connection.execute(composed("load", "replay_schemas")).fetchall():
        names = sql.Identifier(schema)
        connection.execute(sql.SQL("grant usage on schema {} to {}").format(names, role))
        grant = sql.SQL("grant select on all tables in schema {} to {}")
        connection.execute(grant.format(names, role))


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    role = sql.Identifier(name)
    known = _one(connection, "select count(*) from pg_catalog.pg_roles where rolname = %s", name)
    if known:
        with connection.transaction():
            connection.execute(sql.SQL("drop owned by {}").format(role))
            connection.execute(sql.SQL("drop role {}").format(role))


def _one(connection: psycopg.Connection[Any], query: Any, *args: Any) -> Any:
    row = connection.execute(query, args or None).fetchone()
    return None if row is None else row[0]
