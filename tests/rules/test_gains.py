"""What a report promises in time: on real servers, with statements that other cures or locks compete for."""

import threading
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Report, Severity
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from tests.rules.judging import run

# What is promised is found in the lab, which is the same for every server.
pytestmark = pytest.mark.spread(1)

SCHEMA = """
create extension if not exists pg_stat_statements;
create table events (id int primary key, a int, b int, n int default 0, note text);
insert into events select g, g % 9973, (g * 7) % 9967, 0, repeat('x', 60) from generate_series(1, 60000) g;
"""
TIMED = ("index-missing", "query-jit-overhead", "query-top-time", "query-temp-spill")


@pytest.fixture
def shop(every_db: str) -> str:
    run(every_db, *SCHEMA.strip().split(";\n"))
    run(every_db, "vacuum analyze events", "select pg_stat_statements_reset()")
    return every_db


def snapshot_of(dsn: str) -> Snapshot:
    (snapshot,) = gather(dsn, Wanted(), lambda _what, _share: None)
    assert "missing_indexes" not in snapshot.missing
    return snapshot


def report(snapshot: Snapshot) -> Report:
    return analyse([snapshot], Config(only=TIMED, window_days=0))


def of_rule(found: Report, rule: str) -> list[Finding]:
    return [f for f in found.findings if f.rule == rule]


def spent(snapshot: Snapshot, word: str) -> float:
    return sum(s.total_exec_ms for s in snapshot.statements if word in (s.text or ""))


@pytest.mark.pg(">= 15, < 19")
def test_jit_that_is_all_of_the_time_comes_before_the_index_for_the_same_time(shop: str) -> None:
    slow = "set jit = on", "set jit_above_cost = 0", "set jit_optimize_above_cost = 0"
    with psycopg.connect(shop, autocommit=True) as connection:
        for each in (*slow, "set jit_inline_above_cost = 0"):
            connection.execute(each)
        for number in range(500):  # more than the rule's least time, on a quick machine, too
            connection.execute("select count(note), sum(n) from events where a = %s", [number * 7])
        (available,) = connection.execute("select pg_jit_available()").fetchone() or (False,)
    snapshot = snapshot_of(shop)
    found = report(snapshot if available else _compiling(snapshot))
    (jit,) = of_rule(found, "query-jit-overhead")
    assert found.findings[0] == jit
    assert jit.severity is Severity.WARNING
    gains = [f.impact.gain.ms for f in found.findings if f.impact.gain]
    assert sum(gains) <= 1.001 * spent(snapshot, "from events")
    for index in of_rule(found, "index-missing"):
        assert index.severity is Severity.INFO
        assert "query-jit-overhead" in " ".join(index.caveats)


def _compiling(snapshot: Snapshot) -> Snapshot:
    """Return the counters of a server that can compile."""
    ran = tuple(
        replace(s, jit_ms=0.97 * s.total_exec_ms, jit_functions=9)
        if "sum(n)" in (s.text or "")
        else s
        for s in snapshot.statements
    )
    on = tuple(replace(s, setting="on") if s.name == "jit" else s for s in snapshot.settings)
    return replace(snapshot, statements=ran, settings=on)


@pytest.mark.pg("< 19")
def test_two_indexes_for_one_statement_promise_its_time_once(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as connection:
        for number in range(80):
            ask = "select count(note) from events where a = %s or b = %s"
            connection.execute(ask, [number * 31, number * 17])
    snapshot = snapshot_of(shop)
    indexes = of_rule(report(snapshot), "index-missing")
    assert len(indexes) == 2
    promised = sum(f.impact.gain.ms for f in indexes if f.impact.gain)
    assert 0.5 * spent(snapshot, "or b") < promised <= 1.001 * spent(snapshot, "or b")
    for index in indexes:
        assert "build it together with" in " ".join(index.caveats)
        assert index.related


@pytest.mark.pg(">= 14, < 19")  # before 14, nothing tells when statements were reset
def test_a_millisecond_a_day_is_not_mentioned_and_seconds_are_no_warning(shop: str) -> None:
    ask = "select note from events where a = %s"
    run(shop, ask, times=60, args=(7,))
    snapshot = snapshot_of(shop)
    (finding,) = of_rule(report(snapshot), "index-missing")
    assert finding.severity is Severity.WARNING, "a large part of the time that has passed"
    assert finding.impact.ms_per_day is None
    (hour,) = of_rule(report(_older(snapshot, hours=20)), "index-missing")
    assert hour.severity is Severity.INFO
    assert of_rule(report(_older(snapshot, hours=24 * 365)), "index-missing") == []


def _older(snapshot: Snapshot, hours: int) -> Snapshot:
    """Return a snapshot whose counters began earlier."""
    back = timedelta(hours=hours)
    infos = (
        replace(i, stats_reset=i.stats_reset and i.stats_reset - back)
        for i in snapshot.statements_info
    )
    ran = (
        replace(s, stats_since=s.stats_since and s.stats_since - back) for s in snapshot.statements
    )
    return replace(snapshot, statements_info=tuple(infos), statements=tuple(ran))


@pytest.mark.pg("< 19")
def test_time_in_lock_waits_is_not_promised(shop: str) -> None:
    change = "update events set n = n + 1 where a = 4711"
    run(shop, change, times=3)
    for _ in range(4):
        _change_behind_a_lock(shop, change, seconds=0.6)
    snapshot = snapshot_of(shop)
    total = spent(snapshot, "update events")
    assert total > 2000
    (finding,) = of_rule(report(snapshot), "index-missing")
    assert finding.impact.gain is not None
    assert finding.impact.gain.ms < 0.3 * total
    assert finding.grade is Grade.C
    assert "waiting for locks" in " ".join(finding.caveats)
    (top,) = of_rule(report(snapshot), "query-top-time")
    assert top.impact.gain is None
    assert "waiting for locks" in " ".join(top.caveats)


def _change_behind_a_lock(dsn: str, change: str, seconds: float) -> None:
    with psycopg.connect(dsn) as holder:
        holder.execute("select 1 from events where a = 4711 for update")
        waiter = threading.Thread(target=run, args=(dsn, change))
        waiter.start()
        threading.Event().wait(seconds)
        holder.rollback()
        waiter.join()


@pytest.mark.pg("< 19")
def test_a_range_whose_rows_were_counted_is_not_promised_as_half_a_percent(shop: str) -> None:
    wide = "select a, b, note from events where id + 0 >= 0 and b between %s and %s"
    narrow = "select b, note from events where a between %s and %s"
    with psycopg.connect(shop, autocommit=True) as connection:
        for number in range(30):
            connection.execute(wide, [number * 10, number * 10 + 7000])
            connection.execute(narrow, [number * 100, number * 100 + 3])
    snapshot = snapshot_of(shop)
    found = of_rule(report(snapshot), "index-missing")
    (narrow_one,) = [f for f in found if f.evidence["columns"][0] == "a"]
    assert narrow_one.grade is Grade.C
    assert "depends on parameters" in " ".join(narrow_one.caveats)
    for other in found:
        if other is not narrow_one:
            assert other.impact.gain is not None
            assert other.impact.gain.ms < 0.6 * spent(snapshot, "id +"), (
                "seven of ten rows are read"
            )


@pytest.mark.pg("< 19")
def test_maintaining_an_index_takes_no_more_than_a_part_of_the_writes(shop: str) -> None:
    with psycopg.connect(shop, autocommit=True) as connection:
        for number in range(200):
            connection.execute(
                "insert into events values (%s, %s, 1, 0, 'x')", [100_000 + number, number]
            )
            if number % 4 == 0:
                connection.execute("select note from events where a = %s", [number * 31])
    snapshot = snapshot_of(shop)
    (finding,) = of_rule(report(snapshot), "index-missing")
    assert 0 < finding.evidence["added_write_ms"] <= 0.51 * spent(snapshot, "insert into events")


@pytest.mark.pg("< 19")
def test_a_value_that_most_rows_have_makes_the_gain_a_guess(shop: str) -> None:
    run(
        shop,
        "update events set b = b % 5 where id % 10 >= 6",
        "update events set b = 7 where b > 5",
    )
    run(shop, "vacuum full events", "analyze events", "select pg_stat_statements_reset()")
    with psycopg.connect(shop, autocommit=True) as connection:
        for number in range(60):
            connection.execute("select sum(n) from events where b = %s", [number % 5])
    (finding,) = of_rule(report(snapshot_of(shop)), "index-missing")
    assert finding.grade is Grade.C
    assert "most common value of b" in " ".join(finding.caveats)
