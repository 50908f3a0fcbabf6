"""A statement that became slower on a real server: what is reported, why, and what only looks like it."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.analyse import judge
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.rows import HistoryCoverage, StatementShift
from pgwatch_wed.findings import Finding, RuleVerdict, Verdict
from pgwatch_wed.gather.enrichment import put
from pgwatch_wed.history import recall, runs, store
from pgwatch_wed.history.runs import NewRun
from pgwatch_wed.rules import all_rules
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.plans import statement_plans
from tests.psql import psql
from tests.shift_rows import statement_shift

CALLS = 12
RISEN = ("wal-volume-risen", "connection-peak-risen", "query-table-load-risen")
SHOP = """
create extension if not exists pg_stat_statements;
create table orders (id int primary key, customer int not null, note text not null);
insert into orders select g, g % 3000, repeat('n', 50) from generate_series(1, 30000) g;
create index orders_customer on orders (customer);
create table logs (id int primary key, note text not null);
insert into logs select g, repeat('n', 50) from generate_series(1, 5000) g;
create table jobs (id int, note text);
create table grown (id int);
insert into grown select 5 from generate_series(1, 1000) g;
vacuum analyze;
"""
WAITING = "select pg_sleep(%s)"
ALL_GROWN = "select id from grown where id <> %s"
BY_CUSTOMER = "select note from orders where customer = %s"
STEADY = [f"select count(note) as n{n} from logs where id > %s" for n in range(1)] + [
    f"select count(note), {', '.join(['max(id)'] * n)} from logs where id > %s" for n in range(1, 9)
]


class Shop:
    """A server, its history, and a workload."""

    def __init__(self, dsn: str, history: store.Store) -> None:
        self.dsn, self.history, self.wait_s = dsn, history, 0.002
        psql(dsn, SHOP)
        self.connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)

    def interval(self, *, is_planned: bool = False) -> Snapshot:
        """Work, and keep a run, of which some plan the statements as well."""
        for n in range(CALLS):
            self.connection.execute(BY_CUSTOMER, [n])
            self.connection.execute(ALL_GROWN, [n])
            self.connection.execute(WAITING, [self.wait_s])
            for text in STEADY:
                self.connection.execute(text, [n])
        self.connection.execute("select pg_stat_force_next_flush()")
        time.sleep(0.05)
        snapshot = collect(self.dsn)
        if is_planned:
            snapshot = put(snapshot, statement_plans=statement_plans(self.dsn, snapshot, None))
        with self.history.writing() as connection:
            runs.add(connection, NewRun([snapshot]))
        return snapshot

    def told(
        self, snapshot: Snapshot, rule_id: str = "query-regression"
    ) -> tuple[RuleVerdict, tuple[Finding, ...]]:
        """Evaluate a rule on a snapshot, with its history."""
        with self.history.reading() as connection:
            (known,) = recall.recalled(connection, [snapshot])
        rule = next(r for r in all_rules() if r.id == rule_id)
        return judge(rule, known, Config())

    def outcome(self, snapshot: Snapshot, text: str) -> str:
        """Return what was found out about a statement."""
        with self.history.reading() as connection:
            (known,) = recall.recalled(connection, [snapshot])
        texts = {s.query_id: s.text for s in known.statements}
        own = text.replace("%s", "$1")
        return next(s.outcome for s in known.statement_shifts if texts[s.query_id] == own)


@pytest.fixture
def shop(db: str, tmp_path: Path) -> Iterator[Shop]:
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    made = Shop(db, opened)
    yield made
    made.connection.close()
    opened.close()


def test_without_a_history_nothing_new_is_said(shop: Shop) -> None:
    rule = next(r for r in all_rules() if r.id == "query-regression")
    verdict, found = judge(rule, collect(shop.dsn), Config())
    assert (verdict.verdict, found) == (Verdict.UNKNOWN, ())


def test_a_dropped_index_is_the_cause_and_its_creation_the_remedy(shop: Shop) -> None:
    shop.interval()
    verdict, _ = shop.told(shop.interval())
    assert verdict.verdict is Verdict.UNKNOWN, "two runs prove nothing about time"
    assert "1 intervals between runs are known, and 12 are necessary" in verdict.reason
    assert "every hour" in verdict.mend

    for n in range(11):
        before = shop.interval(is_planned=n in (3, 9))
    verdict, found = shop.told(before)
    # the clock of a busy machine may say otherwise; blocks do not
    assert [f.title for f in found if f.grade < "C"] == [], "an unchanged workload"
    for rule_id in RISEN:
        verdict, found = shop.told(before, rule_id)
        assert (verdict.verdict, found) == (Verdict.CLEAR, ()), rule_id

    shop.connection.execute("drop index orders_customer")
    shop.wait_s = 0.02
    with contextlib.ExitStack() as sessions:
        for _ in range(20):
            sessions.enter_context(psycopg.connect(shop.dsn))
        for _ in range(3):
            shop.connection.execute(
                "insert into jobs select g, 'n' from generate_series(1, 30000) g"
            )
            shop.connection.execute("insert into grown select 5 from generate_series(1, 5000)")
            after = shop.interval()
    _, found = shop.told(after)
    # on a busy machine, others may be slower as well
    (finding,) = (f for f in found if f.evidence.get("query") == BY_CUSTOMER.replace("%s", "$1"))
    assert finding.evidence["ratio"] > 3
    assert finding.evidence["blocks_ratio"] > 3
    assert finding.evidence["calls_after"] == 3 * CALLS
    assert finding.grade == "B", "its plan is not known now"
    assert "its generic plan" in finding.detail.partition("Not compared")[2]
    assert "index public.orders_customer was dropped" in finding.detail
    assert "settings" in finding.detail.partition("Ruled out")[2]
    (waiting,) = (f for f in found if f.evidence.get("query") == WAITING.replace("%s", "$1"))
    assert waiting.grade == "C", "time alone"
    assert shop.outcome(after, ALL_GROWN) == "grown", (
        "it returns more rows, and takes longer in step"
    )
    planned = shop.interval(is_planned=True)
    (known,) = (
        f for f in shop.told(planned)[1] if f.evidence.get("query") == finding.evidence["query"]
    )
    assert known.grade == "A"
    assert known.evidence["plan_before"].endswith("using orders_customer)")
    assert known.evidence["plan_after"] == "Seq Scan public.orders"
    assert (
        f"plan was {known.evidence['plan_before']}, and is Seq Scan public.orders." in known.detail
    )
    assert finding.remedy[0].sql.startswith("CREATE INDEX CONCURRENTLY")
    psql(shop.dsn, finding.remedy[0].sql)
    assert [i.name for i in collect(shop.dsn).indexes] == [i.name for i in before.indexes]
    psql(shop.dsn, finding.remedy[0].undo)
    assert [i.name for i in collect(shop.dsn).indexes] == [i.name for i in after.indexes]

    risen = {rule_id: {f.object.name for f in shop.told(after, rule_id)[1]} for rule_id in RISEN}
    assert risen["wal-volume-risen"] == {"WAL volume"}
    assert risen["connection-peak-risen"] == {"number of connections"}
    assert risen["query-table-load-risen"] >= {"orders", "jobs"}


def test_what_was_not_compared_is_not_ruled_out(shop: Shop) -> None:
    snapshot = shop.interval()
    (number,) = [s.query_id for s in snapshot.statements if "where customer" in (s.text or "")]
    rule = next(r for r in all_rules() if r.id == "query-regression")

    def judged(shift: StatementShift) -> tuple[RuleVerdict, tuple[Finding, ...]]:
        asked = (HistoryCoverage("statement_shifts", 20, None),)
        slower = replace(shift, causes=(), is_server_slower=False)
        known = replace(snapshot, statement_shifts=(slower,), history_coverage=asked)
        return judge(rule, known, Config())

    _, (finding,) = judged(replace(statement_shift(number), compared=("version", "setting")))
    ruled_out, _, unseen = finding.detail.partition("Not compared")
    assert "settings" in ruled_out
    assert "indexes" not in ruled_out
    assert "the indexes of its tables" in unseen

    verdict, found = judged(statement_shift(number + 1))
    assert (verdict.verdict, found) == (Verdict.UNKNOWN, ())
    assert "no longer among those of pg_stat_statements" in verdict.reason
