"""Whose a statement is, told from its text."""

import re
import subprocess

import psycopg
import pytest
from psycopg.types import TypeInfo
from psycopg.types.enum import EnumInfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.servers import Server

TOOLS = [
    "select * from pg_stat_activity",
    "SELECT * FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE c.relnamespace = n.oid",
    "with x as (select * from pg_locks) select * from x join pg_stat_activity using (pid)",
    "select table_name from information_schema.tables where table_schema = $1",
    "SELECT NULL AS TABLE_CAT, n.nspname FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c",
    "select pg_database_size($1)",
    "SELECT pg_catalog.pg_is_in_recovery()",
    "select pg_wal_lsn_diff(pg_current_wal_lsn(), $1), current_setting($2)",
    "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a, pg_attrdef d WHERE $1",
    "SELECT $1::pg_catalog.regproc::pg_catalog.oid",
    "select * from public.pg_stat_statements order by total_exec_time desc limit $1",
    "SELECT * FROM get_table_stats() WHERE n_dead_tup > n_live_tup * $1",
    "SELECT * FROM index_usage_stats WHERE usage_status IN ($1, $2)",
    "select * from dba.get_slow_queries($1)",
    "SHOW TRANSACTION ISOLATION LEVEL",
    # cut off in the middle
    "select c.relname from pg_catalog.pg_class c join pg_catalog.pg_index i on i.indrelid = c.oid and (",
]
# The functions that are installed judge these otherwise until their next version.
PROGRAM_ONLY = [
    "PREPARE dumpFunc(pg_catalog.oid) AS SELECT p.prosrc FROM pg_catalog.pg_proc p WHERE p.oid = $1",
    "EXPLAIN SELECT * FROM pg_catalog.pg_class",
    "create or replace function public.get_cache_stats() returns table (kind text) as ?",
    'comment on function "dba".get_slow_queries(int, int) is ?',
    "grant execute on function public.get_table_stats() to pg_monitor",
    "drop view if exists dba.index_usage_stats",
]
PROGRAM_ONLY_WORK = [
    "create table mine as select * from get_table_stats()",
    "create view v as select 'get_table_stats' from orders",
]
WORK = [
    "select * from orders",
    "select * from pgbench_accounts where aid = $1",
    "select * from orders, pg_catalog.pg_class",
    "select * from orders where created_at > (select stats_reset from pg_stat_database limit $1)",
    "select pg_advisory_lock($1)",
    "select pg_sleep($1)",
    "select pg_notify($1, $2)",
    "select $1",
    "select trim($1), extract($2 from $3)",
    "select count(*), max($1)",
    "select my_report(pg_backend_pid())",
    "insert into size_log select now(), pg_database_size($1)",
    "insert into log select * from pg_stat_activity",
    "with pg_recent as (select * from orders) select * from pg_recent",
    "create table copy as select * from pg_class",
    "PREPARE a AS SELECT * FROM orders",
    "refresh materialized view totals",
    "select * from app.pg_orders where id = $1",
    "select * from orders where (",
]


@pytest.mark.parametrize("text", [*TOOLS, *PROGRAM_ONLY])
def test_what_reads_only_catalogs_is_a_tools(text: str) -> None:
    assert statement_text.is_monitoring(text)


@pytest.mark.parametrize("text", [*WORK, *PROGRAM_ONLY_WORK])
def test_what_reads_a_users_table_is_the_users(text: str) -> None:
    assert not statement_text.is_monitoring(text)


def test_what_psql_and_pg_dump_ask_is_monitoring(pg: Server, db: str) -> None:
    psql(
        db,
        "create extension pg_stat_statements; create table orders (id int primary key, note text);\n"
        "insert into orders select g, 'x' from generate_series(1, 10) g; analyze;\n"
        "select pg_stat_statements_reset();\n"
        "\\d orders\n\\d+\n\\di+\n\\l+\n\\dn+\n\\df\n\\dx+\n\\du\n\\dp\n\\sf pg_stat_statements_reset\n",
    )
    dump = [str(embedded.bindir() / "pg_dump"), "--schema-only", "-d", db]
    subprocess.run(dump, check=True, capture_output=True, timeout=60)
    texts = [s.text for s in collect(db, only=("statements",)).statements if s.text]
    asked = [t for t in texts if re.match(r"\s*(select|with)", t, re.IGNORECASE)]
    assert len(asked) > 25
    users = [t for t in asked if not (statement_text.is_monitoring(t) or statement_text.is_own(t))]
    # pg_dump fixes its search_path and looks at what a server can do
    assert [t for t in users if "set_config" not in t and "pg_stat_statements_reset" not in t] == []


def test_what_a_driver_asks_is_monitoring(db: str) -> None:
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create type mood as enum ('sad', 'ok')")
        TypeInfo.fetch(connection, "mood")
        EnumInfo.fetch(connection, "mood")
    statements = collect(db, only=("statements",)).statements
    asked = [s.text for s in statements if s.text and "pg_type" in s.text]
    assert asked
    assert all(statement_text.is_monitoring(text) for text in asked)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vacuum (analyze) orders", True),
        ("REINDEX TABLE CONCURRENTLY orders", True),
        ("create index concurrently on orders (id)", True),
        ("begin", True),
        ("set work_mem = $1", True),
        ("refresh materialized view totals", False),
        ("call nightly()", False),
        ("copy orders to stdout", False),
        ("select 1", False),
        ("vacuum (", False),
    ],
)
def test_maintenance_is_told_from_work(text: str, expected: bool) -> None:
    assert statement_text.is_maintenance(text) is expected


def test_relations_outside_the_servers_schemas_are_named() -> None:
    text = "with c as (select 1) select * from c, pg_orders, pg_catalog.pg_class, app.lines"
    assert statement_text.unqualified(text) == {"pg_orders", "lines"}
    assert statement_text.unqualified("select * from (") == frozenset()
