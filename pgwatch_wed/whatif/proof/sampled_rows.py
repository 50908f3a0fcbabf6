"""Values for parameters from rows of the copy: all of a query block from one row of its own join."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.proof.parameter_uses import (
    ParameterUse,
    QueryBlock,
    ValueUse,
    alias_of,
    mentioned,
    sql_of,
)

_ROWS = 1000  # that a sample of a block may have
_FIRST_ROWS = 1000  # of the table that is sampled, before it is joined and filtered
_PAGES = 200  # rows of one page are often alike, so they are taken from many
_NEIGHBORS = 2000
_SPREAD = (ValueUse.ABOVE, ValueUse.BELOW)
_MANY = (*_SPREAD, ValueUse.ELEMENT, ValueUse.LIST, ValueUse.SHORTENED)


class SamplingLateError(Exception):
    """The time for sampling is over."""


@dataclass(frozen=True, slots=True)
class ValueSpread:
    """The values of an expression in order; each stands for that many rows of the table."""

    values: tuple[str, ...]
    rows_each: float


@dataclass(frozen=True, slots=True)
class SampledRow:
    """One row: the value of each use's expression, by parameter, and those of its neighbors, by expression.

    Neighbors are the rows in which everything that must be equal is equal.
    """

    values: Mapping[int, str]
    spreads: Mapping[str, ValueSpread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BlockSample:
    """The rows of a block, in random order, and the uses that they are for.

    In ``rows`` a key is as likely as it is in the table; ``by_key`` has each once.
    """

    uses: tuple[ParameterUse, ...]
    rows: tuple[SampledRow, ...]
    by_key: tuple[SampledRow, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleSession:
    """A read-only session on the copy, in autocommit mode; ``types`` are those of the statement's parameters.

    ``fixed`` are SQL constants for parameters that stand inside of the expressions of others. Nothing is sampled after
    ``end`` (of the monotonic clock): then :class:`SamplingLateError` is raised. A query takes at most ``limit_ms``.
    """

    connection: psycopg.Connection[Any]
    types: Mapping[int, str]
    fixed: Mapping[int, str]
    keys: Mapping[int, str]
    seed: int
    limit_ms: int
    end: float = math.inf

    def samples(self, block: QueryBlock, most: int) -> Iterator[BlockSample]:
        """Yield the rows of a block, or of each of its blocks alone where together they have none."""
        self.connection.execute("select pg_catalog.setseed(%s)", [1 / (1 + self.seed)])
        found = self._rows(block, most)
        if found is not None or not block.alone:
            yield found or BlockSample(block.uses, ())
            return
        for each in block.alone:
            yield self._rows(each, most) or BlockSample(each.uses, ())

    def _rows(self, block: QueryBlock, most: int) -> BlockSample | None:
        best: list[tuple[str, ...]] = []
        used = None
        for source in self._sources(block):
            rows = self._asked(self._query(block, source))
            if len(rows) > len(best):
                best, used = rows, source
            if len(best) >= most:
                break
        if not best or used is None:
            return None
        # by rows first, in which popular keys are many; then each key once
        chosen = _representative(best, most) + list(dict.fromkeys(best))[:most]
        known: dict[tuple[str, ...], SampledRow] = {}
        is_free = all(use.use is not ValueUse.EQUAL for use in block.uses)
        shared = self._spreads(block, used, {}) if is_free else None
        drawn: list[SampledRow] = []
        for found in chosen:
            if found not in known:
                values = {use.number: value for use, value in zip(block.uses, found, strict=True)}
                spreads = self._spreads(block, used, values) if shared is None else shared
                known[found] = SampledRow(values, spreads)
            drawn.append(known[found])
        count = min(len(best), most)
        return BlockSample(block.uses, tuple(drawn[:count]), tuple(drawn[count:]))

    def _spreads(
        self, block: QueryBlock, source: "_Source", values: Mapping[int, str]
    ) -> Mapping[str, ValueSpread]:
        wanted = dict.fromkeys(use.expression for use in block.uses if use.use in _MANY)
        found = {e: self._spread(block, source, e, values) for e in wanted}
        return {e: s for e, s in found.items() if s.values}

    # What is asked

    def _sources(self, block: QueryBlock) -> Iterator["_Source"]:
        plain = [sql_of(item) for item in block.sources]
        for table in block.tables:
            size = self._size(table)
            if size is None:
                continue
            for times in (1, 25):
                yield _Source(
                    self._from(block, table, size, times),
                    min(size[3], _FIRST_ROWS * times),
                    size[3],
                )
                if size[2] <= _PAGES * times and size[3] <= _FIRST_ROWS * times:
                    break
            break
        yield _Source(", ".join(plain), 1, 1)

    def _size(self, table: Any) -> tuple[str, str, float, float] | None:
        name = ident(*filter(None, (table.schemaname, table.relname)))
        row = self.connection.execute(composed("copy", "sampled_table"), {"name": name}).fetchone()
        if row is None or row[3] not in ("r", "p", "m"):
            return None
        return str(row[1]), str(row[2]), float(row[4]), float(row[5])

    def _from(
        self, block: QueryBlock, table: Any, size: tuple[str, str, float, float], times: int
    ) -> str:
        """Return the FROM items with a sample of one table in its place."""
        schema, name, pages, _ = size
        percent = min(100.0, 100.0 * _PAGES * times / pages)
        sample = (
            f"(select * from {ident(schema, name)} tablesample system ({percent:.6f}) repeatable ({self.seed})"
            f" order by pg_catalog.random() limit {_FIRST_ROWS * times}) as {ident(alias_of(table))}"
        )
        marker = "pgwatch_wed_sampled_table"
        items = []
        for item in block.sources:
            old = table.schemaname, table.relname, table.alias
            if any(n is table for n in trees.walk(item)):
                table.schemaname, table.relname, table.alias = None, marker, None
            text = sql_of(item)
            table.schemaname, table.relname, table.alias = old
            items.append(text.replace(f"ONLY {marker}", marker).replace(marker, sample))
        return ", ".join(items)

    def _query(self, block: QueryBlock, source: "_Source") -> str:
        outputs = [f"({self._value_of(use)})::text" for use in block.uses]
        rest = self._rest(block, source, [use.expression for use in block.uses])
        return f"{block.leading}select {', '.join(outputs)} {rest} limit {_ROWS}"

    def _rest(self, block: QueryBlock, source: "_Source", expressions: Sequence[str]) -> str:
        laterals = "".join(
            f" cross join lateral (select k from pg_catalog.jsonb_object_keys(case when"
            f" pg_catalog.jsonb_typeof(({of})::jsonb) = 'object' then ({of})::jsonb end) k"
            f" order by pg_catalog.random() limit 1) as key_{number}(k)"
            for number in mentioned(expressions, self.keys)
            for of in [self.keys[number]]
        )
        present = [f"({e}) is not null" for e in dict.fromkeys(expressions)]
        conditions = " and ".join(f"({c})" for c in (*block.conditions, *present)) or "true"
        return self._filled(f"from {source.text}{laterals} where {conditions}")

    def _value_of(self, use: ParameterUse) -> str:
        expression = use.expression
        is_array = self.types.get(use.number, "").endswith("[]")
        match use.use:
            case ValueUse.CONTAINS if not is_array and self.types.get(use.number) == "jsonb":
                expression = (
                    f"case pg_catalog.jsonb_typeof({expression}) when 'object' then (select"
                    f" pg_catalog.jsonb_build_object(e.key, e.value) from pg_catalog.jsonb_each({expression}) e"
                    f" order by pg_catalog.random() limit 1) else {expression} end"
                )
            case ValueUse.CONTAINS if is_array:
                expression = f"({expression})[1:1]"
            case ValueUse.MEMBER:
                expression = f"({expression})[1]"
            case ValueUse.SEARCH:
                expression = (
                    f"(select w from unnest(pg_catalog.tsvector_to_array(({expression})::tsvector)) w"
                    " where w ~ '^[[:alnum:]]+$' order by length(w) desc, w limit 1)"
                )
            case _:
                pass
        return self._filled(expression)

    def _filled(self, text: str) -> str:
        fixed = {**{n: f"key_{n}.k" for n in self.keys}, **self.fixed}
        return with_values(text, lambda number, _start: fixed.get(number))

    def _spread(
        self, block: QueryBlock, source: "_Source", expression: str, values: Mapping[int, str]
    ) -> ValueSpread:
        """Return the values of neighbors; without any condition of equality, those of a sample of the table."""
        equal = [
            f"({self._filled(use.expression)}) = {constant(values[use.number], self.types[use.number])}"
            for use in block.uses
            if use.use is ValueUse.EQUAL and use.number in self.types
        ]
        near = source if not equal else _Source(", ".join(sql_of(i) for i in block.sources), 1, 1)
        rest = self._rest(block, near, [expression])
        also = "".join(f" and {e}" for e in equal)
        kind = self._filled(expression)
        rows = self._asked(
            f"{block.leading}select v::text from (select {kind} as v {rest}{also} limit {_NEIGHBORS}) s order by v"
        )
        found = tuple(row[0] for row in rows)
        each = 1.0 if equal else max(1.0, near.tuples / max(len(found), 1))
        return ValueSpread(found, each)

    def _asked(self, query: str) -> list[tuple[str, ...]]:
        """Return rows; none if it fails or takes too long: then the next way is tried."""
        left_ms = (self.end - time.monotonic()) * 1000
        if left_ms <= 0:
            raise SamplingLateError
        is_last = left_ms < self.limit_ms
        try:
            if is_last:
                self.limit(left_ms)
            rows = self.connection.execute(query.encode()).fetchall()
        except psycopg.Error:
            if self.connection.closed:
                raise
            return []
        finally:
            if is_last and not self.connection.closed:
                self.limit(self.limit_ms)
        return [tuple(row) for row in rows if all(v is not None for v in row)]

    def limit(self, limit_ms: float) -> None:
        """Set how long each of the next queries may take."""
        query = "select pg_catalog.set_config('statement_timeout', %s, false)"
        self.connection.execute(query, [f"{max(1, int(limit_ms))}ms"])

    def usual(self, block: QueryBlock, use: ParameterUse) -> tuple[str, ...]:
        """Return values of a column from its statistics, where there are no rows."""
        column = use.expression.rpartition(".")[2]
        for table in block.tables:
            if len(block.tables) > 1 and not use.expression.startswith(f"{alias_of(table)}."):
                continue
            size = self._size(table)
            if size is None:
                continue
            named = {"schema": size[0], "table": size[1], "column": column.strip('"')}
            row = self.connection.execute(composed("copy", "usual_values"), named).fetchone()
            if row is not None:
                return tuple(row[0] or ()) + tuple(row[1] or ())
        return ()


@dataclass(frozen=True, slots=True)
class _Source:
    """FROM items, and how many rows of the table they sample, of how many."""

    text: str
    sampled: float
    tuples: float


def _representative(rows: Sequence[tuple[str, ...]], most: int) -> list[tuple[str, ...]]:
    """Return so many rows that popular and rare keys have their share: few drawn at random rarely do."""
    times = Counter(rows)
    ordered = sorted(rows, key=lambda row: times[row])  # stable: otherwise in random order
    step = max(1.0, len(ordered) / most)
    return [ordered[int((n + 0.5) * step)] for n in range(min(most, len(ordered)))]


def constant(value: str, kind: str) -> str:
    """Return a value as a constant of a type that pgbench does not change: it takes ``:name`` for a variable anywhere."""
    text = literal(value)
    if ":" in text or "\n" in text or "\r" in text:
        inside = value.replace("\\", "\\\\").replace("'", "''").replace(":", "\\072")
        text = "E'" + inside.replace("\n", "\\n").replace("\r", "\\r") + "'"
    return f"({text}::{kind})"


def interpolated(
    connection: psycopg.Connection[Any],
    kind: str,
    between: str | None,
    low: str,
    high: str,
    share: float,
) -> str:
    """Return a value between two, if the type has such; else the higher one."""
    if between is None:
        return high
    query = sql.SQL("select ({})::text from (values ({}, {}, {}::float8)) v(lo, hi, f)").format(
        sql.SQL(between),
        sql.SQL(constant(low, kind)),
        sql.SQL(constant(high, kind)),
        sql.Literal(share),
    )
    try:
        row = connection.execute(query).fetchone()
    except psycopg.Error:
        return high
    return high if row is None or row[0] is None else str(row[0])
