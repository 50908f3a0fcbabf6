"""Sets of indexes on a copy: really built, planned and run, and taken away by a rollback."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Query
from pgwatch_wed.whatif.proof.stopwatch import Stopwatch
from tests.planning import real_plan, shape

_NEAR, _CLOSE = 0.001, 0.01
_OF_INDEX = """
    select s.schemaname, s.tablename, a.attnum, s.null_frac, s.avg_width, s.n_distinct,
           s.most_common_vals::text, s.most_common_freqs, s.histogram_bounds::text, s.correlation
    from pg_stats s
    join pg_class c on c.relname = s.tablename
    join pg_attribute a on a.attrelid = c.oid and a.attname = s.attname
    where s.tablename = %s
"""
_RESTORE = """
    select pg_restore_attribute_stats('schemaname', %s::text, 'relname', %s::text, 'attnum', %s::int2,
        'inherited', false, 'null_frac', %s::real, 'avg_width', %s::int, 'n_distinct', %s::real,
        'most_common_vals', %s::text, 'most_common_freqs', %s::real[], 'histogram_bounds', %s::text,
        'correlation', %s::real)
"""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How the lab's answers compare with those of really built indexes."""

    queries: int
    same_plans: int
    near_costs: int
    close_costs: int
    worst_cost: float
    sizes: Mapping[str, float]


@contextmanager
def standing(copy: str, indexes: Iterable[Candidate]) -> Iterator[psycopg.Connection]:
    """Build indexes for the length of a ``with`` block, in one transaction that never commits."""
    connection = psycopg.connect(copy)
    try:
        for number, index in enumerate(indexes):
            connection.execute(index.ddl(f"bench_{number}").encode())
        yield connection
    finally:
        connection.rollback()
        connection.close()


def likeness(
    copy: str, lab: Lab, queries: Iterable[Query], indexes: Iterable[Candidate]
) -> Likeness:
    """Compare the lab's plans, costs and sizes with those of the set really built."""
    chosen = sorted(indexes)
    plans = {q.name: (q, lab.plan(q, chosen)) for q in queries}
    with standing(copy, chosen) as connection:
        _analyze_expressions(connection, chosen)
        trees = {name: real_plan(connection, q.sql) for name, (q, _) in plans.items()}
        sizes = {i.ddl(): lab.size(i) / _size(connection, n) for n, i in enumerate(chosen)}
    ratios = {n: plan.cost / float(trees[n]["Total Cost"]) for n, (_, plan) in plans.items()}
    return Likeness(
        len(plans),
        sum(shape(plan.tree) == shape(trees[n]) for n, (_, plan) in plans.items()),
        sum(abs(ratio - 1) <= _NEAR for ratio in ratios.values()),
        sum(abs(ratio - 1) <= _CLOSE for ratio in ratios.values()),
        max(ratios.values(), key=lambda r: abs(r - 1)),
        sizes,
    )


def cpu_ms(
    copy: str,
    queries: Iterable[Query],
    indexes: Iterable[Candidate],
    limits_ms: Mapping[str, float],
) -> dict[str, float]:
    """Return the best processor time of each query with a set; one over its limit counts as that."""
    with standing(copy, indexes) as connection:
        connection.execute("analyze")  # expressions have no statistics before
        watch = Stopwatch(connection, 3, '"$user", public')
        runs = {q.name: watch.run(q.sql, limits_ms.get(q.name, 300_000)) for q in queries}
    return {n: r.cpu_ms if r.cpu_ms is not None else r.elapsed_ms for n, r in runs.items()}


def _analyze_expressions(connection: psycopg.Connection, indexes: Sequence[Candidate]) -> None:
    """Let expressions have statistics, and columns keep theirs: ANALYZE would draw another sample."""
    found = []
    for number, index in enumerate(indexes):
        if any(key.column is None for key in index.keys):
            connection.execute("savepoint before")
            name = sql.Identifier(index.schema, index.table)
            connection.execute(sql.SQL("analyze {}").format(name))
            found += connection.execute(_OF_INDEX, [f"bench_{number}"]).fetchall()
            connection.execute("rollback to before")
    for row in found:
        connection.execute(_RESTORE, row)


def _size(connection: psycopg.Connection, number: int) -> int:
    row = connection.execute(
        "select pg_relation_size(c.oid) from pg_class c where relname = %s", [f"bench_{number}"]
    ).fetchone()
    assert row is not None
    return int(row[0])
