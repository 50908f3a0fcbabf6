"""Verification on a copy: what is built, run, taken out, refused, and that nothing stays."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.findings import Grade
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif import engines, output
from pgwatch_wed.whatif.choose import advise
from pgwatch_wed.whatif.choose.answer import AdviceOptions, IndexAdvice
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Query, Rejected
from pgwatch_wed.whatif.proof import copies, proof_tasks
from pgwatch_wed.whatif.proof.call_trial import CallWork
from pgwatch_wed.whatif.proof.fitted_values import NoValuesError, ProductionCall
from pgwatch_wed.whatif.proof.proof_tasks import Task
from pgwatch_wed.whatif.proof.truth import Verified, VerifyOptions
from pgwatch_wed.whatif.proof.verify import verify
from pgwatch_wed.whatif.workload import Workload
from tests import servers
from tests.planning import query
from tests.psql import psql

PROGRAM = [sys.executable, "-c", "from pgwatch_wed.__main__ import main; main()"]

# The rows of flag 7 are a tenth, and all at the end of the order by rank: what the planner takes
# for ten steps along an index on rank are nine tenths of it, here and there in the table.
SHOP = """
create table trap (id int, flag int, rank int, pad text);
insert into trap select g, case when r > 90000 then 7 else r % 7 end, r, repeat('x', 100)
from (select g, (g * 7919::int8 % 100003)::int as r from generate_series(1, 100000) g) x;
create table orders (id int primary key, customer_id int, status text, total int, pad text);
insert into orders select g, g % 4000, 's' || g % 5, g, repeat('x', 60) from generate_series(1, 80000) g;
create table events (at date not null, device int, value float8) partition by range (at);
create table events_jan partition of events for values from ('2024-01-01') to ('2024-02-01');
create table events_feb partition of events for values from ('2024-02-01') to ('2024-03-01');
insert into events select date '2024-01-01' + g % 59, g % 3000, g from generate_series(1, 60000) g;
vacuum analyze;
"""
RANK = Candidate("public", "trap", (Key.of("rank"),))
CUSTOMER = Candidate("public", "orders", (Key.of("customer_id"),))
IDLE = Candidate("public", "orders", (Key.of("pad"),))
DEVICE = Candidate("public", "events", (Key.of("device"),))
UPPER = Candidate("public", "orders", (Key("upper(status || id)", None),))
TRAP = "select pad from trap where flag = 7 order by rank limit 1"
BY_CUSTOMER = "select sum(total) from orders where customer_id = 77"


@pytest.fixture(scope="module")
def shop(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, SHOP)
        yield dsn


@pytest.fixture(scope="module")
def copy(pg: servers.Server, shop: str) -> Iterator[str]:
    name = f"{conninfo_to_dict(shop)['dbname']}_copy"
    identifier, template = (
        sql.Identifier(str(n)) for n in (name, conninfo_to_dict(shop)["dbname"])
    )
    pg.execute(sql.SQL("create database {} template {}").format(identifier, template))
    yield make_conninfo(shop, dbname=name)
    pg.execute(sql.SQL("drop database {} with (force)").format(identifier))


@pytest.fixture(scope="module")
def lab(shop: str) -> Iterator[Lab]:
    with source.open_lab(shop) as lab:
        lab.add([RANK, CUSTOMER, IDLE, DEVICE, UPPER])
        yield lab


def verified(
    copy: str, shop: str, lab: Lab, indexes: list[Candidate], *texts: str, **more: Any
) -> Verified:
    options = VerifyOptions(**{"seconds": 60.0, "timeout_s": 5.0, **more})
    return verify(copy, shop, indexes, [query(t) for t in texts], lab, options)


def left(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "select relname from pg_class where relkind in ('i', 'I') and oid >= 16384"
            " and relname !~ '^pg_toast' and relname <> 'orders_pkey'"
        )
        return [row[0] for row in rows]


def test_what_postgresql_runs_for_a_foreign_key_is_run_with_values_of_the_copy(
    copy: str, shop: str, lab: Lab
) -> None:
    text = "SELECT x.ctid FROM ONLY public.orders x WHERE x.customer_id = $1"
    asked = Query("rows of orders", text, has_parameters=True, cause="a DELETE")
    found = verify(copy, shop, [CUSTOMER], [asked], lab, VerifyOptions(seconds=60.0))
    assert [i.index for i in found.indexes] == [CUSTOMER]
    assert not found.not_run


def test_what_helps_stays_what_hurts_or_idles_goes_and_nothing_is_left(
    copy: str, shop: str, lab: Lab
) -> None:
    found = verified(copy, shop, lab, [RANK, CUSTOMER, IDLE], TRAP, BY_CUSTOMER)
    assert [i.index for i in found.indexes] == [CUSTOMER]
    reasons = {each.index: each.reason for each in found.losers}
    assert "times as long" in reasons[RANK]
    assert reasons[IDLE] == "no plan on the copy uses it"
    assert found.after_ms < found.before_ms
    trap, customer = found.queries
    assert trap.after_ms == trap.before_ms
    assert customer.after_ms < 0.5 * customer.before_ms
    assert customer.after_buffers < customer.before_buffers
    assert found.indexes[0].bought_ms is not None
    assert found.indexes[0].bought_ms > 0
    assert left(copy) == []


def test_an_index_that_pays_many_times_over_may_cost_a_little(
    copy: str, shop: str, lab: Lab
) -> None:
    light, heavy = query(TRAP, weight=0.00001), query("select min(rank) from trap", weight=1000.0)
    found = verify(copy, shop, [RANK], [light, heavy], lab, VerifyOptions(timeout_s=5.0))
    assert [i.index for i in found.indexes] == [RANK]
    assert any("slower with these indexes" in note for note in found.notes)


def test_only_queries_whose_plan_changes_are_run(copy: str, shop: str, lab: Lab) -> None:
    other = "select count(*) from trap"
    found = verified(copy, shop, lab, [CUSTOMER], BY_CUSTOMER, other)
    assert [q.name for q in found.queries] == [BY_CUSTOMER]
    assert found.unchanged == 1
    every = verified(copy, shop, lab, [CUSTOMER], BY_CUSTOMER, other, measure_all=True)
    assert {q.name for q in every.queries} == {BY_CUSTOMER, other}
    assert every.unchanged == 0


def test_partitioned_tables_and_expressions_are_built_and_measured(
    copy: str, shop: str, lab: Lab
) -> None:
    device = "select avg(value) from events where device = 5"
    upper = "select id from orders where upper(status || id) = 'S17'"
    found = verified(copy, shop, lab, [DEVICE, UPPER], device, upper)
    assert {i.index for i in found.indexes} == {DEVICE, UPPER}
    assert all(i.size_bytes > 100_000 for i in found.indexes)
    assert left(copy) == []


def test_parameters_get_usual_values_and_what_has_none_is_told(
    copy: str, shop: str, lab: Lab
) -> None:
    usual = "select sum(total) from orders where customer_id = $1"
    unknown = "select sum(total) from orders where customer_id = $1 and $2::point is not null"
    write = "update orders set pad = 'y' where customer_id = 7"
    broken = "select 1 / (total - total) from orders where customer_id = 7"
    locking = "select pad from orders where customer_id = 7 for update"
    found = verified(copy, shop, lab, [CUSTOMER], usual, unknown, write, broken, locking)
    assert [q.name for q in found.queries] == [usual]
    assert [i.index for i in found.indexes] == [CUSTOMER]
    reasons = {r.query: r.reason for r in found.not_run}
    assert reasons[unknown] == "no value is known for $2 of type point"
    assert "it changes data" in reasons[write]
    assert "division by zero" in reasons[broken]
    assert "it locks rows" in reasons[locking]
    with psycopg.connect(copy) as connection:
        row = connection.execute("select count(*) from orders where pad = 'y'").fetchone()
        assert row == (0,)


def test_an_index_whose_queries_were_not_run_stays_unmeasured(
    copy: str, shop: str, lab: Lab
) -> None:
    found = verified(copy, shop, lab, [CUSTOMER], "delete from orders where customer_id = 7")
    assert [(i.index, i.bought_ms) for i in found.indexes] == [(CUSTOMER, None)]
    assert found.queries == ()


def test_a_query_that_locks_rows_is_only_planned(copy: str, shop: str, lab: Lab) -> None:
    text = "select * from orders where customer_id = 7 for update skip locked"
    (refused,) = verified(copy, shop, lab, [CUSTOMER], text).not_run
    assert refused.reason == "it locks rows, so it is only planned"


def test_why_a_query_fails_with_drawn_values_is_told_without_values_of_rows(
    copy: str, shop: str, lab: Lab
) -> None:
    text = "select sum((status || 'x')::int) from orders where customer_id = $1"
    (refused,) = verified(copy, shop, lab, [CUSTOMER], text).not_run
    assert refused.reason == "it fails on the copy: invalid text representation (22P02)"


# What fails with only one of the two indexes, and takes long with both if ``{}`` is not 0.
BOTH = "(select count(*) from pg_class where relname in ('pgwatch_wed_verify_0', 'pgwatch_wed_verify_1'))"
ONLY_TOGETHER = (
    f"select sum(o.total + e.value)::int / ({BOTH} - 1)"
    f" + (select count(*) from generate_series(1, {{}} * ({BOTH} / 2)) g)"
    " from orders o, events e where o.customer_id = 77 and e.device = 77"
)


@pytest.mark.parametrize("more", [0, 400_000])
def test_an_index_is_no_loser_because_a_query_fails_without_it(
    copy: str, shop: str, lab: Lab, more: int
) -> None:
    found = verified(copy, shop, lab, [CUSTOMER, DEVICE], ONLY_TOGETHER.format(more))
    assert "division by zero" in found.not_run[0].reason
    assert found.losers == ()
    assert [i.bought_ms for i in found.indexes] == [None, None]


def test_what_runs_too_long_is_given_up(copy: str, shop: str, lab: Lab) -> None:
    slow = "select pg_sleep(30) from orders where customer_id = 7"
    began = time.monotonic()
    found = verified(copy, shop, lab, [CUSTOMER], slow, BY_CUSTOMER, timeout_s=0.5)
    assert time.monotonic() - began < 10
    assert [q.name for q in found.queries] == [BY_CUSTOMER]
    assert "longer than" in found.not_run[0].reason


def test_the_time_for_it_all_is_kept(copy: str, shop: str, lab: Lab) -> None:
    found = verified(copy, shop, lab, [CUSTOMER], BY_CUSTOMER, seconds=0.0)
    assert found.queries == ()
    assert found.not_run[0].reason == proof_tasks.EXHAUSTED


def test_values_take_their_time_from_that_for_all(
    copy: str, shop: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: Any) -> list[Task]:
        found = proof_tasks.tasks(*given)
        time.sleep(0.5)
        return found

    monkeypatch.setattr("pgwatch_wed.whatif.proof.verify.to_run", slowly)
    found = verified(copy, shop, lab, [CUSTOMER], BY_CUSTOMER, seconds=0.5)
    assert found.not_run == (Rejected(BY_CUSTOMER, proof_tasks.EXHAUSTED),)


def test_nothing_is_sampled_when_the_time_is_over(copy: str, shop: str, lab: Lab) -> None:
    text = "select id from orders where customer_id = $1"
    sleeping = f"{text} and pg_sleep(0.1) is not null"
    for each, seconds in ((text, 0.0), (sleeping, 0.5)):
        with copies.opened(copy, shop) as session:
            (found,) = proof_tasks.tasks(copy, session, [query(each)], lab, [], seconds)
        assert (found.texts, found.reason) == ((), proof_tasks.EXHAUSTED)


def test_what_the_copy_cannot_build_is_a_loser(copy: str, shop: str, lab: Lab) -> None:
    psql(copy, "alter table orders rename pad to padding")
    found = verified(copy, shop, lab, [IDLE, CUSTOMER], BY_CUSTOMER)
    psql(copy, "alter table orders rename padding to pad")
    assert [i.index for i in found.indexes] == [CUSTOMER]
    assert "could not be built" in found.losers[0].reason


def test_what_a_killed_verification_left_is_dropped_by_the_next(
    copy: str, shop: str, lab: Lab
) -> None:
    psql(copy, "create index pgwatch_wed_verify_9 on orders (pad);")
    verified(copy, shop, lab, [CUSTOMER], BY_CUSTOMER)
    assert left(copy) == []


def test_the_target_itself_is_refused_under_any_name(shop: str, lab: Lab) -> None:
    for same in (shop, make_conninfo(shop, application_name="x")):
        with pytest.raises(UsageError, match="is the target itself"):
            verified(same, shop, lab, [CUSTOMER], BY_CUSTOMER)
    assert left(shop) == []


def test_one_verification_at_a_time(
    copy: str, shop: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with copies.opened(copy, shop), pytest.raises(CollectError, match="another verification"):
        verified(copy, shop, lab, [CUSTOMER], BY_CUSTOMER)


def test_one_that_is_just_ending_is_waited_for(copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with copies.reserved(copy) as ending:
        monkeypatch.setattr(
            time, "sleep", lambda _: ending.execute("select pg_advisory_unlock_all()")
        )
        with copies.reserved(copy) as other:
            assert other.execute("select 1").fetchone()


def test_a_copy_is_told_from_its_origin() -> None:
    origin = copies.Place("shop", False, "monday", 5, 100, "72", 1)
    assert copies.is_same(origin, replace(origin, start="tuesday"))  # a standby, or a clone
    assert not copies.is_same(origin, replace(origin, start="tuesday", timeline=2))  # promoted
    assert not copies.is_same(origin, replace(origin, start="tuesday", database="shop_copy"))
    assert not copies.is_same(origin, replace(origin, start="tuesday", system="73"))
    hidden = replace(origin, system=None, timeline=None)
    assert copies.is_same(hidden, hidden)
    assert not copies.is_same(hidden, replace(hidden, start="tuesday"))
    assert copies.is_same(replace(hidden, is_standby=True), replace(hidden, start="tuesday"))


def to_run(copy: str, shop: str, lab: Lab, text: str, **more: Any) -> Task:
    with copies.opened(copy, shop) as session:
        (found,) = proof_tasks.tasks(copy, session, [query(text, **more)], lab, [], 60.0)
        return found


@pytest.mark.parametrize(
    "condition",
    [
        "customer_id = $1",
        "customer_id = any($1)",
        "total between $1 and $2",
        "status = $1 and total > $2",
        "status like $1",
        "lower(status) = lower($1)",
        "customer_id = $1 and total % 7 = $2",
        "customer_id = $1 % $2",
        "status = $1 order by total limit $2 offset $3",
    ],
)
def test_values_come_from_rows_so_that_every_set_finds_some(
    copy: str, shop: str, lab: Lab, condition: str
) -> None:
    found = to_run(copy, shop, lab, f"select id from orders where {condition}")
    assert found.texts, found.reason
    with psycopg.connect(copy) as connection:
        for text in found.texts:
            assert "$" not in text
            assert connection.execute(text.encode()).fetchone(), text


def test_one_row_gives_all_values_that_belong_together(copy: str, shop: str, lab: Lab) -> None:
    """Columns depend on each other: values that are drawn apart would find nothing."""
    text = (
        "select t.pad from trap t join orders o on o.id = t.rank"
        " where t.id = $1 and t.rank = $2 and o.total = $3"
    )
    found = to_run(copy, shop, lab, text)
    assert len(found.texts) == proof_tasks.MOST_SETS
    with psycopg.connect(copy) as connection:
        assert all(connection.execute(t.encode()).fetchone() for t in found.texts)


def test_messages_that_name_types_are_english_where_the_role_may_set_that(
    pg: servers.Server, copy: str, shop: str
) -> None:
    name = str(conninfo_to_dict(copy)["dbname"])
    pg.execute(sql.SQL("alter database {} set lc_messages = 'POSIX'").format(sql.Identifier(name)))
    with pg.role() as role, copies.opened(copy, shop) as session:
        for dsn, expected in ((copy, "C"), (make_conninfo(copy, user=role), "POSIX")):
            with proof_tasks.fitter_for(dsn, session, 60) as fitter:
                row = fitter.asking.execute("show lc_messages").fetchone()
                assert row == (expected,)
                assert fitter.typed("select 1 where 1 = $1 % $2").types == {
                    1: "integer",
                    2: "integer",
                }
    pg.execute(sql.SQL("alter database {} reset lc_messages").format(sql.Identifier(name)))


WITHOUT_ENCODING = b"""
create type "caf\xe9" as enum ('a', 'b');
create table names as select g as id, 'caf\xe9' || g % 9 as name, null::"caf\xe9" as kind from generate_series(1, 999) g;
create view named as select * from names where name <> 'caf\xe9';
"""


@pytest.fixture
def without_encoding(pg: servers.Server) -> Iterator[list[str]]:
    """Two databases that hold bytes that are no text."""
    names = [sql.Identifier(f"no_encoding_{n}") for n in range(2)]
    for name in names:
        create = "create database {} template template0 encoding 'SQL_ASCII' locale 'C'"
        pg.execute(sql.SQL(create).format(name))
    found = [pg.dsn(f"no_encoding_{n}") for n in range(2)]
    for dsn in found:
        with psycopg.connect(dsn, autocommit=True) as connection:
            done = connection.pgconn.exec_(WITHOUT_ENCODING)
            assert not done.error_message
    yield found
    with psycopg.connect(found[0], autocommit=True) as connection:
        # their texts would cost each database of the server all of its texts
        connection.execute("create extension pg_stat_statements")
        connection.execute(
            "select pg_stat_statements_reset(0, oid, 0) from pg_database where datname like 'no_encoding_%'"
        )
    for name in names:
        pg.execute(sql.SQL("drop database {} with (force)").format(name))


def test_a_copy_without_an_encoding_has_values_and_refusals(without_encoding: list[str]) -> None:
    target, copy = without_encoding
    with pytest.raises(UsageError, match="is the target itself"), copies.opened(target, target):
        pass
    with (
        copies.opened(copy, target) as session,
        proof_tasks.fitter_for(copy, session, 60) as fitter,
    ):
        call = ProductionCall(1, CallWork(1, 10, 5))
        found = fitter.fitted(fitter.typed("select id from named where name = $1"), call)
        assert all("caf\ufffd" in text for text in found.texts)
        with pytest.raises(NoValuesError, match="operator does not exist"):
            fitter.typed("select id from names where kind = $1 + id")


def test_rare_values_are_tried_beside_usual_ones(copy: str, shop: str, lab: Lab) -> None:
    found = to_run(copy, shop, lab, "select count(*) from trap where flag = $1 and rank > $2")
    assert len({re.findall(r"flag = \('(\d)'", text)[0] for text in found.texts}) > 1
    ran = verified(copy, shop, lab, [RANK], "select min(rank) from trap where rank > $1")
    assert ran.queries[0].sets > 1


def test_values_are_picked_that_act_like_those_of_production(
    copy: str, shop: str, lab: Lab
) -> None:
    """Most rows have a value that no call asks for: the blocks of a call tell so."""
    psql(
        copy,
        "create table queue as select g as id, case when g % 200 = 0 then 'open' else 'done' end as state, repeat('x', 90) as pad"
        " from generate_series(1, 60000) g; create index queue_state on queue (state); vacuum analyze queue",
    )
    text = "select count(pad) from queue where state = $1"
    with copies.opened(copy, shop) as session, proof_tasks.fitter_for(copy, session, 60) as fitter:
        typed = fitter.typed(text)
        for blocks, expected in ((270.0, {"open"}), (870.0, {"done"})):
            found = fitter.fitted(typed, ProductionCall(1, CallWork(1, blocks, 5)))
            states = {re.findall(r"'(open|done)'", t)[0] for t in found.texts}
            assert states == expected
    psql(copy, "drop table queue")


def test_ranges_are_as_wide_as_the_rows_of_a_call_say(copy: str, shop: str, lab: Lab) -> None:
    text = "select id from orders where total between $1 and $2"
    measured = {"calls": 10.0, "total_ms": 10.0, "blocks": 900.0}
    widths = []
    for rows in (3.0, 500.0):
        found = to_run(copy, shop, lab, text, rows=rows, **measured)
        with psycopg.connect(copy) as connection:
            widths += [
                sum(len(connection.execute(t.encode()).fetchall()) for t in found.texts)
                / len(found.texts)
            ]
    assert widths == [pytest.approx(3, rel=0.5), pytest.approx(500, rel=0.5)]


def test_a_gain_that_depends_on_the_value_is_not_sure(shop: str, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "flag.sql").write_text("select max(pad) from trap where flag = $1", "utf-8")
    (one,) = engines.advise_target(shop, tmp_path, AdviceOptions(10**9, seconds=20)).indexes
    assert one.equated == ("flag",)
    here = collect(shop, only=("tables", "columns", "column_statistics", "settings", "indexes"))
    assert one.grade is Grade.A, "its values are even"
    skewed = replace(
        here,
        column_statistics=tuple(
            replace(s, mcv_top_fraction=0.9, mcv_count=2) for s in here.column_statistics
        ),
    )
    found = engines._skew(skewed, one)
    assert found is not None
    assert found.grade is Grade.C
    assert "The most common value of flag has 90% of the rows" in found.text


def test_a_grade_is_as_sure_as_what_the_promise_rests_on(copy: str, shop: str, lab: Lab) -> None:
    def advised(text: str) -> IndexAdvice:
        found = advise.advise(lab, Workload((query(text),)))
        (one,) = found.indexes
        return one

    equal = advised("select sum(total) from orders where customer_id = $1")
    between = advised("select sum(total) from orders where total between $1 and $2")
    assert (equal.guesses, between.guesses) == ((), ("total",))
    assert engines._grade(equal, None, is_flawed=False) is Grade.A
    assert engines._grade(equal, None, is_flawed=True) is Grade.C
    assert engines._grade(between, None, is_flawed=False) is Grade.C
    text = "select sum(total) from orders where total between $1 and $2"
    measured = verified(copy, shop, lab, [between.index], text)
    assert engines._grade(between, measured, is_flawed=False) is Grade.A
    (ran,) = measured.queries
    assert ran.is_alike
    unlike = replace(measured, queries=(replace(ran, there_buffers=3.0 * ran.before_buffers),))
    assert engines._grade(between, unlike, is_flawed=False) is Grade.B
    partly = replace(measured, not_run=(Rejected(text, "it changes data, so it is only planned"),))
    assert engines._grade(between, partly, is_flawed=False) is Grade.B
    useless = replace(measured, indexes=(replace(measured.indexes[0], bought_ms=-0.1),))
    assert engines._grade(between, useless, is_flawed=False) is Grade.C
    (other,) = verified(copy, shop, lab, [CUSTOMER], f"delete {BY_CUSTOMER[18:]}").indexes
    assert other.bought_ms is None
    unmeasured = replace(equal, index=CUSTOMER)
    unrun = replace(measured, indexes=(other,))
    assert engines._grade(unmeasured, unrun, is_flawed=False) is Grade.C


# The command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "customer.sql").write_text(BY_CUSTOMER, encoding="utf-8")
    (tmp_path / "trap.sql").write_text(TRAP, encoding="utf-8")
    return tmp_path


def start(*args: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "DATABASE_URL"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*PROGRAM, "indexes", *args], stdout=pipe, stderr=pipe, text=True, env=env
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    with process:
        out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def test_the_command_tells_what_each_index_bought(shop: str, copy: str, folder: Path) -> None:
    status, out, err = finish(start(shop, "--workload", str(folder), "--verify", copy))
    assert (status, err) == (0, "")
    assert "built on the copy: " in out
    assert "Verified on " in out
    assert left(copy) == []


def test_the_outputs_hold_the_truth(shop: str, copy: str, folder: Path) -> None:
    options = advise.AdviceOptions(50_000_000, seconds=10)
    advice = engines.advise_target(shop, folder, options, copy=engines.Copy(copy))
    found = json.loads(output.as_json(advice))
    truth = found["verified"]
    assert truth["clock"] in ("cpu", "elapsed")
    assert len(found["indexes"]) == len(truth["indexes"])
    assert (
        truth["queries"]["customer.sql"]["after_ms"] < truth["queries"]["customer.sql"]["before_ms"]
    )


def test_the_command_refuses_the_target_as_its_copy(shop: str, folder: Path) -> None:
    status, out, err = finish(start(shop, "--workload", str(folder), "--verify", shop))
    assert (status, out) == (2, "")
    assert "is the target itself" in err
    assert "Traceback" not in err
    nowhere = f"host={folder} dbname=x"
    status, out, err = finish(start(shop, "--workload", str(folder), "--verify", nowhere))
    assert (status, out) == (3, "")
    assert "could not connect" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(
    shop: str, copy: str, folder: Path, number: signal.Signals
) -> None:
    (folder / "slow.sql").write_text(
        "select pg_sleep(20) from orders where customer_id = 5", encoding="utf-8"
    )
    process = start(shop, "--workload", str(folder), "--verify", copy)
    deadline = time.monotonic() + 60
    while not _is_sleeping(copy):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert left(copy) != []
    process.send_signal(number)
    status, out, err = finish(process)
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert out == ""
    assert "Traceback" not in err
    assert left(copy) == []
    assert not _is_sleeping(copy)


def _is_sleeping(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and state = 'active' and query like 'explain (analyze%pg_sleep%'"
        ).fetchone()
    assert row is not None
    return bool(row[0])
