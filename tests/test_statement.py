"""Texts as pg_stat_statements normalises them become texts that the server plans."""

import psycopg
import pytest

from pgwatch_wed.sqltext.repairs import with_casts
from pgwatch_wed.sqltext.statement import parse

NORMALISED = [
    ("select now() - $1 * interval $2", "select now() - $1 * $2::interval"),
    (
        "select 1 from t where at between timestamp with time zone $1 and timestamp(3) $2",
        "select 1 from t where at between $1::timestamp with time zone and $2::timestamp(3)",
    ),
    ("select date $1, x.y $2", "select $1::date, $2::x.y"),
    ("select interval $1 day", "select $1::interval day"),
    ('select "char" $1, numeric $2', 'select $1::"char", $2::numeric'),
    ("select extract($1 from at) from t", "select date_part($1, at) from t"),
    ("select EXTRACT( $1 FROM at ), id from t", "select date_part($1, at ), id from t"),
    ("select f(a), b from t limit $1", None),
    ("select a from t where b = $1 and c in ($2, $3)", None),
    ("select 'interval $1'", None),
    ("select a as interval from t where $1", None),
    ("select interval $1 $2 from", None),
]


@pytest.mark.parametrize(("text", "expected"), NORMALISED)
def test_what_stands_before_a_parameter_becomes_a_cast(text: str, expected: str | None) -> None:
    assert with_casts(text) == (expected or text)


@pytest.mark.all_versions
def test_the_server_itself_normalises_so_and_plans_what_we_make_of_it(every_db: str) -> None:
    asked = (
        "select count(*) from t where at > now() - interval '3 days' and d < date '2030-01-01'"
        " and extract(year from at) > 2000 and at < timestamptz '2030-01-01'"
    )
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create table t (at timestamptz, d date)")
        connection.execute(asked.encode())
        row = connection.execute(
            "select query from pg_stat_statements join pg_database on oid = dbid"
            " where datname = current_database() and query like 'select count(*) from t%'"
        ).fetchone()
        assert row is not None
        parsed = parse(row[0])
        connection.execute(f"prepare ours as {parsed.text}".encode())
        assert "interval $" not in parsed.text
