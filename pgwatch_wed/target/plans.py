"""Generic plans of the dearest statements, without executing them and without waiting for anybody.

A statement is planned only where nothing of its author's can run while we plan: one SELECT, INSERT, UPDATE, DELETE
or MERGE on known tables, calling no function and no operator but the server's own and its extensions'.
Tables that somebody has locked exclusively, or waits to, are left alone.
"""

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.facts import Snapshot, Statement, StatementPlan
from pgwatch_wed.postgres import statements
from pgwatch_wed.postgres.planned import described
from pgwatch_wed.sqltext.reading import QualifiedName, read
from pgwatch_wed.sqltext.statement import UnsupportedError, parse
from pgwatch_wed.target import connect

Connection = psycopg.Connection[tuple[Any, ...]]

MOST = 100
_STATEMENT_MS = 2_000
_LOCK_MS = 50
_NAME = "pgwatch_wed_plan"
_OUT_OF_TIME = "the time for planning was used up"
_LOCKED = "somebody holds or waits for an exclusive lock on its table"


def statement_plans(
    conninfo: str, snapshot: Snapshot, seconds: float | None, most: int = MOST
) -> tuple[StatementPlan, ...]:
    """Connect and plan the dearest statements of a snapshot's database.

    ``seconds`` bounds the work. Raises ConnectError; whatever else fails is said in the plans.
    """
    connection = connect.connect(conninfo)
    try:
        return plan(connection, snapshot, seconds, most)
    finally:
        connect.end(connection)


def plan(
    connection: Connection, snapshot: Snapshot, seconds: float | None, most: int = MOST
) -> tuple[StatementPlan, ...]:
    """Plan the dearest statements on an open connection in autocommit mode; see :func:`statement_plans`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    planner = _Planner(connection, snapshot)
    chosen = [s for s in statements.queries(snapshot) if s.text is not None]
    found: list[StatementPlan] = []
    for statement in chosen[:most]:
        if deadline is not None and time.monotonic() >= deadline:
            found.append(StatementPlan(statement.query_id, refused=_OUT_OF_TIME))
        else:
            found.append(planner.plan(statement))
    return tuple(found)


class _RefusedError(Exception):
    """A statement that is not planned; the message says why."""


@dataclass(frozen=True, slots=True)
class _Planner:
    connection: Connection
    snapshot: Snapshot

    def plan(self, statement: Statement) -> StatementPlan:
        """Return a statement's plan, or the reason why there is none."""
        if self.connection.closed or self.connection.broken:
            return StatementPlan(statement.query_id, refused="the connection broke")
        try:
            return self._plan(statement)
        except (_RefusedError, UnsupportedError) as error:
            return StatementPlan(statement.query_id, refused=str(error))
        except psycopg.errors.LockNotAvailable:
            return StatementPlan(statement.query_id, refused=_LOCKED)
        except (psycopg.Error, UnicodeError) as error:
            # The message may quote a value; its class does not.
            why = f"the server does not plan it ({type(error).__name__})"
            return StatementPlan(statement.query_id, refused=why)

    def _plan(self, statement: Statement) -> StatementPlan:
        parsed = parse(statement.text or "")
        oids = self._known(parsed.relations)
        self._begin(statement)
        try:
            self._check_calls(parsed.text)
            self._check_locks(oids)
            top = self._explain(parsed.text, parsed.parameters)
        finally:
            self._end()
        return described(statement.query_id, top, self.snapshot)

    def _known(self, relations: Iterable[QualifiedName]) -> list[int]:
        """Return the oids of a statement's tables and their partitions; refuse views and strangers."""
        oids: list[int] = []
        for relation in relations:
            if relation.schema in ("pg_catalog", "information_schema"):
                continue
            named = self.snapshot.tables_named[relation.name]
            if not any(relation.schema in (None, t.schema) for t in named):
                raise _RefusedError("it reads a view, a foreign table or what is no longer there")
            open_ = [t.oid for t in named if relation.schema in (None, t.schema)]
            while open_:
                oid = open_.pop()
                oids.append(oid)
                open_ += [t.oid for t in self.snapshot.partitions_of[oid]]
        return oids

    def _begin(self, statement: Statement) -> None:
        self.connection.execute("begin isolation level read committed, read only")
        connect.guard(self.connection, connect.Guards(lock_ms=_LOCK_MS, statement_ms=_STATEMENT_MS))
        settings = {
            "search_path": self._search_path(statement),
            "standard_conforming_strings": "on",
            "plan_cache_mode": "force_generic_plan",
        }
        for name, value in settings.items():
            self.connection.execute("select set_config(%s, %s, true)", (name, value))

    def _search_path(self, statement: Statement) -> str:
        """Return where the statement's role finds its unqualified names."""
        database = self.snapshot.server.database
        bound = {
            (s.role, s.database): s.value
            for s in self.snapshot.role_settings
            if s.name == "search_path"
        }
        for key in ((statement.user, database), (statement.user, None), (None, database)):
            if key in bound:
                return bound[key]
        return self.snapshot.setting("search_path") or '"$user", public'

    def _end(self) -> None:
        with suppress(psycopg.Error):
            self.connection.rollback()

    def _check_calls(self, text: str) -> None:
        """Refuse what could run somebody's own code while it is planned, with our rights."""
        found = read(text)
        row = self.connection.execute(
            """
            select exists (
                select from pg_catalog.pg_proc p
                where p.proname = any(%s) and p.pronamespace <> 'pg_catalog'::regnamespace
                    and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid
                            and d.deptype = 'e')
            ) or exists (
                select from pg_catalog.pg_operator o
                where o.oprname = any(%s) and o.oprnamespace <> 'pg_catalog'::regnamespace
                    and not exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_operator'::regclass and d.objid = o.oid
                            and d.deptype = 'e')
            )
            """,
            (sorted(f.name for f in found.functions), sorted(found.operators)),
        ).fetchone()
        if row is None or row[0]:
            raise _RefusedError("it calls a function or an operator of the users' own")

    def _check_locks(self, oids: list[int]) -> None:
        row = self.connection.execute(
            """
            select exists (
                select from pg_catalog.pg_locks l
                where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock'
                    and l.relation = any(%s::oid[])
                    and l.database = (select d.oid from pg_catalog.pg_database d
                        where d.datname = current_database())
            )
            """,
            (oids,),
        ).fetchone()
        if row is None or row[0]:
            raise _RefusedError(_LOCKED)

    def _explain(self, text: str, parameters: int) -> dict[str, Any]:
        # Without arguments psycopg speaks the simple protocol, which leaves $1 alone.
        mark = "/* pgwatch_wed:plan */ "
        if self.snapshot.server.features.has_generic_plans():
            return self._answer(f"{mark}explain (generic_plan, verbose, format json) {text}")
        self.connection.execute(f"{mark}prepare {_NAME} as {text}".encode())
        try:
            nulls = sql.SQL(", ").join([sql.NULL] * parameters)
            arguments = sql.SQL("({})").format(nulls) if parameters else sql.SQL("")
            return self._answer(
                f"{mark}explain (verbose, format json) execute {_NAME}"
                + arguments.as_string(self.connection)
            )
        finally:
            self._end()
            with suppress(psycopg.Error):
                self.connection.execute(f"deallocate {_NAME}")

    def _answer(self, text: str) -> dict[str, Any]:
        row = self.connection.execute(text.encode()).fetchone()
        if row is None:
            raise _RefusedError("the server gave no plan")
        answer = json.loads(row[0]) if isinstance(row[0], str) else row[0]
        found: dict[str, Any] = answer[0]["Plan"]
        return found
