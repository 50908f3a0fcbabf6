"""The rule query-misestimate: faults that its remedies correct, and loads that only look wrong."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from pgwatch_wed.findings import Finding, Grade, Report, Verdict
from pgwatch_wed.target.collect import collect
from tests.rules.judging import apply, judged, run, settle, texts, undo, with_plans

RULE = "query-misestimate"
Ask = Callable[..., Sequence[Any]]


@pytest.fixture
def work(every_db: str) -> str:
    """A fresh database with pg_stat_statements."""
    run(every_db, "create extension pg_stat_statements")
    return every_db


def load(dsn: str, setup: Sequence[str], calls: Callable[[Ask], Any], times: int = 25) -> None:
    """Create tables, analyze them, and run a load."""
    run(dsn, *setup, "vacuum analyze", "select pg_stat_statements_reset()")
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:

        def ask(text: str, *values: Any) -> Sequence[Any]:
            return connection.execute(text.encode(), values or None).fetchall()

        for _ in range(times):
            calls(ask)
        settle(connection)


def judge(dsn: str) -> Report:
    return judged(with_plans(dsn), RULE, min_load_share=0)


def corrected(dsn: str, findings: Sequence[Finding]) -> Report:
    """Apply the remedies, judge again, and undo them."""
    apply(dsn, findings)
    report = judge(dsn)
    undo(dsn, findings)
    return report


def by_text(report: Report) -> dict[str, Finding]:
    return {f.evidence["query"]: f for f in report.findings}


CARS = (
    "create table cars (id int primary key, maker int, model int, owner int, c int, d int, pad text)",
    # a model belongs to one maker: independent columns would share 1 in 40,000
    "insert into cars select g, g % 200, g % 200 * 3, g, g % 10, g % 10 * 7, 'x' from generate_series(1, 100000) g",
)


@pytest.mark.spread(1)
def test_a_column_that_follows_from_another_gets_dependencies_alone(work: str) -> None:
    def calls(ask: Ask) -> None:
        number = random.randrange(200)
        ask("select id from cars where maker = %s and model = %s", number, number * 3)
        ask("select id from cars where c = %s and d = %s", number % 10, number % 10 * 7)

    load(work, CARS, calls)
    report = judge(work)
    found = sorted(report.findings, key=lambda f: -f.evidence["rows_per_call"])
    assert [f.evidence["rows_per_call"] for f in found] == [10_000, 500]
    assert [f.evidence["planned_rows_afterwards"] for f in found] == [10_000, 500]
    assert found[1].evidence["planned_rows"] < 10
    assert found[1].evidence["columns"] == {"public.cars": ["maker", "model"]}
    assert {f.grade for f in found} == {Grade.B}
    # a list of common combinations would be used first, and does not contain these
    assert all("(dependencies)" in f.remedy[0].sql for f in found)
    assert corrected(work, found).verdicts[0].verdict is Verdict.CLEAR
    assert len(judge(work).findings) == 2


def test_two_statements_with_one_fault_have_one_remedy(work: str) -> None:
    def calls(ask: Ask) -> None:
        number = random.randrange(200)
        ask("select id from cars where maker = %s and model = %s", number, number * 3)
        ask("select id, pad from cars where model = %s and maker = %s", number * 3, number)

    load(work, CARS, calls)
    found = judge(work).findings
    assert [len(f.remedy) for f in found] == [1, 0]
    assert "concerns the same columns" in found[1].caveats[0]
    assert corrected(work, found).findings == ()


def test_each_partition_gets_its_own_statistics(work: str) -> None:
    setup = (
        "create table events (maker int, model int, day int) partition by range (day)",
        "create table events_1 partition of events for values from (0) to (50)",
        "create table events_2 partition of events for values from (50) to (100)",
        "insert into events select g % 200, g % 200 * 3, g / 1000 from generate_series(1, 99999) g",
        "analyze events",
    )

    def calls(ask: Ask) -> None:
        number = random.randrange(200)
        ask("select day from events where maker = %s and model = %s", number, number * 3)

    load(work, setup, calls)
    (finding,) = judge(work).findings
    # the planner adds up the rows of partitions, and does not use statistics of the table above
    assert len(finding.remedy) == 2
    assert "FROM public.events_1;" in finding.remedy[0].sql
    assert corrected(work, [finding]).findings == ()


def test_extended_statistics_that_exist_are_no_alarm(work: str) -> None:
    def calls(ask: Ask) -> None:
        number = random.randrange(200)
        ask("select id from cars where maker = %s and model = %s", number, number * 3)

    made = "create statistics both_columns (dependencies) on maker, model from cars"
    load(work, (*CARS, made), calls)
    assert judge(work).verdicts[0].verdict is Verdict.CLEAR


def test_partly_dependent_columns_get_a_list_of_combinations(work: str) -> None:
    setup = (
        "create table parts (id int primary key, a int, b int)",
        # each a has four of a hundred b: neither follows from the other
        "insert into parts select g, g % 100, (g % 100 * 7 + g / 100 % 4) % 100 from generate_series(1, 100000) g",
    )

    def calls(ask: Ask) -> None:
        number = random.randrange(100)
        ask("select id from parts where a = %s and b = %s", number, (number * 7 + 1) % 100)

    load(work, setup, calls)
    report = judge(work)
    (finding,) = report.findings
    assert "(mcv)" in finding.remedy[0].sql
    assert finding.grade is Grade.C
    apply(work, report.findings)
    # what is known of values is right now; what a generic plan expects is not, and is not used by this load
    with psycopg.connect(work) as connection:
        plan = connection.execute(
            "explain (format json) select id from parts where a = 5 and b = 36"
        ).fetchone()
    assert plan is not None
    assert 150 <= plan[0][0]["Plan"]["Plan Rows"] <= 350
    verdict = judge(work).verdicts[0]
    assert verdict.verdict is Verdict.UNKNOWN
    assert "plans for known values" in verdict.reason
    undo(work, report.findings)


SKEWED = (
    "select setseed(0.3)",
    "create table tickets (id int primary key, tenant int, status text, is_closed bool)",
    "insert into tickets select g, floor(1000 * power(random(), 4)), '', random() < 0.99 from generate_series(1, 100000) g",
    "update tickets set status = case when random() < 0.9 then 'done' when random() < 0.7 then 'open' else 'spam' end",
    "create index on tickets (tenant)",
    "create table queues (id int primary key, queue int, state int, pad text)",
    "insert into queues select g, floor(20 * power(random(), 3)), (random() > 0.97)::int, 'x' from generate_series(1, 100000) g",
    "create table customers (id int primary key, name text)",
    "insert into customers select g, 'c' || g from generate_series(1, 5000) g",
    "create table orders (id int primary key, customer int references customers, pad text)",
    "insert into orders select g, 1 + floor(5000 * power(random(), 5)), 'x' from generate_series(1, 100000) g",
    "create index on orders (customer)",
)


@pytest.mark.spread(1)
def test_common_rare_and_missing_values_are_no_misestimate(work: str) -> None:
    def calls(ask: Ask) -> None:
        ask("select id from tickets where status = %s", random.choice(["done", "spam"]))
        ask("select id from tickets where tenant = %s and status = %s", 0, "done")
        ask("select tenant from tickets where tenant = %s and status = %s", 999, "spam")
        ask("select tenant from tickets where is_closed = %s", True)
        ask("select id from tickets where is_closed = %s", False)
        ask("select id from tickets where not is_closed")
        ask("select id from queues where queue = %s and state = %s", 0, 0)
        ask("select pad from queues where queue = %s and state = %s and pad = %s", 0, 0, "x")
        ask("select o.id from customers c join orders o on o.customer = c.id where c.id = %s", 1)
        ask(
            "select o.pad from orders o join customers c on o.customer = c.id where c.name = %s",
            "c1",
        )
        ask("select id from orders where customer = %s", -1)
        ask("select id from orders where customer > %s", 1)
        ask("select id from orders where pad like %s", "x%")
        ask("select tenant, status, count(*) from tickets group by tenant, status")
        ask("select distinct status from tickets")

    load(work, SKEWED, calls)
    report = judge(work)
    assert texts(report.findings) == []
    assert report.verdicts[0].verdict is Verdict.CLEAR, report.verdicts[0].reason


GROUPED = (
    "create table visits (id int primary key, host int, path int)",
    "insert into visits select g, g % 300, g % 300 * 3 + g % 2 from generate_series(1, 100000) g",
    "create table lines (id int primary key, doc int not null, pad text)",
    "insert into lines select g, g / 20, repeat('x', 100) from generate_series(1, 200000) g",
    "alter table lines alter id set statistics 1",
    "alter table lines alter doc set statistics 1",
    "alter table lines alter pad set statistics 1",
)


@pytest.mark.spread(1)
def test_groupings_count_their_values(work: str) -> None:
    def calls(ask: Ask) -> None:
        ask("select host, path, count(*) from visits group by 1, 2")
        ask("select distinct doc from lines")

    load(work, GROUPED, calls)
    report = judge(work)
    found = by_text(report)
    assert (
        "(ndistinct)"
        in found["select host, path, count(*) from visits group by 1, 2"].remedy[0].sql
    )
    if "select distinct doc from lines" in found:  # the sample is random
        assert "n_distinct = 10001" in found["select distinct doc from lines"].remedy[0].sql
    assert corrected(work, report.findings).findings == ()


@pytest.mark.spread(1)
def test_numbers_of_values_that_are_too_small_are_counted(work: str) -> None:
    setup = (
        *GROUPED[2:],
        "alter table lines alter doc set (n_distinct = 300)",
        "create table notes (id int, doc int not null)",
        "insert into notes select g, g % 10000 from generate_series(1, 10000) g",
        "alter table notes alter doc set (n_distinct = 300)",
    )
    load(work, setup, lambda ask: ask("select n.id from notes n join lines l on l.doc = n.doc"))
    report = judge(work)
    (finding,) = report.findings
    assert finding.evidence["planned_rows"] > 9 * finding.evidence["rows_per_call"]
    assert finding.evidence["columns"] == {"public.lines": ["doc"], "public.notes": ["doc"]}
    assert "count(DISTINCT doc)" in finding.remedy[0].sql
    apply(work, report.findings)
    columns = {(c.name, c.n_distinct_option) for c in collect(work).columns if c.n_distinct_option}
    assert ("doc", "10001.000000") in columns or ("doc", "10001") in columns
    assert judge(work).findings == ()
    undo(work, report.findings)
    assert {c.n_distinct_option for c in collect(work).columns if c.name == "doc"} == {"300"}


def test_nulls_and_missing_partners_are_named_and_not_corrected(work: str) -> None:
    setup = (
        "create table parents (id int primary key, t text)",
        "insert into parents select g, 't' from generate_series(1, 20000) g",
        "create table children (id int primary key, parent int references parents)",
        "insert into children select g, case when g % 20 = 0 then g % 20000 + 1 end from generate_series(1, 60000) g",
        "create table shops as select g as id, g % 2000 as city from generate_series(1, 20000) g",
        "create table towns as select g as id, 1950 + g % 2000 as city from generate_series(1, 20000) g",
    )

    def calls(ask: Ask) -> None:
        ask("select c.id, p.t from children c join parents p on p.id = c.parent")
        ask(
            "select c.id from children c join parents p on p.id = c.parent where c.parent is not null"
        )
        ask("select s.id from shops s join towns t using (city)")

    load(work, setup, calls)
    found = by_text(judge(work))
    nulls = found.pop("select c.id, p.t from children c join parents p on p.id = c.parent")
    assert "NULL" in nulls.detail
    assert not nulls.remedy
    (partners,) = found.values()
    assert "occur in both tables" in partners.detail
    assert not partners.remedy


def test_rows_that_come_and_go_are_no_misestimate(work: str) -> None:
    setup = (
        "create table queue (id int, kind int, owner int)",
        "create table kinds as select g as id, g as owner from generate_series(1, 10) g",
    )

    def calls(ask: Ask) -> None:
        ask("select id from queue")
        ask("select q.id, k.id from queue q join kinds k on k.id = q.kind")

    load(work, setup, calls)
    # when ANALYZE happens to look, it is full
    run(
        work,
        "insert into queue select g, g % 10 + 1, g from generate_series(1, 5000) g",
        "delete from queue",
        "insert into queue select g, g % 10 + 1, g from generate_series(1, 5000) g",
        "vacuum analyze queue",
    )
    run(work, "select pg_sleep(1)")  # before 15, what was counted is reported later
    report = judge(work)
    assert texts(report.findings) == []
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "have changed meanwhile" in report.verdicts[0].reason


def test_what_is_due_and_what_is_open_changes_with_time(work: str) -> None:
    setup = (
        "create table outbox (id int, sent_at timestamptz, is_failed bool)",
        "insert into outbox select g, now(), false from generate_series(1, 50000) g",
        "create table jobs as select g as id, now() + g * interval '1 minute' as run_at from generate_series(1, 50000) g",
    )

    def calls(ask: Ask) -> None:
        ask("select id from outbox where sent_at is null")
        ask("select id from outbox where is_failed")
        ask("select id from jobs where run_at <= now() + '300 days'")
        ask("select id from jobs where run_at <= current_timestamp")

    load(work, setup, calls)
    # a backlog when ANALYZE looks
    run(
        work,
        "update outbox set sent_at = null, is_failed = true where id < 20000",
        "update jobs set run_at = run_at - interval '10000 minutes'",
        "vacuum analyze outbox",
        "vacuum analyze jobs",
    )
    run(work, "select pg_sleep(1)")  # before 15, what was counted is reported later
    assert texts(judge(work).findings) == []


def test_rows_that_tell_nothing_are_not_called_clear(work: str) -> None:
    load(
        work,
        CARS,
        lambda ask: ask("select count(*) from cars where maker = %s and model = %s", 5, 15),
    )
    verdict = judge(work).verdicts[0]
    assert verdict.verdict is Verdict.UNKNOWN
    assert "an aggregate" in verdict.reason


def test_stale_statistics_are_another_rules(work: str) -> None:
    run(work, *CARS, "analyze", "select pg_stat_statements_reset()")
    run(work, "insert into cars select g, 7, 21, 7 from generate_series(100001, 180000) g")
    with psycopg.connect(work, autocommit=True) as connection:
        for _ in range(30):
            connection.execute("select id from cars where maker = 7 and model = 21")
        settle(connection)
    time.sleep(0.6)
    snapshot = with_plans(work)
    if any(a.last_autoanalyze for a in snapshot.table_activity):
        return  # autovacuum was faster
    assert judged(snapshot, RULE, min_load_share=0).findings == ()


def test_without_plans_the_verdict_is_unknown(work: str) -> None:
    assert judged(collect(work), RULE).verdicts[0].verdict is Verdict.UNKNOWN
