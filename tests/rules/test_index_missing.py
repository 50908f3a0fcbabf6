"""index-missing: the planner's proof, from a real server through the lab to the finding."""

import time

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import MissingIndex, Snapshot, Statement, StatementPlan
from pgwatch_wed.findings import Grade, Report, Unknown, Verdict
from pgwatch_wed.gather.enrichment import put
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.rules.index import missing
from tests.dumps import schema
from tests.psql import psql
from tests.reports import blank, server
from tests.rules.judging import apply, run, undo
from tests.servers import Server

SCHEMA = """
create extension if not exists pg_stat_statements;
create schema "Shop";
create table "Shop"."Orders" (id int primary key, "Customer Id" int, total numeric, note text);
insert into "Shop"."Orders" select g, g % 5000, g % 97, repeat('x', 50) from generate_series(1, 60000) g;
create table tiny (id int, name text);
insert into tiny select g, 'n' || g from generate_series(1, 50) g;
"""
ASK = 'select total from "Shop"."Orders" where "Customer Id" = %s'


def quiet(_what: str, _share: float) -> None:
    """Show nothing."""


def report(dsn: str) -> tuple[Report, Snapshot]:
    snapshots = gather(dsn, Wanted(), quiet)
    return analyse(snapshots, Config(only=("index-missing",), window_days=0)), snapshots[0]


@pytest.fixture
def shop(every_db: str) -> str:
    for statement in SCHEMA.strip().split(";\n"):
        run(every_db, statement)
    run(every_db, 'vacuum analyze "Shop"."Orders"', "analyze tiny")
    time.sleep(1)  # before 15, what was counted is reported later
    return every_db


@pytest.mark.spread(1)
@pytest.mark.pg("< 19")
def test_the_index_is_proposed_built_and_then_no_longer_proposed(shop: str) -> None:
    run(shop, ASK, times=60, args=(7,))
    found, snapshot = report(shop)
    assert "missing_indexes" not in snapshot.missing
    (finding,) = found.findings
    assert finding.grade is Grade.A
    assert "would use it for SELECT Orders by Customer Id, which lowers" in finding.detail
    assert (finding.object.schema, finding.object.table) == ("Shop", "Orders")
    assert finding.evidence["columns"][0] == "Customer Id"
    assert finding.evidence["cost_after"] < 0.2 * finding.evidence["cost_before"]
    assert "CONCURRENTLY" in finding.remedy[0].sql
    assert finding.remedy[0].in_transaction is False
    apply(shop, [finding])
    with psycopg.connect(shop) as connection:
        plan = connection.execute(f"explain {ASK}".encode(), [7]).fetchall()
        assert any("Index" in row[0] or "Bitmap" in row[0] for row in plan)
    again, _ = report(shop)
    assert again.findings == ()
    assert again.verdicts[0].verdict is Verdict.CLEAR
    undo(shop, [finding])
    assert report(shop)[0].findings


@pytest.mark.spread(1)
@pytest.mark.pg("< 19")
def test_what_an_index_cannot_help_gets_none(shop: str) -> None:
    run(shop, "select name from tiny where id = 7", times=60)
    run(shop, 'select sum(total) from "Shop"."Orders"', times=5)
    run(shop, 'select total from "Shop"."Orders" where id = 7', times=60)
    found, snapshot = report(shop)
    assert "missing_indexes" not in snapshot.missing
    assert [f.title for f in found.findings] == []


PARTED = """
create extension if not exists pg_stat_statements;
create table customers (id int primary key, name text);
insert into customers select g, 'n' || g from generate_series(1, 5000) g;
create table orders (id int, at date not null, customer int references customers, total int, state text)
    partition by range (at);
create table orders_24 partition of orders for values from ('2024-01-01') to ('2025-01-01');
create table orders_25 partition of orders for values from ('2025-01-01') to ('2026-01-01') partition by hash (id);
create table orders_25_0 partition of orders_25 for values with (modulus 2, remainder 0);
create table orders_25_1 partition of orders_25 for values with (modulus 2, remainder 1);
insert into orders select g, date '2024-01-01' + g % 700, 1 + g % 5000, g % 97, repeat('x', 40)
    from generate_series(1, 80000) g;
create index mine on orders_25_1 (customer);
"""
OF_CUSTOMER = "select * from orders where customer = %s"


@pytest.mark.spread(1)
@pytest.mark.pg("< 19")
def test_a_partitioned_table_gets_it_at_every_level_and_its_foreign_key_the_same(
    every_pg: Server, every_db: str
) -> None:
    run(every_db, *PARTED.strip().split(";\n"))
    run(every_db, "vacuum analyze customers", "analyze orders")
    time.sleep(1)
    before = schema(every_db, every_pg)
    run(every_db, OF_CUSTOMER, times=60, args=(7,))
    both = Config(only=("index-missing", "index-missing-fk"), window_days=0)
    first, second = analyse(gather(every_db, Wanted(), quiet), both).findings
    assert {first.rule, second.rule} == set(both.only)
    assert first.remedy == second.remedy, "one index, advised twice, is one script"
    assert "build it once" in "".join(first.caveats + second.caveats)
    (step,) = first.remedy
    assert "ATTACH PARTITION public.mine;" in step.sql
    psql(every_db, step.sql)
    with psycopg.connect(every_db) as connection:
        invalid = connection.execute("select 1 from pg_index where not indisvalid").fetchall()
        plan = connection.execute(f"explain {OF_CUSTOMER}".encode(), [7]).fetchall()
    assert invalid == []
    assert not any("Seq Scan" in row[0] for row in plan)
    assert analyse(gather(every_db, Wanted(), quiet), both).findings == ()
    psql(every_db, step.undo)
    assert schema(every_db, every_pg) == before


@pytest.mark.pg("< 19")
def test_different_indexes_of_one_report_have_different_names(every_db: str) -> None:
    run(every_db, *PARTED.strip().split(";\n"))
    run(every_db, "vacuum analyze customers", "analyze orders")
    time.sleep(1)
    (snapshot,) = gather(every_db, Wanted(advise=False), quiet)
    advised = MissingIndex(
        name="orders_customer_idx",
        ddl="CREATE INDEX orders_customer_idx ON public.orders USING btree (customer DESC) INCLUDE (total) WHERE (total > 90)",
        schema="public",
        table="orders",
        columns=("customer",),
        method="btree",
        size_bytes=1,
        cost_before=2.0,
        cost_after=1.0,
        ms_per_day=None,
        write_ms_per_day=None,
        query_ids=(),
        queries=(),
        engine="lab",
        caveats=(),
    )
    both = Config(only=("index-missing", "index-missing-fk"), window_days=0)
    findings = analyse([put(snapshot, missing_indexes=(advised,))], both).findings
    assert len(findings) == 2
    titles = [f.title for f in findings if f.rule == "index-missing"]
    assert titles == [
        "An index on public.orders (customer DESC) INCLUDE (total) WHERE (total > 90) would serve 0 statements"
    ]
    made = [line for f in findings for r in f.remedy for line in r.sql.splitlines()]
    names = [line.split(" ON ")[0].split()[-1] for line in made if line.startswith("CREATE INDEX")]
    assert len(names) == len(set(names)) == 9
    apply(every_db, findings)


def test_without_the_lab_it_is_unknown_and_not_clear(shop: str) -> None:
    run(shop, ASK, times=60, args=(7,))
    snapshots = gather(shop, Wanted(advise=False), quiet)
    verdict = analyse(snapshots, Config(only=("index-missing",))).verdicts[0]
    assert verdict.verdict is Verdict.UNKNOWN
    assert verdict.mend


@pytest.mark.pg(">= 19")
def test_a_server_newer_than_the_lab_is_unknown_with_its_reason(shop: str) -> None:
    run(shop, ASK, times=60, args=(7,))
    found, _ = report(shop)
    assert found.verdicts[0].verdict is Verdict.UNKNOWN
    assert "cannot imitate" in found.verdicts[0].reason
    assert "hypopg" in found.verdicts[0].mend


@pytest.mark.parametrize(
    ("text", "is_unknown"),
    [
        ("COPY public.orders (id, total) TO stdout", False),  # pg_dump's
        ("COPY orders (id) FROM STDIN", False),
        ("COPY (SELECT count(*) FROM orders) TO STDOUT", True),
        ("CALL nightly()", True),
    ],
)
def test_what_copies_whole_tables_needs_no_plan(text: str, is_unknown: bool) -> None:
    run_often = blank(Statement, query_id=1, is_toplevel=True, text=text, total_exec_ms=900.0)
    snapshot = Snapshot(
        "0", server(), statements=(run_often,), statement_plans=(StatementPlan(1, refused="why"),)
    )
    found = [v for v in missing.check(snapshot, missing.Limits()) if isinstance(v, Unknown)]
    assert any("could not be planned (why)" in v.reason for v in found) is is_unknown
