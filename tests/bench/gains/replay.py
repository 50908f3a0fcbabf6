"""Run a load with parameters drawn from the data, and read what its statements took."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from tests.bench.gains.cases import Load

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """The calls of a statement, and the execution time of all of them."""

    calls: int
    ms: float


def replay(dsn: str, loads: Iterable[Load], seed: float) -> Mapping[int, Taken]:
    """Run each load with the parameters of one seed; return times by query ID. Rolled back, where it writes rows away."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        drawn = [(load, _parameters(connection, load, seed)) for load in loads]
        for load, rows in drawn:  # caches and hint bits are not what is compared
            _run(connection, load, rows[:3])
        connection.execute("select pg_stat_statements_reset()")
        for load, rows in drawn:
            _run(connection, load, rows)
        return _taken(connection)


def _parameters(connection: psycopg.Connection, load: Load, seed: float) -> list[Row]:
    connection.execute("select setseed(%s)", [seed])
    # a sort by random() is one pass over the data: every row is as likely as it is frequent
    rows = connection.execute(f"{load.draw} limit {load.calls}".encode()).fetchall()
    return list(rows) or [()] * load.calls


def _run(connection: psycopg.Connection, load: Load, rows: Iterable[Row]) -> None:
    for row in rows:
        connection.execute(load.sql.encode(), row or None)


def _taken(connection: psycopg.Connection) -> Mapping[int, Taken]:
    query = """
        select s.queryid, sum(s.calls)::int, sum(s.total_exec_time)
        from pg_stat_statements as s join pg_database as d on d.oid = s.dbid
        where d.datname = current_database() and s.toplevel group by 1"""
    return {i: Taken(calls, ms) for i, calls, ms in connection.execute(query).fetchall()}
