"""The statistics that an expression will have once it is indexed, from those of its columns.

PostgreSQL knows nothing about ``lower(email)`` until an index on it is built and analyzed: the planner
assumes that there are 200 values, and a useful candidate looks useless. But the column's statistics
contain some of its values. In the lab, the expression is evaluated for them. So is one of several columns, such as
``coalesce(started_at, planned_at)`` and ``tstzrange(starts_at, ends_at)``, for values that may be in the same row.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgwatch_wed.target import queries
from pgwatch_wed.whatif import spreads
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable, deduplicates
from pgwatch_wed.whatif.lab import samples
from pgwatch_wed.whatif.model import Candidate, Key

Where = tuple[int, str]  # a table, and the text of an expression

_COMMON = 100
_BIN = 0.01  # of the rows: what one bound of a histogram of a hundred bins stands for
_SEVERAL = 1.5  # bounds
_RANGE = "R"  # a category of types
_SHORT = 130  # stored values up to this length have a header of one byte instead of four


@dataclass(frozen=True, slots=True)
class ExpressionStatistics:
    """What ANALYZE would store, with values as text."""

    null_fraction: float
    width: int
    distinct: float
    common: tuple[tuple[str, float], ...]
    bounds: tuple[str, ...]
    ranges: tuple[str, ...] = ()  # if the values are ranges: those of the histogram of their bounds
    words: tuple[
        tuple[str, float], ...
    ] = ()  # if they are of full text, with their shares of the rows
    rarest: float = (
        0.0  # the share of the rows that ANALYZE would say the least common of the words has
    )


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression as if it were a column, and its statistics."""

    column: CatalogColumn
    sizes: tuple[tuple[int, float], ...]
    statistics: ExpressionStatistics


@dataclass(frozen=True, slots=True)
class _Result:
    value: str | None
    size: int | None
    times: int
    share: float
    common: int  # how many of the column's most common values have this result


def read(
    connection: psycopg.Connection[Any],
    catalog: Catalog,
    table: CatalogTable,
    index: Candidate,
    statistics: dict[Where, "ExpressionStatistics"],
) -> None:
    """Add an index's expressions to the catalog, if they depend on few columns.

    Repeated calls do nothing.
    """
    for key in index.keys:
        inputs = spreads.inputs_of(table, key) if key.column is None else []
        if not 1 <= len(inputs) <= samples.MOST_COLUMNS or any(c.category == "A" for c in inputs):
            continue
        if not catalog.is_first_try("expression", table.oid, key.text):
            continue
        with samples.attempt(connection):
            found = _evaluated(connection, table, key, inputs)
            if found is not None:
                catalog.expressions[table.oid, key.text] = found.column
                catalog.value_sizes[table.oid, key.text] = found.sizes
                shares = tuple(share for _, share in found.statistics.common)
                catalog.common_shares[table.oid, key.text] = shares
                statistics[table.oid, key.text] = found.statistics


def restore(
    connection: psycopg.Connection[Any],
    statistics: Mapping[Where, "ExpressionStatistics"],
    table: CatalogTable,
    index: Candidate,
    oid: int,
) -> None:
    """Give the expressions of an empty index in the lab the statistics that they would have."""
    for number, key in enumerate(index.keys, 1):
        found = statistics.get((table.oid, key.text))
        if found is not None:
            with suppress(psycopg.Error), connection.transaction():
                _restore(connection, oid, number, found)


def _restore(
    connection: psycopg.Connection[Any], oid: int, number: int, found: ExpressionStatistics
) -> None:
    stated = {
        "index": oid,
        "number": number,
        "null_fraction": found.null_fraction,
        "width": found.width,
        "distinct": found.distinct,
        "common": [value for value, _ in found.common] or None,
        "shares": [share for _, share in found.common] or None,
        "bounds": list(found.bounds) or None,
        "ranges": list(found.ranges) or None,
        "words": [word for word, _ in found.words] or None,
        # followed by the lowest and the highest, of which the planner takes half of the former for other words
        "word_shares": [
            *(share for _, share in found.words),
            found.rarest,
            max(share for _, share in found.words),
        ]
        if found.words
        else None,
    }
    connection.execute(queries.composed("lab", "restore_statistics"), stated)


def _evaluated(
    connection: psycopg.Connection[Any],
    table: CatalogTable,
    key: Key,
    columns: Sequence[CatalogColumn],
) -> Expression | None:
    is_one = len(columns) == 1
    sampled = (
        samples.sampled(connection, table, columns[0], between=True)
        if is_one
        else samples.sampled_together(connection, table, columns)
    )
    names = (
        sql.SQL("{} as {}").format(
            sql.Identifier("value" if is_one else f"value{n}"), sql.Identifier(column.name)
        )
        for n, column in enumerate(columns, 1)
    )
    values = {
        "sampled": sampled,
        "columns": sql.SQL(", ").join(names),
        "alias": sql.Identifier(table.name),
        "expression": sql.SQL(key.text),
    }
    with connection.cursor() as cursor:
        rows = cursor.execute(queries.composed("lab", "expression_values", **values)).fetchall()
    if not rows:
        return None
    results = [_Result(*row[:5]) for row in rows]
    return _expression(connection, table, key, columns, results, int(rows[0][5]))


def _expression(
    connection: psycopg.Connection[Any],
    table: CatalogTable,
    key: Key,
    columns: Sequence[CatalogColumn],
    results: Sequence[_Result],
    type_oid: int,
) -> Expression | None:
    total = sum(r.share for r in results)
    there = [r for r in results if r.value is not None]
    if not there or total <= 0:
        return None
    with connection.cursor(row_factory=dict_row) as cursor:
        query = queries.composed("lab", "expression_type", deduplicates=deduplicates())
        kind = cursor.execute(query, {"type": type_oid}).fetchone()
    assert kind is not None
    sizes = _sizes(there, kind["type_length"])
    width = sum(size * share for size, share in sizes)
    nulls = 1 - sum(r.share for r in there) / total
    distinct = _distinct(there, min(table.rows, math.prod(c.distinct for c in columns)))
    statistics = _statistics(there, total, nulls, width, distinct, table)
    if kind["category"] == _RANGE:
        statistics = _of_ranges(statistics, there)
    if kind["base_type"] == "tsvector":
        statistics = _of_words(connection, statistics, there, table)
    known = CatalogColumn(
        name=key.text,
        number=0,
        **kind,
        is_not_null=False,
        is_virtual=False,
        mean_width=width,
        null_fraction=nulls,
        distinct=distinct,
        correlation=None,
    )
    return Expression(known, sizes, statistics)


def _sizes(results: Iterable[_Result], type_length: int) -> tuple[tuple[int, float], ...]:
    found: dict[int, float] = {}
    for each in results:
        size = each.size or 1
        stored = size - 3 if type_length < 0 and size <= _SHORT else size
        found[stored] = found.get(stored, 0.0) + each.share
    total = sum(found.values())
    return tuple((size, share / total) for size, share in sorted(found.items()))


def _distinct(results: Sequence[_Result], values: float) -> float:
    """Return how many results so many values have: ANALYZE's estimator, applied to values instead of rows.

    It is applied to those that are not among the most common, all of which are known.
    """
    rest = [r for r in results if not r.common]
    tried, seen = sum(r.times for r in rest), len(rest)
    once = sum(r.times == 1 for r in rest)
    most = values - sum(r.common for r in results)
    if not once or most <= tried:
        return float(len(results))
    estimate = tried * seen / (tried - once + once * tried / most)
    return len(results) - seen + min(max(estimate, float(seen)), most)


def _statistics(
    results: Sequence[_Result],
    total: float,
    nulls: float,
    width: float,
    distinct: float,
    table: CatalogTable,
) -> ExpressionStatistics:
    often = sorted((r for r in results if r.times > 1 or r.common), key=lambda r: -r.share)[
        :_COMMON
    ]
    is_complete = distinct <= len(results)
    if is_complete and len(results) <= _COMMON:
        often = sorted(results, key=lambda r: -r.share)
    common = {r.value: r.share / total for r in often if r.value is not None}
    bounds = [r.value for r in results if r.value is not None and r.value not in common]
    unseen = _unseen(results, table) if not bounds else 0.0
    if unseen:
        distinct += 1
    stated = -distinct / table.rows if distinct > 0.1 * table.rows else distinct
    return ExpressionStatistics(
        max(0.0, nulls),
        max(1, round(width)),
        stated,
        tuple((value, share * (1 - unseen)) for value, share in common.items()),
        tuple(_thinned(bounds)) if len(bounds) > 1 else (),
    )


def _unseen(results: Sequence[_Result], table: CatalogTable) -> float:
    """Return the share of rows of a value that is in none of those that were tried: between one row and a bound of the histogram.

    There is none if all values of the column are known.
    """
    tried = sum(r.share * (1 - r.common / r.times) for r in results)
    return math.sqrt(_BIN * tried / table.rows) if tried > 0 and table.rows >= 1 else 0.0


def _of_words(
    connection: psycopg.Connection[Any],
    found: ExpressionStatistics,
    results: Sequence[_Result],
    table: CatalogTable,
) -> ExpressionStatistics:
    """Return the statistics of full text, of which ANALYZE keeps the words instead of values.

    A word in but one of the values that were tried may be as rare as one in none of them.
    """
    values = {
        "values": [r.value for r in results],
        "shares": [r.share for r in results],
        "are_common": [bool(r.common) for r in results],
        "least": _SEVERAL * _BIN,
        "twice": (_SEVERAL + 1) * _BIN,
    }
    rows = connection.execute(queries.composed("lab", "word_shares"), values).fetchall()
    once, twice = rows[0][2:] if rows else (0, 0)
    rare = 2 * _rare(once, twice, table.rows)
    words = tuple((str(word), float(share)) for word, share, *_ in rows) or (("", rare),)
    return replace(found, common=(), bounds=(), words=words, rarest=rare)


def _rare(once: int, twice: int, rows: float) -> float:
    """Return the share of the rows that a word has which is in none or one of the values that were tried, of which each stands for one bin.

    How many words are in two of them for each that is in one tells how often such a word is expected there (Good and Turing): if that is
    once, nearly all words are there, and that is its share. If it is much less, there may be any number of others: it is between one row and that.
    """
    expected = min(1.0, 2 * (twice + 1) / max(1, once - 1)) if once else 1.0
    known = expected if once else 0.0
    found: float = (expected * _BIN) ** ((1 + known) / 2) * max(1.0, rows) ** ((known - 1) / 2)
    return found


def _of_ranges(found: ExpressionStatistics, results: Sequence[_Result]) -> ExpressionStatistics:
    """Return the statistics of ranges, of which ANALYZE keeps the bounds instead of values."""
    ranges = [r.value for r in results if r.value is not None]
    return replace(found, common=(), bounds=(), ranges=tuple(_thinned(ranges)))


def _thinned(bounds: Sequence[str]) -> Sequence[str]:
    """Keep at most a hundred bins."""
    if len(bounds) <= _COMMON + 1:
        return bounds
    last = len(bounds) - 1
    return [bounds[round(k * last / _COMMON)] for k in range(_COMMON + 1)]
