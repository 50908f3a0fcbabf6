"""index-missing: the planner's proof, from a real server through the lab to the finding."""

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Grade, Report, Verdict
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from tests.rules.judging import apply, run, undo

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
    return every_db


@pytest.mark.pg("< 19")
def test_the_index_is_proposed_built_and_then_no_longer_proposed(shop: str) -> None:
    run(shop, ASK, times=60, args=(7,))
    found, snapshot = report(shop)
    assert "missing_indexes" not in snapshot.missing
    (finding,) = found.findings
    assert finding.grade is Grade.A
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


@pytest.mark.pg("< 19")
def test_what_an_index_cannot_help_gets_none(shop: str) -> None:
    run(shop, "select name from tiny where id = 7", times=60)
    run(shop, 'select sum(total) from "Shop"."Orders"', times=5)
    run(shop, 'select total from "Shop"."Orders" where id = 7', times=60)
    found, snapshot = report(shop)
    assert "missing_indexes" not in snapshot.missing
    assert [f.title for f in found.findings] == []


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
    assert "cannot copy" in found.verdicts[0].reason
    assert "hypopg" in found.verdicts[0].mend
