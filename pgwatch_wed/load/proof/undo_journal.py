"""What undoes each change, written down in the same transaction as the change: after kill -9, the next start puts all back.

The journal is a table in a schema of ours, which bears our mark in its comment.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

from pgwatch_wed.errors import CollectError, said

SCHEMA = "pgwatch_wed_proof"
MARK = "pgwatch_wed: journal of changes that a proof undoes; drop it only when it is empty"
PREFIX = "pgwatch_wed_proof_"
"""The names of what is built for a probe begin so."""

_PINNED = "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"
_COMMENT = """
select pg_catalog.obj_description(oid, 'pg_namespace') as comment
from pg_catalog.pg_namespace where nspname = %s
"""
_CREATE = f"""
create schema {SCHEMA};
comment on schema {SCHEMA} is '{MARK}';
create table {SCHEMA}.undo (id int primary key generated always as identity, statements text[] not null);
"""
_ADD = f"insert into {SCHEMA}.undo (statements) values (%s) returning id"
_TAKE = f"delete from {SCHEMA}.undo where id = %s returning statements"
_OPEN = f"select id from {SCHEMA}.undo order by id desc"

Connection = psycopg.Connection[Any]


def begin(connection: Connection) -> int:
    """Undo what a killed proof left, and start a new journal; return how many changes were undone.

    Raises :class:`CollectError` if there is a schema of that name that is not ours, or the undo fails.
    """
    undone = recover(connection)
    connection.execute(_CREATE)
    return undone


def recover(connection: Connection) -> int:
    """Undo everything that the journal contains, last first, and drop it; return how many changes were undone."""
    if not _exists(connection):
        return 0
    numbers = [row[0] for row in connection.execute(_OPEN)]
    for number in numbers:
        undo(connection, number)
    connection.execute(f"drop schema {SCHEMA} cascade")
    return len(numbers)


def change(connection: Connection, statements: Sequence[str], undoing: Sequence[str]) -> int:
    """Run statements in one transaction, and note what undoes them; return the number of the note."""
    with connection.transaction():
        connection.execute(_PINNED)
        row = connection.execute(_ADD, [list(undoing)]).fetchone()
        _run(connection, statements)
    assert row is not None
    return int(row[0])


def undo(connection: Connection, number: int) -> None:
    """Run what undoes a change, once, in one transaction."""
    try:
        with connection.transaction():
            connection.execute(_PINNED)
            row = connection.execute(_TAKE, [number]).fetchone()
            _run(connection, row[0] if row else ())
    except psycopg.Error as error:
        raise CollectError(
            f"a change of the proof could not be undone: {said(error)}",
            f"the statements are in {SCHEMA}.undo; the next proof tries again",
        ) from None


def _run(connection: Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def _exists(connection: Connection) -> bool:
    row = connection.execute(_COMMENT, [SCHEMA]).fetchone()
    if row is not None and row[0] != MARK:
        raise CollectError(
            f"the database has a schema {SCHEMA} that is not ours",
            "rename it, or use another database",
        )
    return row is not None
