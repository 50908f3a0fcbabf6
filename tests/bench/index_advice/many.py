"""python -m tests.bench.index_advice.many: a thousand statements over five hundred tables.

How long does advice take, how much memory does it need, and what does it reach within ``--seconds``?
"""

import argparse
import resource
from collections.abc import Iterator

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.whatif.choose import advise
from pgwatch_wed.whatif.choose.advise import AdviceOptions
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.model import Query
from pgwatch_wed.whatif.workload import Workload, query_of

_TABLE = """
create table t{n} (id int primary key, parent_id int, state text, at timestamptz, amount numeric, name text);
insert into t{n} select g, g % {parents}, 's' || g % {states}, timestamptz '2025-01-01' + g * interval '1 minute',
    g % 997, md5(g::text) from generate_series(1, {rows}) g;
analyze t{n};
"""
_KINDS = (
    "select * from t{n} where parent_id = {v}",
    "select * from t{n} where state = 's{v}' and at > '2025-01-03' order by at limit 20",
    "select sum(amount) from t{n} where at between '2025-01-02' and '2025-01-03'",
    "select a.name, b.amount from t{n} a join t{m} b on b.parent_id = a.id where a.name = 'x{v}'",
    "select state, count(*) from t{n} where parent_id < {v} group by state",
    "select * from t{n} where lower(name) = 'x{v}'",
    "update t{n} set amount = amount + 1 where parent_id = {v} and state = 's1'",
)
_PER_TRANSACTION = 50


def main() -> None:
    """Make the database, advise, print one line."""
    parser = argparse.ArgumentParser(prog="tests.bench.index_advice.many", description=__doc__)
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--statements", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    wanted = parser.parse_args()
    with embedded.start({"autovacuum": "off"}) as server:
        dsn = server.dsn()
        _make(dsn, wanted.tables)
        queries = tuple(_queries(wanted.tables, wanted.statements))
        with source.open_lab(dsn) as lab:
            advice = advise.advise(lab, Workload(queries), AdviceOptions(seconds=wanted.seconds))
            late = sum("time" in each.reason for each in advice.rejected)
            print(
                f"{len(queries)} statements, {wanted.tables} tables: {advice.whatif_calls:,} calls,"
                f" {advice.seconds:.0f} s, {len(advice.indexes)} indexes,"
                f" cost {advice.cost_after / advice.cost_before:.2f} of before,"
                f" {late} not looked at in time,"
                f" {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB of memory"
            )


def _make(dsn: str, tables: int) -> None:
    with psycopg.connect(dsn) as connection:
        for n in range(1, tables + 1):
            sizes = {"rows": 1000 + 20 * n, "parents": 10 + n % 400, "states": 2 + n % 30}
            connection.execute(_TABLE.format(n=n, **sizes).encode())
            if n % _PER_TRANSACTION == 0:
                connection.commit()


def _queries(tables: int, statements: int) -> Iterator[Query]:
    for number in range(statements):
        n = 1 + number % tables
        kind = _KINDS[number % len(_KINDS)]
        text = kind.format(n=n, m=1 + n % tables, v=1 + number % 9)
        found = query_of(f"q{number:04}", text)
        assert isinstance(found, Query)
        yield found


if __name__ == "__main__":
    main()
