"""Databases and schemas of load tests on a server: created, marked, found again, and dropped if they bear the mark."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import said
from pgwatch_wed.load.ground.server_answer import load_sql
from pgwatch_wed.load.ground.stress_mark import (
    StressMark,
    limit_of,
    lock_of,
    looks_like_ours,
    mark_of,
    run_of,
)

WritingSession = psycopg.Connection[Any]


class StressObject(StrEnum):
    """What a ground is made of."""

    DATABASE = "database"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True)
class NamedLikeOurs:
    """An object with a name like ours; ``mark`` is None if that is all.

    ``is_untouched``: a database is as we create it, and nobody is in it.
    """

    kind: StressObject
    name: str
    oid: int
    comment: str | None
    connection_limit: int | None = None
    is_untouched: bool = False

    @property
    def mark(self) -> StressMark | None:
        """The mark that it bears."""
        return mark_of(self.name, self.oid, self.comment)

    @property
    def awaits_mark(self) -> bool:
        """Whether it is a database whose creator had no time to give it its comment."""
        is_new = self.is_untouched and self.comment is None
        return is_new and self.connection_limit == limit_of(self.name)


def found(session: WritingSession) -> tuple[NamedLikeOurs, ...]:
    """Return what has a name like ours: databases, and schemas of the session's database."""
    return tuple(
        NamedLikeOurs(kind, *row)
        for kind in StressObject
        for row in session.execute(load_sql(f"ground_{kind}s")).fetchall()
        if looks_like_ours(row[0])
    )


def create(session: WritingSession, kind: StressObject, name: str, run: str) -> None:
    """Create an object and mark it; raises psycopg's error if that is not possible."""
    with without_interrupts():
        if kind is StressObject.DATABASE:
            _create(session, kind, name, run)
            return
        with session.transaction():  # at no moment is there one without its mark
            _create(session, kind, name, run)


def _create(session: WritingSession, kind: StressObject, name: str, run: str) -> None:
    quoted, word = sql.Identifier(name), sql.SQL(kind.value)
    is_database = kind is StressObject.DATABASE
    limit = f" connection limit {limit_of(name)}" if is_database else ""
    session.execute(sql.SQL("create {} {}" + limit).format(word, quoted))
    oid = next(each.oid for each in found(session) if (each.kind, each.name) == (kind, name))
    comment = StressMark(name, oid, run).comment
    session.execute(sql.SQL("comment on {} {} is {}").format(word, quoted, comment))
    if is_database:  # who removes the comment, keeps it
        session.execute(sql.SQL("alter database {} connection limit -1").format(quoted))


def drop_leftovers(session: WritingSession, is_empty: Callable[[str], bool]) -> tuple[str, ...]:
    """Drop what bears the mark of a run that no longer lives; return what is left, for people.

    ``is_empty`` tells whether nobody has created anything in a database.
    """
    return tuple(
        line for each in found(session) if (line := _drop_leftover(session, each, is_empty))
    )


def _drop_leftover(
    session: WritingSession, each: NamedLikeOurs, is_empty: Callable[[str], bool]
) -> str:
    """Return why an object is left, "" if it is not, or in use."""
    if lives(session, each.mark.lock if each.mark else lock_of(run_of(each.name))):
        return ""
    if each.mark is not None:
        reason = dropped(session, each)
    elif each.awaits_mark and is_empty(each.name):
        reason = _drop_unmarked(session, each.name)
    else:
        return f"{each.kind} {each.name} has a name like ours but not our mark: it was left alone"
    return f"{each.kind} {each.name} of an earlier run was not dropped: {reason}" if reason else ""


def _drop_unmarked(session: WritingSession, name: str) -> str:
    """Drop a database that has no comment yet, unless somebody is in it."""
    try:
        with without_interrupts():
            session.execute(sql.SQL("drop database if exists {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        return said(error)
    return ""


def lives(session: WritingSession, lock: int) -> bool:
    """Tell whether the run that created an object still holds its lock."""
    return (lock,) in session.execute(load_sql("ground_locks")).fetchall()


def dropped(session: WritingSession, one: NamedLikeOurs) -> str:
    """Drop an object that bears our mark; return why it could not be, else ""."""
    if one.mark is None:
        raise ValueError(f"{one.kind} {one.name} bears no mark")
    try:
        with without_interrupts():
            if one.kind is StressObject.DATABASE:
                session.execute(_dropping(one.name))
                return ""
            with session.transaction():
                return _drop_schema(session, one)
    except psycopg.Error as error:
        return said(error)


def _dropping(name: str) -> sql.Composed:
    # ends our own sessions, too, for instance of a pgbench that survived us
    return sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))


def _drop_schema(session: WritingSession, one: NamedLikeOurs) -> str:
    values = {"schema": one.oid, "name": one.name}
    other = session.execute(load_sql("ground_dependents"), values).fetchone()
    if other is not None:
        return f"{other[0]}, which is not ours, depends on it"
    session.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(one.name)))
    return ""


def end_sessions(session: WritingSession, name_prefix: str) -> None:
    """End the other sessions of load tests in the session's database."""
    session.execute(
        "select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a"
        " where a.pid <> pg_catalog.pg_backend_pid() and a.datname = pg_catalog.current_database()"
        " and pg_catalog.starts_with(a.application_name, %s)",
        [name_prefix],
    )


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended. Blocking the signal would not do: another thread may get it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)
