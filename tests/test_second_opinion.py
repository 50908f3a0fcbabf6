"""Where the target's own planner estimates a statement otherwise than the lab, advice for it is in doubt."""

from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import conninfo

from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif import engines, second_opinion
from pgwatch_wed.whatif.choose import advise
from pgwatch_wed.whatif.choose.advise import AdviceOptions
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.workload import Workload
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major: what differs is what the test changed

SHOP = """
create table orders (id int primary key, customer int, note text);
insert into orders select g, g % 900, repeat('x', 80) from generate_series(1, 20000) g;
create table customers (id int primary key, name text);
insert into customers select g, 'n' || g from generate_series(1, 900) g;
create function reads(int) returns int language plpgsql immutable as 'begin return $1; end';
vacuum analyze;
"""
GROW = "insert into orders select g, g % 900, repeat('x', 80) from generate_series(20001, 90000) g; analyze orders;"
WORK = (
    query("select * from orders where customer = $1", name="by customer"),
    query("select sum(length(note)) from orders", name="all"),
    query("select * from customers where name = 'n5'", name="by name"),
    query("select * from orders where reads(id) = 5", name="foreign code"),
)


def test_what_the_target_estimates_otherwise_is_told(db: str) -> None:
    psql(db, SHOP)
    here = collect(db, only=("tables", "other_relations", "settings", "role_settings"))
    with source.open_lab(db) as lab:
        assert second_opinion.differences(db, here, lab, WORK, 10.0) == []
        gone = conninfo.make_conninfo(db, dbname="there_is_none")
        assert second_opinion.differences(gone, here, lab, WORK, 10.0) == []
        psql(db, GROW)
        found = second_opinion.differences(db, here, lab, WORK, 10.0)
        assert {each.query for each in found} == {"by customer", "all"}
        assert all(4 < each.server / each.lab < 5 for each in found)
        guessed = [replace(each, assumed="it is assumed that $1 is 5") for each in WORK]
        assert second_opinion.differences(db, here, lab, guessed, 10.0) == [], "data in the log"
        implied = [replace(each, cause="a DELETE") for each in WORK]
        assert second_opinion.differences(db, here, lab, implied, 10.0) == [], "not the user's"
        advice = advise.advise(lab, Workload(WORK), AdviceOptions(seconds=20))
        told = second_opinion.told(advice, found)
    (doubted,) = (one for one in told.indexes if "by customer" in one.queries)
    assert any("the server estimates the cost of by customer" in d for d in doubted.doubts)
    assert any("1 statement without a recommended index" in note for note in told.notes)
    assert second_opinion.told(advice, []) == advice


def test_advice_for_a_target_is_compared_with_its_planner(db: str, tmp_path: Path) -> None:
    psql(db, SHOP)
    (tmp_path / "by_customer.sql").write_text("select * from orders where customer = 5")
    advice = engines.advise_target(db, tmp_path, AdviceOptions(seconds=20))
    (one,) = advice.indexes
    assert one.doubts == ()
