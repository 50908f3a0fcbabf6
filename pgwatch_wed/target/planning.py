"""A statement's plan on a user's server: not executed, and only if planning runs no user-defined code.

Planning calls functions that are declared IMMUTABLE, both in the statement and in its tables' index
expressions, defaults, check constraints, policies, partition keys and domains.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from pgwatch_wed.facts.features import Features
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.plannable import with_lists
from pgwatch_wed.sqltext.reading import QualifiedName, Reading, read
from pgwatch_wed.sqltext.repairs import parameters, with_values
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.target.door import PINNED
from pgwatch_wed.target.queries import composed

Connection = psycopg.Connection[Any]

_NAME = "pgwatch_wed_plan"
_NOT_THERE = "it reads a view, a foreign table, or a table that no longer exists"


class RefusedError(Exception):
    """A statement that is not planned; the message says why."""


def refuse_foreign_code(
    connection: Connection, text: str, path: str, user: str | None = None
) -> None:
    """Raise :class:`RefusedError` if planning a statement could run user-defined code.

    PostgreSQL's own functions are allowed, and members of extensions created by a superuser or our own
    role. ``path`` is the search path with which the statement is planned, ``user`` the role that runs it, by default ours. Raises
    :class:`pgwatch_wed.sqltext.statement.UnsupportedError` if it cannot be parsed.
    """
    found = read(text)
    if found.why_not:
        raise UnsupportedError(found.why_not)
    wanted = {
        "oids": _relations(connection, found, path),
        "functions": sorted({f.name for f in found.functions}),
        "operators": sorted(found.operators),
        "types": sorted(found.types),
        "fields": sorted(found.fields),
        "user": user,
    }
    row = connection.execute(composed("plan", "foreign_code"), wanted).fetchone()
    if row is not None:
        raise RefusedError(str(row[0]))


def _relations(connection: Connection, found: Reading, path: str) -> list[int]:
    """Return the oids of what a statement reads; a name defined by WITH may also be that of a relation."""
    named = found.relations | {QualifiedName(None, name) for name in found.queries}
    relations = sorted(named, key=lambda r: (r.schema or "", r.name))
    if not relations:
        return []
    quoted = (sql.Identifier(*filter(None, (r.schema, r.name))).as_string() for r in relations)
    calls = [
        sql.SQL("pg_catalog.to_regclass({}::pg_catalog.text)::pg_catalog.oid").format(q)
        for q in quoted
    ]
    with _searching(connection, path):
        row = connection.execute(sql.SQL("select {}").format(sql.SQL(", ").join(calls))).fetchone()
    oids: list[int | None] = list(row or ())
    for relation, oid in zip(relations, oids, strict=True):
        if oid is None and (relation.schema or relation.name not in found.queries):
            raise RefusedError(_NOT_THERE)
    return [oid for oid in oids if oid is not None]


def explained(connection: Connection, text: str, path: str) -> PlanNode:
    """Return a statement's generic plan; call :func:`refuse_foreign_code` first."""
    text = with_lists(text)
    with _searching(connection, path):
        if not parameters(text):
            return _answer(connection, f"explain (verbose, format json) {text}")
        if Features.of(connection.info.server_version).has_generic_plans():
            return _answer(connection, f"explain (generic_plan, verbose, format json) {text}")
        return _prepared(connection, text)


def _prepared(connection: Connection, text: str) -> PlanNode:
    # the server must find the type of every number up to the last
    number = {n: place for place, n in enumerate(sorted(parameters(text)), 1)}
    text = with_values(text, lambda n, _start: f"${number[n]}")
    connection.execute(f"prepare {_NAME} as {text}".encode())
    try:
        connection.execute(f"savepoint {_NAME}".encode())
        values = ", ".join(["null"] * len(number))
        return _answer(connection, f"explain (verbose, format json) execute {_NAME}({values})")
    finally:
        _forget(connection)


def _forget(connection: Connection) -> None:
    """Deallocate what was prepared: it would outlive the transaction and, behind a pooler, our session."""
    with suppress(psycopg.Error):
        if connection.info.transaction_status is TransactionStatus.INERROR:
            connection.execute(f"rollback to savepoint {_NAME}".encode())
        connection.execute(f"deallocate {_NAME}".encode())


@contextmanager
def _searching(connection: Connection, path: str) -> Iterator[None]:
    """Look names up as the statement's role does; our own queries must not run in the meantime."""
    connection.execute(
        sql.SQL(
            "select pg_catalog.set_config('search_path', {}, true),"
            " pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true)"
        ).format(path)
    )
    try:
        yield
    finally:
        if connection.info.transaction_status is TransactionStatus.INTRANS:
            connection.execute(
                sql.SQL("select pg_catalog.set_config('search_path', {}, true)").format(PINNED)
            )


def _answer(connection: Connection, text: str) -> PlanNode:
    # without arguments, psycopg uses the simple protocol, which leaves $1 alone
    row = connection.execute(text.encode()).fetchone()
    if row is None:
        raise RefusedError("the server returned no plan")
    answer = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    found: PlanNode = answer[0]["Plan"]
    return found
