"""The installed functions and views: what they say, to whom, and that they wait for nobody."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import dict_row

from pgwatch_wed import assets, install, quote
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.postgres import statements
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.conftest import StartServer
from tests.installing import GUIDE, call, connect, rows, run
from tests.psql import psql
from tests.rules.waiting import eventually, reported
from tests.standby import catch_up, standby_of
from tests.test_migrations import database_in
from tests.test_statement_text import TOOLS, WORK

Row = dict[str, Any]

SHOP = """
    create extension if not exists pg_stat_statements;
    create table customers (id int primary key, email text, note text);
    create table orders (
        id int generated always as identity primary key,
        customer_id int references customers,
        other_id int references customers,
        total numeric, state text, placed int4range,
        exclude using gist (placed with &&));
    create unique index customers_email on customers (email);
    create index orders_customer on orders (customer_id);
    create index orders_open on orders (total) where state = 'open';
    create index orders_lower on orders (lower(state));
    create index orders_other on orders (other_id, total) where total > 5;
    cluster orders using orders_customer;
    insert into customers select i, 'c' || i,
        (select string_agg(md5(i || ' ' || j), '') from generate_series(1, 100) j)
        from generate_series(1, 500) i;
    insert into orders (customer_id, total, state)
        select 1 + i % 500, i, 'open' from generate_series(1, 2000) i;
    create table events (id int, day int, primary key (id, day)) partition by range (day);
    create table events_1 partition of events for values from (1) to (10);
    create table events_2 partition of events for values from (10) to (20);
    create index events_day on events (day);
    insert into events select i, 1 + i % 19 from generate_series(1, 200) i;
    create materialized view totals as select state, sum(total) from orders group by state;
    create unlogged table "Odd ""na""me" (a int);
"""


@pytest.fixture
def shop(every_db: str) -> str:
    """A database with a bit of everything and our objects."""
    run(every_db, *SHOP.split(";\n"))
    install.upgrade(every_db, "public")
    return every_db


@pytest.fixture
def own_shop(db: str) -> str:
    """The same on the default server alone."""
    run(db, *SHOP.split(";\n"))
    install.upgrade(db, "public")
    return db


# The guide.


@pytest.mark.all_versions
def test_every_call_of_the_guide_runs_as_written_in_psql(shop: str) -> None:
    for guide in GUIDE:
        assert psql(shop, guide)


def test_every_call_of_the_guide_runs_in_a_read_only_transaction(shop: str) -> None:
    with psycopg.connect(shop) as connection:
        connection.read_only = True
        for guide in GUIDE:
            connection.execute(guide.encode())


def test_every_column_is_documented(own_shop: str) -> None:
    outputs = """
        select p.proname, unnest(p.proargnames), obj_description(p.oid, 'pg_proc')
        from pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname ~ '^get_'"""
    for function, column, comment in rows(own_shop, outputs):
        assert comment
        named = re.findall(r"[\w*]+", comment)
        groups = [name for name in named if "*" in name]
        assert column in named or any(
            re.fullmatch(group.replace("*", r"\w+"), column) for group in groups
        ), (function, column)
    columns = """
        select c.relname, a.attname, col_description(c.oid, a.attnum)
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
            and c.relname in ('index_usage_stats', 'wedsync_performance_summary')"""
    described = rows(own_shop, columns)
    assert len(described) > 15
    assert [row for row in described if not row[2]] == []


def test_function_signatures_are_those_of_the_contract(own_shop: str) -> None:
    signature = "select pg_get_function_arguments('get_slow_queries'::regproc)"
    assert rows(own_shop, signature) == [
        ("threshold_ms double precision DEFAULT 100, max_rows integer DEFAULT 50",)
    ]
    summary = "select attname from pg_attribute where attrelid = 'wedsync_performance_summary'::regclass and attnum > 0 order by attnum"
    assert [name for (name,) in rows(own_shop, summary)] == [
        "metric",
        "value",
        "unit",
        "status",
        "detail",
    ]


# Tables.


def test_a_row_a_table_partition_and_materialized_view(shop: str) -> None:
    kinds = {t["relname"]: t["kind"] for t in table_stats(shop)}
    assert kinds == {
        "customers": "table",
        "orders": "table",
        'Odd "na"me': "table",
        "events": "partitioned table",
        "events_1": "partition",
        "events_2": "partition",
        "totals": "materialized view",
    }


def test_sizes_are_those_of_the_last_vacuum(shop: str) -> None:
    run(shop, "vacuum analyze")
    sizes = """
        select c.relname::text, pg_relation_size(c.oid),
            (select sum(pg_relation_size(i.indexrelid)) from pg_index i where i.indrelid = c.oid),
            coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) + coalesce((
                select sum(pg_relation_size(i.indexrelid)) from pg_index i
                where i.indrelid = c.reltoastrelid), 0)
        from pg_class c where c.relname in ('customers', 'orders', 'events_1')"""
    real = {name: rest for name, *rest in rows(shop, sizes)}
    for table in table_stats(shop):
        assert table["total_bytes"] >= 0
        if table["relname"] in real:
            heap, indexes, toast = real[table["relname"]]
            assert (table["heap_bytes"], table["index_bytes"]) == (heap, indexes)
            # nothing analyzes a TOAST table: its index may be larger than PostgreSQL knows
            assert table["toast_bytes"] == pytest.approx(float(toast), rel=0.03)
            parts = ("heap_bytes", "index_bytes", "toast_bytes")
            assert table["total_bytes"] == sum(table[part] for part in parts)
    customers = one(table_stats(shop), "customers")
    assert customers["toast_bytes"] > 0


@pytest.mark.pg(">= 14")
def test_a_size_that_was_never_measured_is_null(every_db: str) -> None:
    install.upgrade(every_db, "public")
    run(every_db, "create table fresh (a int)", "insert into fresh select 1")
    fresh = one(table_stats(every_db), "fresh")
    assert (fresh["heap_bytes"], fresh["total_bytes"]) == (None, None)


def test_counters_are_those_of_the_statistics_views(shop: str) -> None:
    run(shop, "delete from orders where id % 2 = 0", "update orders set total = total + 1")
    reported(shop)
    words = """
        n_live_tup n_dead_tup n_mod_since_analyze n_ins_since_vacuum seq_scan seq_tup_read idx_scan
        idx_tup_fetch n_tup_ins n_tup_upd n_tup_del n_tup_hot_upd last_vacuum last_autovacuum
        last_analyze last_autoanalyze vacuum_count autovacuum_count analyze_count
        autoanalyze_count"""
    joined = sql.SQL(", ").join(map(sql.Identifier, words.split()))
    with connect(shop) as c, c.cursor(row_factory=dict_row) as cursor:
        both = [
            cursor.execute(query.format(joined)).fetchall()
            for query in (
                sql.SQL(
                    "select {} from pg_stat_user_tables where relname not in ('events', 'pgwatch_wed_alembic_version') order by relname"
                ),
                sql.SQL(
                    "select {} from get_table_stats() where relname <> 'events' order by relname"
                ),
            )
        ]
    assert both[0] == both[1]
    orders = one(table_stats(shop), "orders")
    assert orders["n_dead_tup"] > 0
    dead = orders["n_dead_tup"] / (orders["n_live_tup"] + orders["n_dead_tup"])
    assert float(orders["dead_ratio"]) == pytest.approx(dead, abs=1e-4)
    hot = orders["n_tup_hot_upd"] / orders["n_tup_upd"]
    assert float(orders["hot_ratio"]) == pytest.approx(hot, abs=1e-4)


def test_the_distance_to_autovacuum_follows_settings_and_the_tables_own(every_db: str) -> None:
    install.upgrade(every_db, "public")
    run(
        every_db,
        "create table plain (a int) with (autovacuum_enabled = off)",
        "create table own (a int) with (autovacuum_vacuum_threshold = 7,"
        " autovacuum_vacuum_scale_factor = 0.5, autovacuum_analyze_threshold = 3,"
        " autovacuum_analyze_scale_factor = 0, autovacuum_vacuum_insert_threshold = -1,"
        " autovacuum_freeze_max_age = 100000)",
        "create table usual (a int)",
    )
    for name in ("plain", "own", "usual"):
        run(every_db, f"insert into {name} select generate_series(1, 1000)")
    reported(every_db)
    run(
        every_db,
        "vacuum analyze",
        *(f"delete from {n} where a <= 600" for n in ("plain", "own", "usual")),
    )
    reported(every_db)
    stats = table_stats(every_db)
    own = one(stats, "own")
    assert (own["vacuum_threshold"], own["vacuum_distance"]) == (507, -93)
    assert (own["analyze_threshold"], own["analyze_distance"]) == (3, -597)
    assert (own["insert_threshold"], own["insert_distance"]) == (None, None)
    assert own["autovacuum_due"] == "vacuum, analyze"
    assert 0 < own["freeze_distance"] <= 100000
    usual = one(stats, "usual")
    assert (usual["vacuum_threshold"], usual["vacuum_distance"]) == (250, -350)
    # 18 lets the share of frozen pages lower the insert trigger, and nothing is frozen here
    assert (usual["insert_threshold"], usual["insert_distance"]) == (1200, 1200)
    plain = one(stats, "plain")
    assert plain["autovacuum_enabled"] is False
    assert (plain["vacuum_threshold"], plain["autovacuum_due"]) == (None, None)
    assert plain["freeze_distance"] > 0


@pytest.mark.pg(">= 18")
def test_the_cap_on_the_vacuum_trigger_counts(every_db: str) -> None:
    install.upgrade(every_db, "public")
    run(
        every_db,
        "create table capped (a int) with (autovacuum_vacuum_max_threshold = 100)",
        "create table uncapped (a int) with (autovacuum_vacuum_max_threshold = -1)",
    )
    for name in ("capped", "uncapped"):
        run(every_db, f"insert into {name} select generate_series(1, 1000)", f"analyze {name}")
    stats = table_stats(every_db)
    assert one(stats, "capped")["vacuum_threshold"] == 100
    assert one(stats, "uncapped")["vacuum_threshold"] == 250


@pytest.mark.pg(">= 18")
def test_frozen_pages_lower_the_insert_trigger(every_db: str) -> None:
    install.upgrade(every_db, "public")
    run(
        every_db,
        "create table frozen (a int)",
        "insert into frozen select generate_series(1, 10000)",
        "vacuum (freeze, analyze) frozen",
    )
    assert one(table_stats(every_db), "frozen")["insert_threshold"] == 1000


@pytest.mark.pg(">= 19")
def test_postgresql_judges_the_same(every_db: str) -> None:
    install.upgrade(every_db, "public")
    run(
        every_db,
        "create table dead (a int) with (autovacuum_vacuum_threshold = 5, autovacuum_vacuum_scale_factor = 0)",
        "create table inserted (a int) with (autovacuum_vacuum_insert_scale_factor = 0.1)",
        "create table changed (a int) with (autovacuum_analyze_scale_factor = 0.01)",
        "create table quiet (a int)",
        "create table off (a int) with (autovacuum_enabled = off)",
    )
    for name in ("dead", "inserted", "changed", "quiet", "off"):
        run(every_db, f"insert into {name} select generate_series(1, 900)")
    reported(every_db)
    run(every_db, "vacuum analyze", "delete from dead where a < 8", "delete from off")
    run(
        every_db,
        "insert into inserted select generate_series(1, 1200)",
        "delete from changed where a < 90",
    )
    reported(every_db)
    scores = """
        select relname::text, do_vacuum, do_analyze, vacuum_score, vacuum_insert_score
        from pg_stat_autovacuum_scores where schemaname = 'public' and relname <> 'pgwatch_wed_alembic_version'"""
    ours = {t["relname"]: t for t in table_stats(every_db)}
    seen = set()
    for name, do_vacuum, do_analyze, vacuum, insert in rows(every_db, scores):
        due = ours[name]["autovacuum_due"] or ""
        assert ("vacuum" in due, "analyze" in due) == (do_vacuum, do_analyze), name
        seen.add((do_vacuum, do_analyze))
        if ours[name]["autovacuum_enabled"]:
            pairs = (("n_dead_tup", "vacuum", vacuum), ("n_ins_since_vacuum", "insert", insert))
            for count, kind, score in pairs:
                ratio = ours[name][count] / ours[name][f"{kind}_threshold"]
                assert ratio == pytest.approx(score, rel=0.02), (name, kind)
    assert len(seen) >= 3


def test_autovacuum_does_what_is_said_to_be_due(start_pg: StartServer) -> None:
    server = start_pg({"autovacuum": "off", "autovacuum_naptime": "3s"})
    with server.database() as dsn:
        install.upgrade(dsn, "public")
        for name, dead in (("due", 251), ("not_due", 250)):
            run(
                dsn,
                f"create table {name} (a int) with (autovacuum_analyze_threshold = 100000)",
                f"insert into {name} select generate_series(1, 1000)",
            )
            reported(dsn)
            run(dsn, f"vacuum analyze {name}", f"delete from {name} where a <= {dead}")
        reported(dsn)
        assert server.local
        server.local.restart({"autovacuum": "on", "autovacuum_naptime": "3s"})
        stats = table_stats(dsn)
        assert one(stats, "due")["vacuum_distance"] == -1
        assert one(stats, "not_due")["vacuum_distance"] == 0
        counts = "select relname::text, autovacuum_count from pg_stat_user_tables order by relname"
        wait_for(lambda: dict(rows(dsn, counts))["due"] == 1, seconds=40)
        assert dict(rows(dsn, counts))["not_due"] == 0


# Indexes.


def test_flags_of_indexes(shop: str) -> None:
    stats = index_stats(shop)
    flags = {
        name: {k for k, v in row.items() if v is True} - {"is_valid", "is_ready", "table_is_used"}
        for name, row in stats.items()
    }
    assert flags["customers_pkey"] == {"is_unique", "is_primary", "is_replica_identity"}
    assert flags["customers_email"] == {"is_unique"}
    assert flags["orders_placed_excl"] == {"is_exclusion"}
    assert flags["orders_customer"] == {"is_clustered", "supports_foreign_key"}
    assert flags["orders_open"] == {"is_partial"}
    assert flags["orders_lower"] == {"is_expression"}
    assert flags["orders_other"] == {"is_partial"}
    assert flags["events_day"] == {"is_partitioned"}
    assert flags["events_1_day_idx"] == set()
    assert stats["events_1_day_idx"]["parent_index"] == "public.events_day"
    assert stats["orders_placed_excl"]["constraint_name"] == "orders_placed_excl"
    assert stats["customers_email"]["constraint_name"] is None
    assert stats["orders_placed_excl"]["access_method"] == "gist"
    assert all(row["is_valid"] and row["is_ready"] for row in stats.values())


def test_replica_identity_is_that_of_the_table(shop: str) -> None:
    run(
        shop,
        "alter table customers alter email set not null",
        "alter table customers replica identity using index customers_email",
    )
    stats = index_stats(shop)
    assert stats["customers_email"]["is_replica_identity"]
    assert not stats["customers_pkey"]["is_replica_identity"]


def test_definitions_are_postgresqls_own(shop: str) -> None:
    real = dict(
        rows(
            shop,
            "select indexname::text, indexdef from pg_indexes"
            " where schemaname = 'public' and tablename <> 'pgwatch_wed_alembic_version'",
        )
    )
    assert {name: row["definition"] for name, row in index_stats(shop).items()} == real


def test_an_index_that_could_not_be_built_is_not_valid(shop: str) -> None:
    run(shop, "create table doubled as select 1 as a from generate_series(1, 2)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(shop, "create unique index concurrently doubled_a on doubled (a)")
    assert index_stats(shop)["doubled_a"]["is_valid"] is False
    summary = {m["metric"]: m for m in summary_of(shop)}
    assert (summary["invalid_indexes"]["value"], summary["invalid_indexes"]["status"]) == (
        1,
        "warning",
    )
    assert "public.doubled_a" in summary["invalid_indexes"]["detail"]
    (usage,) = [u for u in usage_of(shop) if u["indexrelname"] == "doubled_a"]
    assert usage["reason"].endswith("; invalid")


def test_the_index_of_a_partitioned_table_sums_its_partitions(shop: str) -> None:
    with connect(shop) as c:
        c.execute("set enable_seqscan = off")
        c.execute("set enable_bitmapscan = off")
        for day in (3, 4, 15):
            c.execute("select count(*) from events where day = %s", [day])
    reported(shop)
    stats = index_stats(shop)
    parts = [stats["events_1_day_idx"], stats["events_2_day_idx"]]
    assert [p["idx_scan"] for p in parts] == [2, 1]
    for column in ("idx_scan", "idx_tup_read", "table_writes", "size_bytes", "idx_blks_hit"):
        assert stats["events_day"][column] == sum(p[column] for p in parts), column


@pytest.mark.pg(">= 16")
def test_the_last_use_is_told(shop: str) -> None:
    with connect(shop) as c:
        c.execute("set enable_seqscan = off")
        c.execute("select * from orders where customer_id = 1")
    reported(shop)
    stats = index_stats(shop)
    assert stats["orders_customer"]["last_idx_scan"] is not None
    assert stats["orders_lower"]["last_idx_scan"] is None


# Use of indexes.


def test_young_counters_are_too_early_and_constraints_never_candidates(shop: str) -> None:
    usage = {u["indexrelname"]: u for u in usage_of(shop)}
    by_status: dict[str, set[str]] = {}
    for name, row in usage.items():
        by_status.setdefault(row["usage_status"], set()).add(name)
    assert by_status["CONSTRAINT"] >= {
        "customers_pkey",
        "customers_email",
        "orders_placed_excl",
        "events_pkey",
        "events_1_pkey",
        "events_1_day_idx",
    }
    assert by_status["TOO_EARLY"] >= {"orders_lower", "orders_open", "events_day"}
    assert not by_status.keys() & {"UNUSED", "RARELY_USED"}
    assert usage["orders_lower"]["reason"] == "counters cover 0.0 of 30.0 days"
    assert usage["events_1_day_idx"]["reason"] == "part of public.events_day and evaluated with it"
    assert rows(shop, GUIDE[3]) == []


def test_with_a_window_that_the_counters_cover(shop: str) -> None:
    with connect(shop) as c:
        c.execute("set enable_seqscan = off")
        c.execute("select * from orders where customer_id = 1")
        for _ in range(3):
            c.execute("select * from events where day = 3")
        for _ in range(40):
            c.execute("select * from orders where lower(state) = 'gone'")
    reported(shop)
    time.sleep(0.1)
    with connect(shop) as c:
        c.execute("set pgwatch_wed.unused_window = '10 milliseconds'")
        query = "select indexrelname::text, usage_status, reason from index_usage_stats"
        usage = {name: rest for name, *rest in c.execute(query).fetchall()}
    assert usage["orders_open"] == ["UNUSED", "no scan within the window"]
    assert usage["orders_lower"][0] in ("USED", "RARELY_USED")
    assert usage["customers_email"] == ["CONSTRAINT", "unique index"]
    assert usage["events_1_day_idx"][0] == "CONSTRAINT"
    assert usage["orders_other"][0] == "UNUSED"


def test_statuses_follow_scans_and_age(own_shop: str) -> None:
    """The view's arithmetic, on the ages and scans of a function that stands in for the counters."""
    names = rows(
        own_shop,
        "select unnest(proargnames), unnest(proallargtypes)::regtype::text from pg_proc where proname = 'get_index_stats'",
    )
    body = """
        select {} from (values
            ('never, old', 0, 40, null, 40), ('never, young', 0, 3, null, 3), ('daily', 41, 40, 1, 40),
            ('weekly', 6, 40, 1, 40), ('busy, young', 5000, 3, 0, 3), ('once, young', 1, 3, 1, 3),
            ('long ago', 9000, 400, 90, 400), ('age unknown', 0, null, null, null),
            ('an hour old', 0, 40, null, 0), ('of unknown age', 0, 40, null, null),
            ('table at rest', 0, 40, null, 40)
        ) v (name, scans, days, last, proven)"""
    values = {
        "indexrelname": "v.name::name",
        "idx_scan": "v.scans::bigint",
        "counters_since": "now() - make_interval(days => v.days)",
        "proven_since": "now() - make_interval(days => v.proven)",
        "table_is_used": "v.name <> 'table at rest'",
        "last_idx_scan": "now() - make_interval(days => v.last)",
        "size_bytes": "8192::bigint",
        "is_valid": "true",
    }
    columns = ", ".join(
        values.get(name, "false" if kind == "boolean" else f"null::{kind}") for name, kind in names
    )
    with psycopg.connect(own_shop) as c:
        c.execute(
            sql.SQL(
                "create or replace function get_index_stats() returns table ({}) language sql as {}"
            ).format(
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(k)) for n, k in names
                ),
                sql.Literal(body.format(columns)),
            )
        )
        found: dict[str, str] = dict(
            c.execute("select indexrelname::text, usage_status from index_usage_stats").fetchall()
        )
        assert found == {
            "never, old": "UNUSED",
            "never, young": "TOO_EARLY",
            "daily": "USED",
            "weekly": "RARELY_USED",
            "busy, young": "USED",
            "once, young": "TOO_EARLY",
            "long ago": "RARELY_USED",
            "age unknown": "TOO_EARLY",
            "an hour old": "TOO_EARLY",
            "of unknown age": "TOO_EARLY",
            "table at rest": "TOO_EARLY",
        }
        c.execute("set pgwatch_wed.unused_window = '2 days'")
        found = dict(
            c.execute("select indexrelname::text, usage_status from index_usage_stats").fetchall()
        )
        assert found["never, young"] == "UNUSED"
        assert found["once, young"] == "RARELY_USED"
        assert found["age unknown"] == "TOO_EARLY"


def test_a_clean_restart_keeps_the_age_of_counters_and_a_crash_ends_it(
    start_pg: StartServer,
) -> None:
    server = start_pg()
    assert server.local
    with server.database() as dsn:
        install.upgrade(dsn, "public")
        run(dsn, "create table a (b int primary key)")
        first = since(dsn)
        time.sleep(0.2)
        server.local.restart()
        assert since(dsn) == first
        (started,) = rows(dsn, "select pg_postmaster_start_time()")[0]
        assert first < started
        server.local.halt("immediate")
        server.local.boot()
        (started,) = rows(dsn, "select pg_postmaster_start_time()")[0]
        assert since(dsn) >= started
        run(dsn, "select pg_stat_reset()")
        assert since(dsn) > started
        run(dsn, "select pg_stat_reset_shared('bgwriter')")
        assert since(dsn) < rows(dsn, "select stats_reset from pg_stat_bgwriter")[0][0]


def test_counters_are_no_older_than_the_database(start_pg: StartServer) -> None:
    server = start_pg()
    time.sleep(2)
    with server.database() as dsn:
        install.upgrade(dsn, "public")
        run(dsn, "create table a (b int primary key)")
        (of_server,) = rows(dsn, "select counters_since from get_cache_stats() limit 1")[0]
        assert (since(dsn) - of_server).total_seconds() > 1


def test_counters_are_no_older_than_the_index_where_the_server_remembers(
    start_pg: StartServer,
) -> None:
    server = start_pg({"track_commit_timestamp": "on"})
    with server.database() as dsn:
        install.upgrade(dsn, "public")
        run(dsn, "create table a (b int primary key)")
        time.sleep(0.5)
        (now,) = rows(dsn, "select clock_timestamp()")[0]
        run(dsn, "create index later on a (b)")
        stats = index_stats(dsn)
        assert stats["a_pkey"]["counters_since"] < now < stats["later"]["counters_since"]


# Statements.


def test_slow_queries_are_those_at_or_above_the_threshold(shop: str) -> None:
    run(shop, "select pg_sleep(0.15)", "select 1 as quick")
    found = slow(shop, "100")
    assert [q["query"] for q in found if "pg_sleep" in q["query"]] == ["select pg_sleep($1)"]
    assert all(q["mean_exec_time"] >= 100 for q in found)
    means = [q["mean_exec_time"] for q in slow(shop, "0, null")]
    assert means == sorted(means, reverse=True)
    assert len(slow(shop, "0, 3")) == 3
    assert slow(shop, "threshold_ms => 1e9") == []
    defaults = [{q["query"] for q in slow(shop, given)} for given in ("", "100, 50", "null")]
    assert defaults == [{q["query"] for q in found}] * 3
    wide = [(q["calls"], round(q["mean_exec_time"], 1)) for q in all_columns(shop, "100")]
    assert wide == [(q["calls"], float(q["mean_exec_time"])) for q in found]
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="must not be negative"):
        slow(shop, "0, -1")


@pytest.mark.all_versions
def test_statements_have_the_newest_columns_whatever_the_version(every_db: str) -> None:
    versions = [
        v
        for (v,) in rows(
            every_db,
            "select version from pg_available_extension_versions where name = 'pg_stat_statements'",
        )
    ]
    install.upgrade(every_db, "public")
    columns = set()
    for version in versions:
        run(
            every_db,
            "drop extension if exists pg_stat_statements",
            f"create extension pg_stat_statements version '{version}'",
            "select pg_sleep(0.11)",
        )
        found = [q for q in all_columns(every_db, "100") if "pg_sleep" in q["query"]]
        assert found, version
        columns.add(tuple(found[0]))
        assert [q for q in slow(every_db, "100") if "pg_sleep" in q["query"]], version
        for column in ("calls", "total_exec_time", "max_exec_time", "shared_blks_hit", "queryid"):
            assert found[0][column] is not None, (version, column)
        real = dict(
            rows(
                every_db,
                "select a.attname::text, true from pg_attribute a where a.attrelid = 'pg_stat_statements'::regclass and a.attnum > 0",
            )
        )
        for column, value in found[0].items():
            if column in real:
                assert value is not None, (version, column)
    assert len(columns) == 1


def test_all_columns_of_the_newest_extension_are_there(shop: str) -> None:
    missing = """
        select a.attname::text from pg_attribute a
        where a.attrelid = 'pg_stat_statements'::regclass and a.attnum > 0
            and a.attname not in ('userid', 'dbid')
        except
        select unnest(p.proargnames) from pg_proc p where p.proname = 'get_statement_stats'
        order by 1"""
    renamed = {"blk_read_time", "blk_write_time"}
    assert {name for (name,) in rows(shop, missing)} <= renamed


def test_slow_queries_leave_out_monitors_and_ourselves(shop: str) -> None:
    run(
        shop,
        *GUIDE,
        "select pg_sleep(0.001) from pg_stat_activity limit 1",
        "select 'app', count(*) from orders",
    )
    texts = [q["query"] for q in all_columns(shop, "0, null")]
    assert any("from orders" in text for text in texts)
    assert len(slow(shop, "0, null")) == len(texts)
    assert [t for t in texts if "pg_stat_activity" in t or "get_table_stats" in t] == []
    assert [t for t in texts if "pgwatch_wed" in t] == []


def test_slow_queries_fit_into_a_terminal_of_100_columns(shop: str) -> None:
    long = f"select /* a comment */ pg_sleep(0.15),\n\n    '{'x' * 99}' as {'y' * 50}"
    run(shop, long, "select count(*) from generate_series(1, 400000) as t (a_long_name)")
    said = psql(shop, "\\pset pager off\nselect * from get_slow_queries(1)").splitlines()
    assert max(map(len, said)) <= 100
    header, text = said[0], next(line for line in said if "pg_sleep" in line)
    assert header.replace("|", " ").split() == [
        *("calls", "mean_exec_time", "total_exec_time", "rows", "query")
    ]
    assert re.fullmatch(
        r" +1 \| +\d+\.\d \| +\d+\.\d \| +1 \| select pg_sleep\(\$1\), \$2 as y+\.\.\. *", text
    )


PSQL = r"""\d \d+ \dt+ \di+ \dv \df+ \l+ \du+ \dp \dx+ \dn+ \dT+ \do \dC \dD \ddp \det \dL \dRp \db+ \dy \dP \dX \dm+ \ds+"""


def test_the_rules_leave_out_the_same_statements(every_pg: servers.Server, shop: str) -> None:
    commands = [*PSQL.split(), "\\d+ orders", "\\d events", "\\d+ totals", "\\sf get_lock_stats"]
    psql(shop, "\n".join(commands))
    if every_pg.version <= servers.embedded_spec().major:  # as new as our pg_dump
        dump_schema(shop)
    run(
        shop,
        "create table pg_app (a int)",
        "select sum(length(note)) from customers c join orders o on o.customer_id = c.id",
        "select a from pg_app",
        "with pg_recent as (select * from orders) select count(*) from pg_recent",
        "with r as (select * from pg_stat_activity) select count(*) from r join pg_locks using (pid)",
        "select extract(epoch from stats_reset) from pg_stat_database where datname is distinct from 'a'",
    )
    listed = (q["query"] for q in all_columns(shop, "0, null") if q["toplevel"] is not False)
    # the rules remove literals from the texts of utility commands
    ours = {text for text in listed if not statement_text.is_utility(text)}
    assert ours == {s.text for s in statements.queries(collect(shop))}
    assert any("pg_app" in text for text in ours)
    assert not any(text.startswith("SELECT") for text in ours)


def test_all_copies_of_the_condition_judge_texts_like_the_rules(db: str) -> None:
    files = ("get_statement_stats.v1", "get_slow_queries.v2", "get_server_stats.v2")
    pattern = re.compile(r"^ +-- Left out: .*?\)\)\)\)$", re.MULTILINE | re.DOTALL)
    copies = {
        match[0]
        for name in files
        for match in [pattern.search(assets.text("sql", "install", f"{name}.sql"))]
        if match
    }
    (condition,) = copies
    query = f"select exists (select from (select %s::text as query) s where true {condition})"
    run(db, "create schema app", "create table app.pg_orders (id int)")
    for text in (*TOOLS, *WORK):
        (is_users,) = rows(db, query.replace("%s", quote.literal(text)))[0]
        assert is_users is (text in WORK), text


def test_tools_do_not_make_the_summary_slow(shop: str) -> None:
    run(
        shop,
        "select pg_stat_statements_reset()",
        "select count(*) from pg_class where pg_sleep(0.2) is not null and oid = 'orders'::regclass",
        "select count(*) from orders",
    )
    summary = {m["metric"]: m for m in summary_of(shop)}
    assert (summary["slow_queries"]["value"], summary["slow_queries"]["status"]) == (0, "ok")
    assert summary["mean_query_time"]["status"] == "ok"
    run(shop, "select count(*) from orders where pg_sleep(0.2) is not null and id = 1")
    assert status(shop, "slow_queries") == "info"


def test_statements_of_other_databases_are_not_ours(
    every_pg: servers.Server, every_db: str
) -> None:
    run(every_db, "create extension pg_stat_statements")
    install.upgrade(every_db, "public")
    with every_pg.database() as other:
        run(other, "select pg_sleep(0.12), 'elsewhere' as here_is_another_database")
    assert [q for q in slow(every_db, "0, null") if "another_database" in q["query"]] == []


@pytest.mark.parametrize("schema", ["extensions", 'Hostile "schema" %s'])
def test_the_extension_may_be_in_any_schema(every_db: str, schema: str) -> None:
    name = sql.Identifier(schema)
    run(
        every_db,
        sql.SQL("create schema {}").format(name),
        sql.SQL("create extension pg_stat_statements schema {}").format(name),
        "select pg_sleep(0.12)",
    )
    install.upgrade(every_db, "public")
    assert [q for q in slow(every_db, "100") if "pg_sleep" in q["query"]]
    assert status(every_db, "slow_queries") == "info"


def test_without_the_extension_one_clear_error_says_how_to_get_it(every_db: str) -> None:
    install.upgrade(every_db, "public")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as said:
        slow(every_db, "100")
    assert said.value.diag.message_primary
    assert "needs the extension pg_stat_statements" in said.value.diag.message_primary
    assert "CREATE EXTENSION pg_stat_statements" in (said.value.diag.message_hint or "")
    summary = {m["metric"]: m for m in summary_of(every_db)}
    assert summary["slow_queries"]["status"] == "unknown"
    assert "CREATE EXTENSION pg_stat_statements" in summary["slow_queries"]["detail"]


def test_an_extension_that_is_not_preloaded_is_told_so(
    start_pg: StartServer, every_pg: servers.Server
) -> None:
    server = start_pg({"shared_preload_libraries": ""}, every_pg.spec)
    with server.database() as dsn:
        run(dsn, "create extension pg_stat_statements")
        install.upgrade(dsn, "public")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as said:
            slow(dsn, "100")
        assert "shared_preload_libraries" in (said.value.diag.message_hint or "")
        assert status(dsn, "slow_queries") == "unknown"
        assert status(dsn, "mean_query_time") == "unknown"


def test_bytes_that_this_encoding_cannot_hold_cost_the_texts_not_the_numbers(
    every_pg: servers.Server, shop: str
) -> None:
    run(shop, "select pg_sleep(0.12)")
    with database_in(every_pg, "SQL_ASCII") as other, psycopg.connect(other) as c:
        c.execute("set client_encoding to sql_ascii")
        c.execute(b'select 1 as "\xe9t\xe9"')
    try:
        found = slow(shop, "100")
        assert found
        assert {q["query"] for q in found} == {"(not valid in this encoding)"}
        assert {q["query"] for q in all_columns(shop, "100")} == {
            "(texts cannot be read: one of them is not valid in this database's encoding)"
        }
        assert "encoding" in {m["metric"]: m for m in summary_of(shop)}["slow_queries"]["detail"]
    finally:
        run(shop, "select pg_stat_statements_reset()")


# Cache.


def test_cache_ratios_stand_on_blocks(shop: str) -> None:
    run(shop, "select count(*) from orders", "select sum(length(note)) from customers")
    reported(shop)
    cache = {c["kind"]: c for c in read(shop, "get_cache_stats()")}
    assert list(cache) == ["heap", "index", "toast", "database"]
    for row in cache.values():
        total = row["blks_hit"] + row["blks_read"]
        assert total > 0
        assert float(row["hit_ratio"]) == pytest.approx(row["blks_hit"] / total, abs=1e-4)
        assert row["read_bytes"] == row["blks_read"] * 8192
        assert row["counters_since"] is not None
    parts = sum(cache[k]["blks_hit"] for k in ("heap", "index", "toast"))
    assert cache["database"]["blks_hit"] >= parts
    real = """
        select sum(heap_blks_hit), sum(idx_blks_hit), sum(coalesce(toast_blks_hit, 0) + coalesce(tidx_blks_hit, 0))
        from pg_statio_user_tables"""
    assert [cache[k]["blks_hit"] for k in ("heap", "index", "toast")] == list(rows(shop, real)[0])


# Locks.


def test_nobody_waits(shop: str) -> None:
    assert read(shop, "get_lock_stats()") == []
    assert status(shop, "blocked_sessions") == "ok"


def test_the_tree_of_who_waits_for_whom(shop: str) -> None:
    with psycopg.connect(shop, application_name="root") as root:
        root.execute("update orders set total = 0 where id = 1")
        with (
            waiting(shop, "update orders set total = 1 where id = 1") as first,
            waiting(shop, "update orders set total = 2 where id = 1") as second,
            waiting(shop, "alter table orders add column more int") as ddl,
            waiting(shop, "select from orders limit 1") as reader,
        ):
            found = {row["pid"]: row for row in read(shop, "get_lock_stats()")}
            pid = root.info.backend_pid
            assert set(found) == {pid, first, second, ddl, reader}
            assert {row["root_pid"] for row in found.values()} == {pid}
            depths = {p: row["depth"] for p, row in found.items()}
            assert depths == {pid: 0, first: 1, second: 2, ddl: 1, reader: 2}
            assert found[pid]["state"] == "idle in transaction"
            assert found[pid]["application_name"] == "root"
            assert found[pid]["blocked_by"] == []
            assert found[first]["relation"] == "public.orders"
            assert (found[first]["locktype"], found[first]["mode"]) == (
                "transactionid",
                "ShareLock",
            )
            assert (found[ddl]["mode"], found[reader]["mode"]) == (
                "AccessExclusiveLock",
                "AccessShareLock",
            )
            assert found[reader]["blocked_by"] == [ddl]
            assert found[reader]["blocking_query"] == "alter table orders add column more int"
            assert found[first]["blocking_query"] == "update orders set total = 0 where id = 1"
            assert found[first]["query"] == "update orders set total = 1 where id = 1"
            assert all(row["waited"].total_seconds() > 0 for p, row in found.items() if p != pid)
            trees = [row["tree"] for row in read(shop, "get_lock_stats()")]
            assert trees[0] == str(pid)
            assert f"    {reader}" in trees
            assert trees.index(f"    {reader}") == trees.index(f"  {ddl}") + 1
            blocked = {m["metric"]: m for m in summary_of(shop)}["blocked_sessions"]
            assert blocked["value"] == 4
            assert f"root blockers: pid {pid};" in blocked["detail"]
            root.rollback()


def test_a_prepared_transaction_is_named(shop: str) -> None:
    run(
        shop,
        "begin; update orders set total = 0 where id = 1; prepare transaction 'forgotten'",
        "begin; update orders set total = 0 where id = 2; prepare transaction 'harmless'",
    )
    try:
        with waiting(shop, "update orders set total = 1 where id = 1") as waiter:
            found = {row["pid"]: row for row in read(shop, "get_lock_stats()")}
            assert found[0]["query"] == "prepared: forgotten"
            assert found[0]["state"] == "prepared transaction"
            assert found[waiter]["blocking_query"] == "prepared: forgotten"
            assert found[waiter]["root_pid"] == 0
            run(shop, "rollback prepared 'forgotten'")
    finally:
        prepared = rows(
            shop, "select gid from pg_prepared_xacts where database = current_database()"
        )
        for (gid,) in prepared:
            run(shop, sql.SQL("rollback prepared {}").format(sql.Literal(gid)))


def test_sessions_that_wait_in_a_circle_are_shown(shop: str) -> None:
    with psycopg.connect(shop) as one_, psycopg.connect(shop) as two:
        for session, row in ((one_, 1), (two, 2)):
            session.execute("set deadlock_timeout = '1min'")
            session.execute("update orders set total = 0 where id = %s", [row])
        threads = [
            threading.Thread(target=quietly, args=(session, row))
            for session, row in ((one_, 2), (two, 1))
        ]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: len(read(shop, "get_lock_stats()")) == 2)
            found = read(shop, "get_lock_stats()")
            pids = sorted([one_.info.backend_pid, two.info.backend_pid])
            assert [row["pid"] for row in found] == pids
            assert [row["depth"] for row in found] == [0, 1]
            assert [row["blocked_by"] for row in found] == [[pids[1]], [pids[0]]]
            assert {row["root_pid"] for row in found} == {pids[0]}
        finally:
            one_.cancel()
            for thread in threads:
                thread.join(20)


def test_a_long_queue_is_told_promptly(own_shop: str) -> None:
    with psycopg.connect(own_shop) as root:
        root.execute("lock table orders in access exclusive mode")
        threads = [
            threading.Thread(target=ignore, args=(own_shop, "lock table orders in exclusive mode"))
            for _ in range(60)
        ]
        for thread in threads:
            thread.start()
        try:
            count = "select count(*) from pg_locks where not granted"
            wait_for(lambda: rows(own_shop, count)[0][0] == 60)
            began = time.monotonic()
            found = read(own_shop, "get_lock_stats()")
            assert time.monotonic() - began < 5
            assert len(found) == 61
        finally:
            root.rollback()
            for thread in threads:
                thread.join(60)


def test_thousands_of_prepared_transactions_are_told_promptly(start_pg: StartServer) -> None:
    """The first version took 100 seconds for 5,000: they were joined, each with each."""
    prepared, waiters = 3000, 40
    server = start_pg({"max_prepared_transactions": str(prepared)})
    with server.database() as dsn, connect(dsn) as c:
        install.upgrade(dsn, "public")
        c.execute("create table busy as select generate_series(1, 3000) as id")
        c.execute("create index on busy (id)")
        for n in range(1, prepared + 1):
            for step in ("begin", "delete from busy where id = %d", "prepare transaction 'p%d'"):
                c.execute((step % n if "%" in step else step).encode())
        statement = "lock table busy in exclusive mode"
        threads = [threading.Thread(target=ignore, args=(dsn, statement)) for _ in range(waiters)]
        for thread in threads:
            thread.start()
        try:
            count = "select count(*) from pg_locks where not granted"
            wait_for(lambda: rows(dsn, count)[0][0] == waiters)
            began = time.monotonic()
            found = read(dsn, "get_lock_stats()")
            assert time.monotonic() - began < 5
        finally:
            for n in range(1, prepared + 1):
                c.execute(f"rollback prepared 'p{n}'".encode())
            for thread in threads:
                thread.join(60)
        assert len(found) == waiters + 1
        assert found[0]["query"] == "prepared: p1, p2, p3, p4, p5 and 2995 more"
        assert found[1]["blocking_query"] == found[0]["query"]


# Nobody is waited for.


def test_no_call_waits_for_a_lock(shop: str) -> None:
    run(shop, "analyze")
    with psycopg.connect(shop) as owner, psycopg.connect(shop) as user:
        owner.execute("lock table customers in access exclusive mode")
        user.execute("select from orders")
        user.execute("select from events")
        with (
            waiting(shop, "alter table orders add column more int"),
            waiting(shop, "alter table events_1 add column more int", fails=True),
            waiting(shop, "drop index events_day"),
        ):
            for each in install.OBJECTS:
                began = time.monotonic()
                with connect(shop) as c:
                    c.execute("set statement_timeout = '5s'")
                    c.execute(call("public", each))
                assert time.monotonic() - began < 4, each.name
            stats = index_stats(shop)
            assert stats["orders_lower"]["definition"] is None
            assert stats["customers_pkey"]["definition"] is None
            assert stats["customers_pkey"]["is_primary"]
            assert stats["orders_lower"]["size_bytes"] > 0
            held = "select count(*) from pg_locks where pid = pg_backend_pid() and relation = 'events_2'::regclass"
            with psycopg.connect(shop) as c:
                c.execute("select * from get_index_stats()")
                assert c.execute(held.encode()).fetchone() == (0,)
            user.rollback()
            owner.rollback()


def test_a_lock_that_comes_while_we_look_costs_definitions_only(own_shop: str) -> None:
    """The time limit on locks: a session that lies about its lock cannot be left out beforehand."""
    run(
        own_shop,
        "create schema lies",
        "create view lies.pg_locks as select * from pg_catalog.pg_locks where false",
    )
    source = rows(own_shop, "select pg_get_functiondef('get_index_stats'::regproc)")[0][0]
    run(own_shop, source.replace("from pg_locks l", "from lies.pg_locks l"))
    with psycopg.connect(own_shop) as owner:
        owner.execute("lock table customers in access exclusive mode")
        began = time.monotonic()
        stats = index_stats(own_shop)
        assert 0.2 < time.monotonic() - began < 5
        owner.rollback()
    assert stats["customers_pkey"]["definition"] is None
    assert stats["orders_lower"]["is_expression"]


# Privileges.


def test_a_role_with_only_pg_monitor_can_call_everything(
    every_pg: servers.Server, shop: str
) -> None:
    run(shop, "select pg_sleep(0.12)")
    with every_pg.role("pg_monitor") as reader:
        theirs = conninfo.make_conninfo(shop, user=reader, password=every_pg.password)
        for guide in GUIDE:
            psql(theirs, guide)
        for each in install.OBJECTS:
            with connect(theirs) as c:
                c.execute(call("public", each))
        assert [q for q in slow(theirs, "100") if "pg_sleep" in q["query"]]
        blind = {m["metric"] for m in summary_of(theirs) if m["status"] == "unknown"}
        # the age of the database and the planner's statistics are seen only with more privileges
        blind -= {"tables_with_dead_tuples", "autovacuum_overdue"}
        blind -= {"never_analyzed", "outdated_statistics"}
        assert blind <= {m["metric"] for m in summary_of(shop) if m["status"] == "unknown"}
        assert index_stats(theirs).keys() == index_stats(shop).keys()


def test_a_role_with_nothing_gets_permission_denied_not_numbers(
    every_pg: servers.Server, shop: str
) -> None:
    with every_pg.role() as nobody:
        theirs = conninfo.make_conninfo(shop, user=nobody, password=every_pg.password)
        for each in install.OBJECTS:
            with connect(theirs) as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
                c.execute(call("public", each))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(theirs, f"select * from public.{install.VERSION_TABLE}")


def test_a_role_that_sees_no_other_session_is_told_so(
    every_pg: servers.Server, every_db: str
) -> None:
    with every_pg.role() as owner:
        run(
            every_db,
            sql.SQL("grant create, usage on schema public to {}").format(sql.Identifier(owner)),
        )
        theirs = conninfo.make_conninfo(every_db, user=owner, password=every_pg.password)
        install.upgrade(theirs, "public")
        summary = {m["metric"]: m for m in summary_of(theirs)}
        for metric in ("longest_transaction", "idle_in_transaction", "replication_lag"):
            assert summary[metric]["status"] == "unknown"
            assert "pg_monitor" in summary[metric]["detail"]
        install.downgrade(theirs, "public")


# The summary.


METRICS = {
    "counters_age",
    "connections",
    "longest_transaction",
    "idle_in_transaction",
    "prepared_transactions",
    "wraparound",
    "multixact_wraparound",
    "slow_queries",
    "mean_query_time",
    "temp_files",
    "deadlocks",
    "checksum_failures",
    "checkpoints_requested",
    "wal_archiving",
    "replication_lag",
    "standby_delay",
    "replication_slots",
    "cache_hit_ratio",
    "blocked_sessions",
    "tables_with_dead_tuples",
    "autovacuum_overdue",
    "autovacuum_disabled",
    "never_analyzed",
    "outdated_statistics",
    "unused_indexes",
    "invalid_indexes",
}


def test_the_summary_has_one_row_a_metric(shop: str) -> None:
    summary = summary_of(shop)
    assert [m["metric"] for m in summary] == list(dict.fromkeys(m["metric"] for m in summary))
    assert {m["metric"] for m in summary} == METRICS
    for row in summary:
        assert row["status"] in ("ok", "info", "warning", "critical", "unknown")
        assert row["unit"]
        assert row["detail"]
        assert (
            row["status"] == "unknown"
            or row["value"] is not None
            or row["detail"]
            in (
                "archive_mode is off",
                "this server is a primary",
            )
        ), row
    unknown = {m["metric"] for m in summary if m["status"] == "unknown"}
    assert unknown <= {
        "checksum_failures",
        "checkpoints_requested",
        "cache_hit_ratio",
        "unused_indexes",
    }


def test_an_empty_database_has_a_summary_too(every_db: str) -> None:
    install.upgrade(every_db, "monitoring")
    summary = read(every_db, "monitoring.wedsync_performance_summary")
    assert {m["metric"] for m in summary} == METRICS


def test_dead_tuples_and_switched_off_autovacuum_are_seen(shop: str) -> None:
    run(
        shop,
        "create table neglected (a int, pad text) with (autovacuum_enabled = off)",
        "insert into neglected select g, repeat('x', 500) from generate_series(1, 6000) g",
        "delete from neglected where a > 3000",
    )
    reported(shop)
    summary = {m["metric"]: m for m in summary_of(shop)}
    dead = summary["tables_with_dead_tuples"]
    assert (dead["value"], dead["status"]) == (1, "info")
    assert dead["detail"] == (
        "public.neglected: 3,000 dead rows, 60.0 times the autovacuum trigger;"
        " autovacuum is off for this table"
    )
    assert (summary["autovacuum_disabled"]["value"], summary["autovacuum_disabled"]["status"]) == (
        1,
        "info",
    )
    neglected = one(table_stats(shop), "neglected")
    assert neglected["autovacuum_status"] == "info"
    assert neglected["has_statistics"] is False
    assert summary["autovacuum_overdue"]["value"] == 0


def test_the_worst_comes_first(shop: str) -> None:
    run(shop, "create table off (a int) with (autovacuum_enabled = off)", "select pg_sleep(0.12)")
    order = ["critical", "warning", "info", "unknown", "ok"]
    places = [order.index(m["status"]) for m in summary_of(shop)]
    assert places == sorted(places)
    assert len(set(places)) >= 3


def test_counters_that_were_reset_are_no_alarm(every_db: str) -> None:
    """After a reset, 0 rows are live and all that die are dead: the share is not 100%."""
    install.upgrade(every_db, "public")
    run(
        every_db,
        "create table big as select g as id, repeat('x', 100) as pad from generate_series(1, 30000) g",
        "vacuum analyze big",
    )
    reported(every_db)
    run(every_db, "select pg_stat_reset()", "delete from big where id <= 2100")
    reported(every_db)
    big = one(table_stats(every_db), "big")
    assert (big["n_dead_tup"], big["n_live_tup"]) == (2100, 27900)
    assert (big["vacuum_status"], big["analyze_status"]) == ("ok", "ok")
    assert big["has_statistics"] is True
    assert rows(every_db, GUIDE[-1]) == []


def test_rows_that_were_counted_twice_are_unknown(every_db: str) -> None:
    install.upgrade(every_db, "public")
    psql(
        every_db,
        """
        create table nightly (id int, at date, pad text) with (autovacuum_enabled = off);
        insert into nightly select g, current_date - g % 100, repeat('p', 80) from generate_series(1, 50000) g;
        vacuum analyze nightly;
        \\c
        delete from nightly where at < current_date - 20;
        vacuum analyze nightly;
        """,
    )
    reported(every_db)
    nightly = one(table_stats(every_db), "nightly")
    assert (nightly["n_dead_tup"], nightly["dead_ratio"]) == (None, None)
    assert nightly["vacuum_status"] == "unknown"
    assert "contradict" in nightly["vacuum_reason"]
    assert rows(every_db, GUIDE[-1]) == []
    dead = {m["metric"]: m for m in summary_of(every_db)}["tables_with_dead_tuples"]
    assert (dead["value"], dead["status"]) == (None, "unknown")


def test_our_own_version_table_is_not_reported(db: str) -> None:
    install.upgrade(db, "public")
    for _ in range(3):
        run(db, f"update public.{install.VERSION_TABLE} set version_num = version_num")
    reported(db)
    assert table_stats(db) == []
    assert index_stats(db) == {}


def test_what_a_foreign_key_needs_is_told(every_db: str) -> None:
    install.upgrade(every_db, "public")
    run(
        every_db,
        "create table parent (a int, b int, primary key (a, b))",
        "create table child (id int, a int, b int, foreign key (a, b) references parent)",
        "create table lonely (id int, a int, b int, foreign key (a, b) references parent)",
        "create index child_both on child (b, a)",
        "create index child_one on child (a)",
        "create index lonely_both on lonely (a, b)",
        "insert into parent select g, g % 3 from generate_series(1, 5000) g",
        "insert into child select g, g, g % 3 from generate_series(1, 5000) g",
        "insert into lonely select g, g, g % 3 from generate_series(1, 5000) g",
        "analyze",
        # it was created after the indexes, and was in use: they are older
        "create table later (a int)",
        "analyze later",
    )
    reported(every_db)
    with connect(every_db) as c:
        c.execute("set pgwatch_wed.unused_window = '1 milliseconds'")
        query = "select indexrelname::text, usage_status, reason, status from index_usage_stats"
        usage = {name: rest for name, *rest in c.execute(query).fetchall()}
    assert usage["lonely_both"][0] == "UNUSED"
    assert usage["lonely_both"][1].endswith(
        "supports foreign key lonely_a_b_fkey: without it, deletes from the referenced table scan this one"
    )
    assert "use child_one, which begins with one of its columns" in usage["child_both"][1]
    assert "foreign key" not in usage["child_one"][1]
    assert (usage["child_both"][2], usage["lonely_both"][2]) == ("info", "ok")
    assert not is_checked(every_db, "child_both")
    run(every_db, "delete from child where a = 5", "delete from lonely where a = 5")
    run(every_db, "delete from parent where a = 5")
    eventually(lambda: is_checked(every_db, "child_both") and is_checked(every_db, "lonely_both"))


def is_checked(dsn: str, index: str) -> bool:
    return index_stats(dsn)[index]["foreign_key_is_checked"] is True


def test_open_transactions_and_slots_are_seen(every_pg: servers.Server, shop: str) -> None:
    with psycopg.connect(shop) as idle:
        idle.execute("select 1")
        time.sleep(0.3)
        summary = {m["metric"]: m for m in summary_of(shop)}
        assert f"pid {idle.info.backend_pid}" in summary["longest_transaction"]["detail"]
        assert f"pid {idle.info.backend_pid}" in summary["idle_in_transaction"]["detail"]
        assert summary["idle_in_transaction"]["value"] > 0.2
    run(shop, "select pg_create_physical_replication_slot('left_behind', true)")
    try:
        slots = {m["metric"]: m for m in summary_of(shop)}["replication_slots"]
        assert slots["status"] == "info"
        assert "1 of them inactive" in slots["detail"]
    finally:
        run(shop, "select pg_drop_replication_slot('left_behind')")


def test_everything_runs_on_a_hot_standby() -> None:
    with embedded.start({"wal_level": "replica"}) as primary:
        run(primary.dsn(), *SHOP.split(";\n"))
        install.upgrade(primary.dsn(), "public")
        with standby_of(primary) as follower:
            run(primary.dsn(), "create table replayed ()")  # the delay is told by a commit's time
            catch_up(primary, follower)
            for each in install.OBJECTS:
                with connect(follower.dsn()) as c:
                    c.execute(call("public", each))
            assert status(follower.dsn(), "standby_delay") == "ok"
            lag = {m["metric"]: m for m in summary_of(primary.dsn())}["replication_lag"]
            assert lag["detail"].startswith("connected standbys and subscribers: 1;")


# Helpers.


def read(dsn: str, source: str) -> list[Row]:
    with connect(dsn) as c, c.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"select * from {source}".encode()).fetchall()


def table_stats(dsn: str) -> list[Row]:
    return read(dsn, "get_table_stats()")


def index_stats(dsn: str) -> dict[str, Row]:
    return {row["indexrelname"]: row for row in read(dsn, "get_index_stats()")}


def usage_of(dsn: str) -> list[Row]:
    return read(dsn, "index_usage_stats")


def summary_of(dsn: str) -> list[Row]:
    return read(dsn, "wedsync_performance_summary")


def slow(dsn: str, arguments: str) -> list[Row]:
    return read(dsn, f"get_slow_queries({arguments})")


def all_columns(dsn: str, arguments: str) -> list[Row]:
    return read(dsn, f"get_statement_stats({arguments})")


def dump_schema(dsn: str) -> None:
    program = embedded.bindir() / "pg_dump"
    subprocess.run([program, "-s", "-d", dsn], check=True, capture_output=True, timeout=60)


def status(dsn: str, metric: str) -> str:
    return str({m["metric"]: m for m in summary_of(dsn)}[metric]["status"])


def since(dsn: str) -> Any:
    return index_stats(dsn)["a_pkey"]["counters_since"]


def one(found: list[Row], relname: str) -> Row:
    (row,) = [row for row in found if row["relname"] == relname]
    return row


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def waiting(dsn: str, statement: str, *, fails: bool = False) -> Iterator[int]:
    """Run a statement in another session and wait until it waits for a lock; yield its pid."""
    session = psycopg.connect(dsn)

    def act() -> None:
        try:
            session.execute(statement.encode())
            session.rollback()
        except psycopg.Error:
            if not fails:
                raise

    thread = threading.Thread(target=act)
    thread.start()
    try:
        count = "select count(*) from pg_locks where not granted and pid = %s"
        wait_for(lambda: rows(dsn, count, session.info.backend_pid)[0][0] == 1)
        yield session.info.backend_pid
    finally:
        thread.join(20)
        session.close()


def quietly(session: psycopg.Connection[Any], row: int) -> None:
    try:
        session.execute("update orders set total = 0 where id = %s", [row])
    except psycopg.Error:
        session.rollback()


def ignore(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute(statement.encode())
