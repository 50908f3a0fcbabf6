"""What a user means by a query id, the id of a finding, a name, or a part of a statement's text."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import series, snapshots
from pgwatch_wed.history.schema import databases, finding_states, subjects
from pgwatch_wed.history.schema import statements as statements_table
from pgwatch_wed.history.series import KnownStatement
from pgwatch_wed.sqltext.reading import query

_FINDING = re.compile(r"[0-9a-f]{16}\Z")
_NAME = re.compile(r"[^\s.]+(?:\.[^\s.]+)?\Z")
_LISTED = 10
_FACTS = ("tables", "indexes")


@dataclass(frozen=True, slots=True)
class Topic:
    """A statement or a table of a database, with the tables that it is about (their oids)."""

    database_id: int
    label: str
    tables: frozenset[int]
    statement: KnownStatement | None = None


def find(connection: sa.Connection, text: str, database: str | None = None) -> Topic:
    """Return what the text means. Raises :class:`UsageError` if that is nothing, or not one thing."""
    found = list(_candidates(connection, text, database))
    if not found:
        raise UsageError(
            f"nothing in the history is {text!r}",
            "give a query id, the id of a finding, [schema.]table, or a part of a statement's text",
        )
    if len(found) > 1:
        listed = "; ".join(sorted(t.label for t in found)[:_LISTED])
        more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        hint = "give a query id, a schema, a longer text, or --database"
        raise UsageError(f"{text!r} means several: {listed}{more}", hint)
    return found[0]


def _candidates(connection: sa.Connection, text: str, database: str | None) -> Iterator[Topic]:
    places = _databases(connection, database)
    if _FINDING.match(text):
        of_finding = _of_finding(connection, text, places)
        if of_finding:
            yield from of_finding
            return
    if re.fullmatch(r"-?\d+", text):
        yield from _of_statements(connection, places, statements_table.c.query_id == int(text))
        return
    named = [t for p in places for t in _of_name(connection, text, p)] if _NAME.match(text) else []
    if named:
        yield from named
        return
    like = statements_table.c.text.icontains(text, autoescape=True)
    yield from _of_statements(connection, places, like)


def _databases(connection: sa.Connection, name: str | None) -> list[int]:
    query_ = sa.select(databases.c.id)
    if name is not None:
        query_ = query_.where(databases.c.name == name)
    return [int(row.id) for row in connection.execute(query_.order_by(databases.c.id))]


def newest(connection: sa.Connection, database_id: int, facts: Iterable[str]) -> Snapshot | None:
    """Return the last snapshot of a database."""
    last = snapshots.newest(connection, database_id)
    return None if last is None else snapshots.read(connection, last, facts)


# --- statements ---------------------------------------------------------------------------------


def _of_statements(
    connection: sa.Connection, places: list[int], condition: sa.ColumnElement[bool]
) -> Iterator[Topic]:
    rows = connection.execute(
        sa.select(statements_table.c.id, statements_table.c.database_id).where(
            condition, statements_table.c.database_id.in_(places)
        )
    )
    for row in rows:
        (known,) = series.known_statements(connection, int(row.database_id), [int(row.id)])
        yield statement_topic(connection, int(row.database_id), known)


def statement_topic(connection: sa.Connection, database_id: int, known: KnownStatement) -> Topic:
    """Return a statement with the tables that its text names."""
    read = query(known.text)
    tables: set[int] = set()
    last = newest(connection, database_id, _FACTS) if read is not None else None
    if read is not None and last is not None:
        for name in read.relations:
            same = last.tables_named.get(name.name, ())
            tables.update(t.oid for t in same if name.schema in (None, t.schema))
    words = " ".join((known.text or "(text not visible)").split())
    return Topic(database_id, f"query {known.query_id} ({words[:60]})", frozenset(tables), known)


# --- tables -------------------------------------------------------------------------------------


def _of_name(connection: sa.Connection, text: str, database_id: int) -> list[Topic]:
    """Find a table by its name, an index by its own, or else a table by a former name."""
    schema, _, name = text.rpartition(".")
    last = newest(connection, database_id, _FACTS)
    if last is None:
        return []
    tables = [t for t in last.tables if t.name == name and schema in ("", t.schema)]
    if not tables:
        indexes = [i for i in last.indexes if i.name == name and schema in ("", i.schema)]
        oids = {i.table_oid for i in indexes} or set(_former(connection, database_id, text))
        tables = [t for t in last.tables if t.oid in oids]
        gone = oids - {t.oid for t in tables}
        if gone:
            return [Topic(database_id, f"table {text}, which is gone", frozenset(gone))]
    return [Topic(database_id, f"table {t.qualified}", frozenset((t.oid,))) for t in tables]


def _former(connection: sa.Connection, database_id: int, text: str) -> list[int]:
    schema, _, name = text.rpartition(".")
    rows = connection.execute(
        sa.select(subjects.c.oid, subjects.c.name).where(subjects.c.database_id == database_id)
    )
    wanted = f"{schema}.{name}" if schema else f".{name}"
    return [int(r.oid) for r in rows if f".{r.name}".endswith(wanted)]


# --- findings -----------------------------------------------------------------------------------


def _of_finding(connection: sa.Connection, identity: str, places: list[int]) -> list[Topic]:
    row = connection.execute(
        sa.select(finding_states.c.object, finding_states.c.label)
        .where(finding_states.c.finding_id == identity)
        .order_by(finding_states.c.last_seen.desc())
        .limit(1)
    ).first()
    if row is None:
        return []
    about = row.object
    if about.get("kind") == "statement":
        condition = statements_table.c.query_id == int(about["name"])
        return list(_of_statements(connection, places, condition))
    table = about.get("table") or about.get("name")
    name = f"{about['schema']}.{table}" if about.get("schema") else str(table)
    return [t for place in places for t in _of_name(connection, name, place)]
