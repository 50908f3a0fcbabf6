"""Make a database of many tables, indexes and statements, in minutes.

``python -m tests.bench.scale.generate DSN TABLES [STATEMENTS]``
"""

import sys
import time

import psycopg

# Six indexes a table, one of them superfluous in every fiftieth; a foreign key on every other, a few rows
# so that ANALYZE has something to say.
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
        execute format('create index t%1$s_name_idx on t%1$s (%2$s)',
            i, case when i % 50 = 0 then 'parent_id, name' else 'name, parent_id' end);
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


_COLUMNS = ("id", "parent_id", "code", "name", "at", "amount")
_CONDITIONS = (
    "code = 'c{i}' and amount > {i}",
    "parent_id = {i} and amount < {i}",
    "at > '2020-01-01' and parent_id <> {i}",
    "lower(name) = 'n{i}' and amount > 0",
)


def statements(dsn: str, count: int, long: int = 200, spread: int = 500) -> None:
    """Run so many statements that pg_stat_statements tells apart, some of them of 100 kB.

    What tells them apart is what every version looks at: the table, the columns that are read, and
    the operators. Constants, names of output columns and lengths of lists are not.
    """
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("create extension if not exists pg_stat_statements")
        before = _entries(connection)
        for i in range(count):
            text = statement(i, i < long, spread)
            calls = 1 if i < long else 1 + 200 // (1 + i // 20)  # a few are called often
            connection.execute(";".join([text] * calls).encode())
        made = _entries(connection) - before
        if made != count:
            raise SystemExit(
                f"pg_stat_statements counts {made:,} of {count:,} statements: is its max too small, "
                "or does this version take some of them for the same?"
            )


def statement(i: int, is_long: bool, spread: int) -> str:
    """Return the text of a statement."""
    shape, place = divmod(i, spread)
    condition, columns = divmod(shape, 2 ** len(_COLUMNS) - 1)
    if condition >= len(_CONDITIONS):
        raise SystemExit(f"statement {i:,} is one too many for {spread} tables")
    what = [c for bit, c in enumerate(_COLUMNS) if columns + 1 & 1 << bit]
    if is_long:
        what = ["coalesce(" + "name, " * (_LONG // 6) + "'')"]
    where = _CONDITIONS[condition].format(i=i)
    return f"select {', '.join(what)} from t{1 + place} where {where}"


def _entries(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    row = connection.execute(
        "select count(*) from pg_stat_statements"
        " where dbid = (select oid from pg_database where datname = current_database())"
        " and query like 'select % from t% where %'"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


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
