"""What undoes each change, written down in the same transaction as the change: after kill -9, the next start puts all back.

The journal is a table in a schema of ours, which bears our mark in its comment. The mark repeats the schema's own oid: in
a database that was restored from a dump, it fits no longer, and neither do the oids in the statements. What the journal
contains is run with all that we may do, so it counts only if it belongs to us, or to a superuser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.errors import CollectError, said

SCHEMA = "pgwatch_wed_proof"
MARK = "pgwatch_wed: journal of changes that a proof undoes; drop it only when it is empty"
PREFIX = "pgwatch_wed_proof_"
"""The names of what is built for a probe begin so."""

_PINNED = "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"
# A role's own limits must not end what undoes a change; but a lock that somebody holds must not make us wait for ever.
_UNLIMITED = """
select set_config(v.name, v.value, true)
from (values ('statement_timeout', '0'), ('transaction_timeout', '0'), ('lock_timeout', '60s')) v (name, value)
where exists (select from pg_settings s where s.name = v.name)
"""
_AT_MOST = (
    "select set_config('statement_timeout', %s, true), set_config('lock_timeout', '10s', true)"
)
_STANDING = f"""
select n.oid::bigint, pg_catalog.obj_description(n.oid, 'pg_namespace'), coalesce((
    select pg_catalog.bool_and(r.rolsuper or r.rolname = current_user)
    from (select n.nspowner as owner union all
        select c.relowner from pg_catalog.pg_class c where c.relnamespace = n.oid) o
    join pg_catalog.pg_roles r on r.oid = o.owner), false)
from pg_catalog.pg_namespace n where n.nspname = '{SCHEMA}'
"""
_ADD = f"insert into {SCHEMA}.undo (statements) values (%s) returning id"
_TAKE = f"delete from {SCHEMA}.undo where id = %s returning statements"
_OPEN = f"select id from {SCHEMA}.undo order by id desc"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class _Standing:
    oid: int
    comment: str | None
    is_trusted: bool

    @property
    def is_ours(self) -> bool:
        return self.comment == _mark(self.oid)


def _mark(oid: int) -> str:
    return f"{MARK} (oid={oid})"


def begin(connection: Connection) -> int:
    """Undo what a killed proof left, and start a new journal; return how many changes were undone.

    Raises :class:`CollectError` if there is a schema of that name that is not ours, the undo fails, or there is no right
    to create a schema.
    """
    undone = recover(connection)
    try:
        with connection.transaction():
            connection.execute(f"create schema {SCHEMA}")
            standing = _standing(connection)
            assert standing is not None
            connection.execute(f"comment on schema {SCHEMA} is '{_mark(standing.oid)}'")
            connection.execute(
                f"create table {SCHEMA}.undo (id int primary key generated always as identity,"
                " statements text[] not null)"
            )
    except psycopg.Error as error:
        raise CollectError(
            f"a proof writes down how to undo each change, in a schema of its own, which cannot be created: {said(error)}",
            "GRANT CREATE ON DATABASE … TO the role, or connect as the owner of the database",
        ) from None
    return undone


def stands(connection: Connection) -> bool:
    """Return whether there is a schema of the journal's name."""
    return _standing(connection) is not None


def recover(connection: Connection) -> int:
    """Undo everything that the journal contains, last first, and drop it; return how many changes were undone."""
    standing = _standing(connection)
    if standing is None:
        return 0
    _check(standing)
    try:
        numbers = [row[0] for row in connection.execute(_OPEN)]
        for number in numbers:
            undo(connection, number)
        connection.execute(f"drop schema {SCHEMA} cascade")
    except psycopg.Error as error:
        raise CollectError(
            f"the journal of a proof could not be read or dropped: {said(error)}",
            f"connect as the owner of the schema {SCHEMA}",
        ) from None
    return len(numbers)


def change(
    connection: Connection, statements: Sequence[str], undoing: Sequence[str], at_most_s: float = 0
) -> int:
    """Run statements in one transaction, and note what undoes them; return the number of the note.

    No statement takes longer than ``at_most_s``, unless that is 0.
    """
    with connection.transaction():
        connection.execute(_PINNED)
        connection.execute(_UNLIMITED)
        if at_most_s:
            connection.execute(_AT_MOST, [f"{at_most_s * 1000:.0f}ms"])
        row = connection.execute(_ADD, [list(undoing)]).fetchone()
        _run(connection, statements)
    assert row is not None
    return int(row[0])


def undo(connection: Connection, number: int) -> None:
    """Run what undoes a change, once, in one transaction."""
    try:
        with connection.transaction():
            connection.execute(_PINNED)
            connection.execute(_UNLIMITED)
            row = connection.execute(_TAKE, [number]).fetchone()
            _run(connection, row[0] if row else ())
    except psycopg.Error as error:
        raise CollectError(
            f"a change of the proof could not be undone: {said(error)}",
            f"the statements are in {SCHEMA}.undo; the next load test on this database tries again",
        ) from None


def _run(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def _standing(connection: Connection) -> _Standing | None:
    row = connection.execute(_STANDING).fetchone()
    return None if row is None else _Standing(*row)


def _check(standing: _Standing) -> None:
    if not standing.is_ours:
        raise CollectError(
            f"the database has a schema {SCHEMA} that is not ours, or that comes from another database",
            "rename it, or use another database",
        )
    if not standing.is_trusted:
        raise CollectError(
            f"the schema {SCHEMA} belongs to another role, so what it says was not run",
            "connect as that role, or drop the schema",
        )
