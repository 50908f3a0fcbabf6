"""Generic plans of the costliest statements, without executing them and without waiting for locks.

A statement is planned only if no user-defined code can run during planning (:mod:`pgwatch_wed.target.planning`):
a SELECT, INSERT, UPDATE, DELETE or MERGE on known tables. Tables on which a session holds or awaits an exclusive
lock are left alone.
"""

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.facts import Snapshot, Statement, StatementPlan
from pgwatch_wed.postgres import statements
from pgwatch_wed.postgres.planned import described
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.reading import QualifiedName
from pgwatch_wed.sqltext.statement import UnsupportedError, parse
from pgwatch_wed.target import planning
from pgwatch_wed.target.door import Door, Guards, opened
from pgwatch_wed.target.planning import RefusedError
from pgwatch_wed.target.queries import composed

MOST = 100
_GUARDS = Guards(lock_ms=50, statement_ms=2_000)
_OUT_OF_TIME = "the time for planning was exhausted"
_LOCKED = "another session holds or awaits an exclusive lock on one of its tables"


def statement_plans(
    conninfo: str,
    snapshot: Snapshot,
    seconds: float | None,
    most: int = MOST,
    only: Collection[int] | None = None,
) -> tuple[StatementPlan, ...]:
    """Connect and plan the costliest statements of a snapshot's database, or only those with these query ids.

    ``seconds`` limits the work. Raises ConnectError; any other failure is recorded in the plans.
    """
    with opened(conninfo, _GUARDS) as door:
        return plan(door, snapshot, seconds, most, only)


def plan(
    door: Door,
    snapshot: Snapshot,
    seconds: float | None,
    most: int = MOST,
    only: Collection[int] | None = None,
) -> tuple[StatementPlan, ...]:
    """Plan the costliest statements through an open door; see :func:`statement_plans`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    planner = _Planner(door, snapshot)
    chosen = [s for s in statements.queries(snapshot) if s.text is not None]
    chosen = [s for s in chosen if only is None or s.query_id in only]
    found: list[StatementPlan] = []
    for statement in chosen[:most]:
        if deadline is not None and time.monotonic() >= deadline:
            found.append(StatementPlan(statement.query_id, refused=_OUT_OF_TIME))
        else:
            found.append(planner.plan(statement))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement with parameters, and the role that runs it: "" if it is not known, None for the role that asks."""

    text: str
    user: str | None = ""


def costs(
    conninfo: str, snapshot: Snapshot, asked: Iterable[Asked], seconds: float
) -> list[float | None]:
    """Connect and return the costs of generic plans; None for a statement that may not or cannot be planned, or not in time.

    Raises ConnectError.
    """
    deadline = time.monotonic() + seconds
    with opened(conninfo, _GUARDS) as door:
        planner = _Planner(door, snapshot)
        return [planner.cost(each) if time.monotonic() < deadline else None for each in asked]


@dataclass(frozen=True, slots=True)
class _Planner:
    door: Door
    snapshot: Snapshot

    def plan(self, statement: Statement) -> StatementPlan:
        """Return a statement's plan, or the reason why there is none."""
        if self.door.is_broken:
            return StatementPlan(statement.query_id, refused="the connection was lost")
        try:
            return self._plan(statement)
        except (RefusedError, UnsupportedError) as error:
            return StatementPlan(statement.query_id, refused=str(error))
        except psycopg.errors.LockNotAvailable:
            return StatementPlan(statement.query_id, refused=_LOCKED)
        except (psycopg.Error, UnicodeError) as error:
            # The message may contain a value; its class does not.
            why = f"the server cannot plan it ({type(error).__name__})"
            return StatementPlan(statement.query_id, refused=why)

    def cost(self, asked: Asked) -> float | None:
        """Return the cost of a statement's plan, or None."""
        if self.door.is_broken:
            return None
        try:
            return float(self._top(asked)["Total Cost"])
        except (RefusedError, UnsupportedError, psycopg.Error, UnicodeError):
            return None

    def _plan(self, statement: Statement) -> StatementPlan:
        top = self._top(Asked(statement.text or "", statement.user or ""))
        return described(statement.query_id, top, self.snapshot)

    def _top(self, asked: Asked) -> PlanNode:
        parsed = parse(asked.text)
        oids = self._known(parsed.relations)
        path = self._search_path(asked.user)
        with self.door.asking("plan") as connection:
            planning.refuse_foreign_code(connection, parsed.text, path, asked.user)
            _check_locks(connection, oids)
            return planning.explained(connection, parsed.text, path)

    def _known(self, relations: Iterable[QualifiedName]) -> list[int]:
        """Return the oids of a statement's tables and their partitions; refuse views and unknown relations."""
        oids: list[int] = []
        for relation in relations:
            if relation.schema in ("pg_catalog", "information_schema"):
                continue
            named = self.snapshot.tables_named[relation.name]
            if not any(relation.schema in (None, t.schema) for t in named):
                raise RefusedError(
                    "it reads a view, a foreign table, or a table that no longer exists"
                )
            open_ = [t.oid for t in named if relation.schema in (None, t.schema)]
            while open_:
                oid = open_.pop()
                oids.append(oid)
                open_ += [t.oid for t in self.snapshot.partitions_of[oid]]
        return oids

    def _search_path(self, user: str | None) -> str:
        """Return the search_path in which a statement's role finds unqualified names."""
        database = self.snapshot.server.database
        bound = {
            (s.role, s.database): s.value
            for s in self.snapshot.role_settings
            if s.name == "search_path"
        }
        for key in ((user, database), (user, None), (None, database)):
            if key in bound:
                return bound[key]
        return self.snapshot.setting("search_path") or '"$user", public'


def _check_locks(connection: psycopg.Connection[Any], oids: list[int]) -> None:
    row = connection.execute(composed("plan", "locked"), {"oids": oids}).fetchone()
    if row is None or row[0]:
        raise RefusedError(_LOCKED)
