"""Collations that the lab's server does not have, since it is built without ICU: others stand for them.

The planner treats them alike, except that they sort otherwise, which matters for ranges of texts.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.lab import guest
from pgwatch_wed.whatif.model import Doubt
from pgwatch_wed.whatif.unencoded import readable

Connection = psycopg.Connection[Any]

_OWN = "pg_catalog"


@dataclass(frozen=True, slots=True)
class UsedCollation:
    """A collation of the target; ``columns`` are schema, table and column."""

    schema: str
    name: str
    is_of_icu: bool
    columns: tuple[tuple[str, str, str], ...]

    @property
    def doubts(self) -> Iterator[Doubt]:
        """Doubts about the statements that compare or sort by a column with it."""
        for schema, table, column in self.columns:
            reason = f"column {column} of {schema}.{table} has the collation {self.name}, which the lab does not have"
            yield Doubt(schema, table, reason, frozenset({column}))


def read(connection: Connection) -> list[UsedCollation]:
    """Return the target's collations that the lab may not have."""
    rows = connection.execute(composed("whatif", "collations"))
    return [
        UsedCollation(schema, name, is_of_icu, tuple((s, t, c) for s, t, c in columns))
        for schema, name, is_of_icu, columns in map(readable, rows)
    ]


def stand_in(admin: Connection, found: Iterable[UsedCollation]) -> Iterator[Doubt]:
    """Create what stands for collations that loading cannot create; yield the doubts that this raises."""
    ((locale,),) = admin.execute(
        "select datcollate from pg_database where datname = 'postgres'"
    ).fetchall()
    for each in found:
        if (each.is_of_icu or each.schema == _OWN) and not _exists(admin, each):
            _create(admin, each, locale)
            yield from each.doubts


def _exists(admin: Connection, each: UsedCollation) -> bool:
    query = (
        "select from pg_collation c join pg_namespace n on n.oid = c.collnamespace"
        " where n.nspname = %s and c.collname = %s"
    )
    return admin.execute(query, [each.schema, each.name]).fetchone() is not None


def _create(admin: Connection, each: UsedCollation, locale: str) -> None:
    schema, role = sql.Identifier(each.schema), sql.Identifier(guest.ROLE)
    name = sql.Identifier(each.schema, each.name)
    if each.schema != _OWN:
        make = sql.SQL("create schema if not exists {} authorization {}")
        admin.execute(make.format(schema, role))
    create = sql.SQL("create collation {} (provider = libc, locale = {})")
    admin.execute(create.format(name, sql.Literal(locale)))
    admin.execute(sql.SQL("alter collation {} owner to {}").format(name, role))
