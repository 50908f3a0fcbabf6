"""Indexes whose access method cannot serve the queries on their column.

## Why it matters
A B-tree on an array or a JSON document only finds whole values, by equality or order; the usual searches in documents,
containment and overlap, need GIN or GiST. A BRIN index on values in random physical order excludes no blocks. Both cost
writes and help no query.

## How sure we are
B for B-trees if a visible statement uses an operator that only GIN or GiST support; D without such a statement, since some
query may compare whole values. C for BRIN: the correlation comes from ANALYZE's sample.

## Not reported
Unique indexes and those of constraints, which enforce something; indexes in which the column is not the first key; BRIN
with bloom or minmax-multi operator classes, which are made for such values; small indexes.

## Remedy
Create an index with the right access method, check that plans use it, then drop the old one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Column, Index, Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres.statements import of_users
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.indexes import IndexBuilder
from pgwatch_wed.units import count

NEEDS = ("indexes", "tables", "columns", "index_definitions")
PRIMARY_ONLY = True

# Base types with the access method that supports their operators.
_METHODS = {"jsonb": "gin", "tsvector": "gin", "hstore": "gin"}
_METHOD_NAMES = {"gin": "GIN", "gist": "GiST"}
_OPERATORS = re.compile(r"@>|<@|&&|@@|\?[|&]?(?!\w)|@\?|-\|-|<<|>>")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Smaller indexes cost too little to mention.
    min_index_bytes: int = 100_000
    # BRIN: below this correlation, 0 to 1, most block ranges overlap.
    max_correlation: float = 0.3
    # BRIN: smaller tables have too few block ranges to judge.
    min_brin_table_bytes: int = 10_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index whose access method does not suit its column."""
    if "column_statistics" in snapshot.missing and any(
        i.access_method == "brin" for i in snapshot.indexes
    ):
        why = snapshot.missing["column_statistics"]
        yield Unknown(f"BRIN indexes cannot be judged: {why.reason}", why.mend)
    builder = IndexBuilder(snapshot)
    for index in snapshot.indexes:
        table = snapshot.table_by_oid.get(index.table_oid)
        if table is None or not index.is_usable or index.is_unique or ix.is_bound(index):
            continue
        column = snapshot.column_by_key.get((table.oid, index.keys[0])) if index.keys else None
        if column is None:
            continue
        if index.access_method == "btree":
            yield from _btree(builder, snapshot, index, table, column, limits)
        elif index.access_method == "brin":
            yield from _brin(builder, snapshot, index, table, column, limits)


def _btree(
    builder: IndexBuilder,
    snapshot: Snapshot,
    index: Index,
    table: Table,
    column: Column,
    limits: Limits,
) -> Iterator[Finding]:
    method = _right_method(column)
    size = ix.size_bytes(snapshot, index)
    if method is None or size < limits.min_index_bytes or index.key_count != 1:
        return
    if any(
        i.access_method in ("gin", "gist", "spgist") and index.keys[0] in i.keys and i.is_usable
        for i in snapshot.indexes_of[table.oid]
    ):
        return  # already served; whether the B-tree is used is up to index-unused
    asking = [s for s in of_users(snapshot) if _asks(s, table, column)]
    shape = f"USING {method} ({ident(column.name)})"
    yield Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING if asking else Severity.INFO,
        grade=Grade.B if asking else Grade.D,
        title=f"{index.qualified} is a B-tree on {column.type}",
        detail=f"It only finds whole values of {column.name}. Containment and overlap"
        + (f", which occur in {count(len(asking), 'statement')}," if asking else "")
        + f" need {_METHOD_NAMES[method]}.",
        evidence={
            "column": column.name,
            "type": column.type,
            "size_bytes": size,
            "scans": ix.scans(snapshot, index),
            "query_ids": [s.query_id for s in asking],
            "query": asking[0].text if asking else None,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(bytes=size, risk="queries for parts of a value scan the whole table"),
        remedy=builder.replaced(table, index, shape),
        caveats=()
        if asking
        else ("Some query may compare whole values: look at the statements first.",),
    )


def _right_method(column: Column) -> str | None:
    if column.base_type in _METHODS:
        return _METHODS[column.base_type]
    if column.type_category == "A" and column.base_type.startswith("_"):
        return "gin"
    return "gist" if column.type_category == "R" else None


def _asks(statement: Statement, table: Table, column: Column) -> bool:
    text = statement.text or ""
    return table.name in text and column.name in text and _OPERATORS.search(text) is not None


def _brin(
    builder: IndexBuilder,
    snapshot: Snapshot,
    index: Index,
    table: Table,
    column: Column,
    limits: Limits,
) -> Iterator[Finding]:
    statistics = snapshot.statistics_by_key.get((table.oid, column.attnum))
    correlation = statistics.correlation if statistics else None
    minmax = bool(index.opclass_names) and index.opclass_names[0].endswith("_minmax_ops")
    large = ix.table_bytes(snapshot, table) >= limits.min_brin_table_bytes
    if correlation is None or not minmax or not large or index.key_count != 1:
        return
    if abs(correlation) > limits.max_correlation or index.predicate is not None:
        return
    yield Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING if ix.scans(snapshot, index) else Severity.INFO,
        grade=Grade.C,
        title=f"{index.qualified} is a BRIN index on values in random order",
        detail=f"The values of {column.name} are in no physical order (correlation {correlation:.2f}): nearly every "
        "block range may contain any of them, so the index excludes none.",
        evidence={
            "column": column.name,
            "correlation": round(correlation, 4),
            "table_bytes": ix.table_bytes(snapshot, table),
            "scans": ix.scans(snapshot, index),
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(risk="queries scan the whole table"),
        remedy=builder.replaced(table, index, f"USING btree ({ident(column.name)})"),
        caveats=("If no query searches this column, drop the index without replacement.",),
    )
