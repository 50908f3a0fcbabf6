"""Make a database of many tables, indexes and statements, in minutes.

``python -m tests.bench.scale.generate DSN TABLES [STATEMENTS]``
"""

import sys
import time

import psycopg

# Six indexes a table, a foreign key on every other, a few rows so that ANALYZE has something to say.
_TABLES = """
do $$
begin
    for i in {first}..{last} loop
        execute format($f$
            create table t%1$s (
                id int generated always as identity constraint t%1$s_pkey primary key,
                parent_id int, code text not null, name varchar(80), at timestamptz, amount numeric(12, 2)
            )$f$, i);
        execute format($f$
            insert into t%1$s (parent_id, code, name, at, amount)
            select g, 'c' || g, 'n', now(), g from generate_series(1, 3) g$f$, i);
        execute format('create unique index t%1$s_code_key on t%1$s (code)', i);
        execute format('create index t%1$s_parent_idx on t%1$s (parent_id)', i);
        execute format('create index t%1$s_at_idx on t%1$s (at desc)', i);
        execute format('create index t%1$s_name_idx on t%1$s (parent_id, name)', i);
        execute format('create index t%1$s_lower_idx on t%1$s (lower(name)) where amount > 0', i);
        if i % 2 = 0 then
            execute format(
                'alter table t%1$s add constraint t%1$s_parent_fkey'
                ' foreign key (parent_id) references t%2$s', i, i - 1);
        end if;
        execute format('analyze t%1$s', i);
    end loop;
end $$
"""
_BATCH = 100  # tables a transaction: their locks must fit the lock table
_LONG = 100_000


def tables(dsn: str, first: int, last: int) -> None:
    """Create tables ``t<first>`` … ``t<last>`` with six indexes each."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off; set client_min_messages = error")
        for start in range(first, last + 1, _BATCH):
            end = min(start + _BATCH - 1, last)
            connection.execute(_TABLES.format(first=start, last=end).encode())


def statements(dsn: str, count: int, long: int = 200, spread: int = 500) -> None:
    """Run so many statements that pg_stat_statements tells apart, some of them of 100 kB."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("create extension if not exists pg_stat_statements")
        for i in range(count):
            table = f"t{1 + i % spread}"
            what = "coalesce(" + "name, " * (_LONG // 6) + "'')" if i < long else "id"
            connection.execute(
                f"select {what} from {table} where code = 'c1' and amount > {i}"
                f" and id in ({', '.join(['1'] * (1 + i // spread))})".encode()
            )


def main() -> None:
    """Generate what the arguments say."""
    dsn, count = sys.argv[1], int(sys.argv[2])
    begun = time.monotonic()
    tables(dsn, 1, count)
    if len(sys.argv) > 3:
        statements(dsn, int(sys.argv[3]))
    print(f"{count} tables in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
