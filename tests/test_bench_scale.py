"""The scale benchmark measures what it says: its statements are as many to the server as they are to us."""

import psycopg
import pytest

from tests.bench.scale import generate


@pytest.mark.all_versions
def test_its_statements_are_distinct_on_every_version(every_db: str) -> None:
    generate.tables(every_db, 1, 4)
    with psycopg.connect(every_db, autocommit=True) as connection:
        # Entries of other tests are in the same shared memory; when it is full, some of ours are evicted.
        connection.execute("create extension pg_stat_statements")
        connection.execute("select pg_stat_statements_reset()")
    generate.statements(every_db, 1000, long=4, spread=4)  # or ends


def test_it_ends_where_statements_are_taken_for_the_same(
    every_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate.tables(every_db, 1, 4)
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
    monkeypatch.setattr(generate, "statement", lambda i, *_: f"select {i} as x from t1 where true")
    with pytest.raises(SystemExit, match="counts 1 of 10 statements"):
        generate.statements(every_db, 10)
