"""Extended statistics: what ANALYZE stored on the target for CREATE STATISTICS objects, carried into the lab.

pg_dump brings their definitions only. A list of common values contains values in the form that their types have in
memory: so the lab's server makes the list, by analyzing a table of samples that holds each combination once, and only
the frequencies are replaced. In the same way the statistics of expressions are those of that table's columns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgwatch_wed.errors import said
from pgwatch_wed.facts.features import Features
from pgwatch_wed.sqltext import terms
from pgwatch_wed.target.queries import composed, fragment
from pgwatch_wed.whatif.lab import multivariate
from pgwatch_wed.whatif.model import Doubt
from pgwatch_wed.whatif.unencoded import readable

Connection = psycopg.Connection[Any]

_BYTES = ("n_distinct", "dependencies")
_SAMPLE = "pgwatch_wed_sample"
_TYPES = ("pg_ndistinct", "pg_dependencies", "pg_mcv_list")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a target's CREATE STATISTICS object contains, for a table alone or with its children."""

    schema: str
    name: str
    table_schema: str
    table_name: str
    owner: str
    is_readable: bool
    numbers: tuple[int, ...]
    columns: tuple[str, ...]
    is_inherited: bool
    is_known: bool
    n_distinct: bytes | None
    dependencies: bytes | None
    common: tuple[tuple[str | None, ...], ...]
    shares: tuple[float, ...]
    base_shares: tuple[float, ...]
    expressions: tuple[str, ...]
    of_expressions: Mapping[str, Mapping[str, Any]]

    @property
    def label(self) -> str:
        """The object's name, for people."""
        return f"{self.schema}.{self.name}"

    def doubted(self, why: str, expressions: Iterable[str]) -> Doubt:
        """Return a doubt about the statements whose estimates depend on it."""
        read = frozenset(c for e in expressions for c in terms.columns(e))
        reason = f"the extended statistics {self.label} are not in the lab: {why}"
        least = 1 if read or not self.columns else 2
        return Doubt(
            self.table_schema, self.table_name, reason, read | frozenset(self.columns), least
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """The same object in the lab; ``names`` are those of the sample's columns, expressions last."""

    oid: int
    table_oid: int
    columns: tuple[str, ...]
    numbers: tuple[int, ...]
    types: tuple[str, ...]
    expressions: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"d{n}" for n in range(len(self.types)))

    @property
    def expression_names(self) -> tuple[str, ...]:
        return self.names[len(self.columns) :]


def read(connection: Connection) -> list[Stored]:
    """Read what a target has."""
    has_expressions = Features.of(connection.info.server_version).has_expression_statistics()
    part = fragment("whatif", "expression_statistics") if has_expressions else sql.SQL("null")
    with connection.cursor(row_factory=dict_row) as cursor:
        query = composed("whatif", "extended_statistics", expressions=part)
        return [_stored(row) for row in cursor.execute(query)]


def _stored(row: dict[str, Any]) -> Stored:
    row = {name: value if name in _BYTES else readable(value) for name, value in row.items()}
    for name in ("numbers", "columns", "shares", "base_shares", "expressions"):
        row[name] = tuple(row[name] or ())
    row["common"] = tuple(tuple(values) for values in row["common"] or ())
    row["of_expressions"] = row["of_expressions"] or {}
    return Stored(**row)


def carry(admin: Connection, guest: Connection, found: Iterable[Stored]) -> Iterator[Doubt]:
    """Give the lab's objects their contents; yield what the lab lacks."""
    for each in found:
        place = _place(guest, each)
        if place is None:
            yield each.doubted("it cannot create them", each.expressions)
            continue
        try:
            why = _carried(admin, guest, each, place)
        except (psycopg.Error, multivariate.StatisticsError) as error:
            why = said(error)
        if why:
            yield each.doubted(why, place.expressions)


def _carried(admin: Connection, guest: Connection, stored: Stored, place: _Place) -> str:
    """Carry one object, and return why that is impossible, or ""."""
    if not stored.is_known:
        # those that were never built are not known to the target's planner, either
        owner = stored.owner
        return "" if stored.is_readable else f"only {owner}, the table's owner, can read them"
    if len(place.expressions) != len(stored.expressions):
        return "their expressions differ"
    place = _typed(guest, stored, place)
    with _sampled(guest, place, stored) as rows:
        _put(admin, guest, place, stored, rows)
    return ""


def _place(guest: Connection, stored: Stored) -> _Place | None:
    asked = {"schema": stored.schema, "name": stored.name}
    row = guest.execute(composed("lab", "statistics_object"), asked).fetchone()
    if row is None:
        return None
    oid, table_oid, columns, numbers, types, expressions = row
    if sorted(columns) != sorted(stored.columns):
        return None
    return _Place(oid, table_oid, tuple(columns), tuple(numbers), tuple(types), tuple(expressions))


def _typed(guest: Connection, stored: Stored, place: _Place) -> _Place:
    """Add the types of the expressions."""
    if not place.expressions:
        return place
    asked = sql.SQL("select {} from {} limit 0").format(
        sql.SQL(", ").join(map(_raw, place.expressions)),
        sql.Identifier(stored.table_schema, stored.table_name),
    )
    cursor = guest.execute(asked)
    oids = [column.type_code for column in cursor.description or ()]
    row = guest.execute(
        "select array(select format_type(t, null) from unnest(%s::oid[]) t)", [oids]
    )
    ((types,),) = row.fetchall()
    return replace(place, types=(*place.types, *types))


def _raw(text: str) -> sql.Composable:
    """Return SQL that the server itself printed, as it is."""
    return sql.SQL(text)


# The table of samples


@contextmanager
def _sampled(guest: Connection, place: _Place, stored: Stored) -> Iterator[list[tuple[Any, ...]]]:
    """Make an analyzed table of samples, and yield its rows as this server prints them."""
    columns = ", ".join(f"{n} {t}" for n, t in zip(place.names, place.types, strict=True))
    guest.execute(f"create temp table {_SAMPLE} ({columns})".encode())
    try:
        if stored.common:
            _fill(guest, place, stored)
        _restore_expressions(guest, place, stored)
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(_raw(name)) for name in place.names)
        query = sql.SQL("select {} from {} order by ctid").format(texts, _raw(_SAMPLE))
        yield guest.execute(query).fetchall()
    finally:
        guest.execute(f"drop table {_SAMPLE}".encode())


def _fill(guest: Connection, place: _Place, stored: Stored) -> None:
    # columns may come in another order here
    order = [stored.columns.index(name) for name in place.columns]
    order += range(len(stored.columns), len(place.names))
    with guest.cursor() as cursor, cursor.copy(f"copy {_SAMPLE} from stdin".encode()) as copy:
        for values in stored.common:
            copy.write_row([values[n] for n in order])
    names = ", ".join(place.names)
    guest.execute(f"create statistics pg_temp.{_SAMPLE} (mcv) on {names} from {_SAMPLE}".encode())
    guest.execute("set default_statistics_target = 10000")
    guest.execute(f"analyze {_SAMPLE}".encode())


def _restore_expressions(guest: Connection, place: _Place, stored: Stored) -> None:
    for name, text in zip(place.expression_names, stored.expressions, strict=True):
        clear = "select pg_clear_attribute_stats(pg_my_temp_schema()::regnamespace::text, %s, %s, false)"
        guest.execute(clear, [_SAMPLE, name])
        known = stored.of_expressions.get(text)
        if known is not None:
            asked = {"table": _SAMPLE, "column": name, **known}
            guest.execute(composed("lab", "restore_expression"), asked)


# The contents


def _put(
    admin: Connection,
    guest: Connection,
    place: _Place,
    stored: Stored,
    rows: Sequence[tuple[Any, ...]],
) -> None:
    ((table,),) = guest.execute("select %s::regclass::oid::int8", [_SAMPLE]).fetchall()
    numbers = dict(
        zip(stored.numbers, (_number(place, name) for name in stored.columns), strict=True)
    )
    known = any(text in stored.of_expressions for text in stored.expressions)
    asked = {
        "oid": place.oid,
        "is_inherited": stored.is_inherited,
        "n_distinct": _distinct(stored, numbers),
        "dependencies": _dependencies(stored, numbers),
        "common": _common(admin, stored, table, rows) if stored.common else None,
        "sample": table,
        "expressions": list(place.expression_names) if known else None,
    }
    with admin.transaction():
        for kind in _TYPES:
            admin.execute(f"create cast (bytea as {kind}) without function".encode())
        admin.execute(composed("lab", "put_extended"), asked)
        for kind in _TYPES:
            admin.execute(f"drop cast (bytea as {kind})".encode())


def _number(place: _Place, column: str) -> int:
    return place.numbers[place.columns.index(column)]


def _distinct(stored: Stored, numbers: Mapping[int, int]) -> bytes | None:
    if stored.n_distinct is None:
        return None
    groups = multivariate.read_distinct(stored.n_distinct)
    return multivariate.write_distinct(multivariate.numbered(groups, numbers))


def _dependencies(stored: Stored, numbers: Mapping[int, int]) -> bytes | None:
    if stored.dependencies is None:
        return None
    groups = multivariate.read_dependencies(stored.dependencies)
    return multivariate.write_dependencies(multivariate.numbered(groups, numbers))


def _common(
    admin: Connection, stored: Stored, table: int, rows: Sequence[tuple[Any, ...]]
) -> bytes:
    entries = admin.execute(composed("lab", "sampled_list"), {"sample": table}).fetchall()
    shares = dict(zip(rows, zip(stored.shares, stored.base_shares, strict=True), strict=True))
    in_order = [shares.get(tuple(values)) for _, values in entries]
    if len(entries) != len(rows) or None in in_order:
        raise multivariate.StatisticsError("the common values are not those of the target")
    width = len(rows[0])
    return multivariate.with_shares(
        bytes(entries[0][0]), width, [pair for pair in in_order if pair is not None]
    )
