"""Collecting in tiers over one kept connection."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from pgwatch_wed.analyse import judge
from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Cause, QueryCost, Snapshot
from pgwatch_wed.facts.file import load
from pgwatch_wed.rules import all_rules
from pgwatch_wed.serve.collector import known, settings, tiers
from pgwatch_wed.serve.collector.collector import Collector
from pgwatch_wed.serve.collector.ledger import Ledger
from pgwatch_wed.serve.state import Board, Collected
from pgwatch_wed.target import collect as collecting
from pgwatch_wed.target.collect import ORDER, collect

SETTINGS = settings.CollectorSettings()
SNAPSHOT = Path(__file__).parent.parent.parent / "reports" / "example" / "shop.json.zst"
ROOMY = replace(SETTINGS, budget=1.0)


class SteppedClock:
    """Goes on only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@contextmanager
def collector(dsn: str, clock: SteppedClock | None = None) -> Iterator[tuple[Collector, Board]]:
    board = Board()
    monotonic = clock or time.monotonic
    made = Collector(board, "shop", dsn, ROOMY, Config(), monotonic, monotonic)
    try:
        yield made, board
    finally:
        made.stop()
        made._connection.close()


def newest(board: Board) -> Collected:
    return board.state.targets["shop"]


# --- without a server ---------------------------------------------------------------------------------


def test_every_fact_is_in_one_tier() -> None:
    named = [name for names in tiers.FACTS.values() for name in names]
    assert sorted(named) == sorted(ORDER)


def test_no_rule_that_runs_every_few_minutes_needs_the_catalogs() -> None:
    quick = {rule.id for rule in all_rules() if tiers.is_quick(rule)}
    assert {"lock-blocked", "vacuum-dead-tuples", "query-top-time"} <= quick
    assert not quick & {"index-unused", "index-missing-fk", "schema-int-overflow"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"moving": "often"}, "file: serve.collector.moving must be a number from 1 to 86400"),
        ({"moving": True}, "file: serve.collector.moving must be"),
        ({"budget": float("nan")}, "file: serve.collector.budget must be"),
        ({"moving": 90}, "file: serve.collector: moving, activity, rules and catalogs must ascend"),
        ({"speed": 1}, "file: serve.collector: unknown key 'speed'"),
    ],
)
def test_a_wrong_setting_is_one_line_with_file_and_key(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        settings.parse(table, "file")
    assert raised.value.message.startswith(said)


def test_settings_are_read() -> None:
    assert settings.parse({"moving": 5, "budget": 0.05}, "file") == replace(
        SETTINGS, moving_s=5.0, budget=0.05
    )


def test_over_budget_the_slower_tiers_are_stretched_first_and_all_fit_then() -> None:
    ledger = Ledger(0.01, SETTINGS.intervals)
    ledger.add(tiers.MOVING, [QueryCost("sessions", 3, 0.06)])
    assert set(ledger.stretches().values()) == {1.0}
    ledger.add(tiers.ACTIVITY, [QueryCost("statements", 5000, 1.2)])
    stretches = ledger.stretches()
    assert stretches[tiers.MOVING] == 1.0
    assert stretches[tiers.ACTIVITY] > 1
    taken = sum(
        ledger.per_round.get(tier, 0.0) / (seconds * stretches[tier])
        for tier, seconds in SETTINGS.intervals.items()
    )
    assert taken == pytest.approx(0.01)


def test_moving_facts_alone_over_budget_are_stretched_too() -> None:
    ledger = Ledger(0.01, SETTINGS.intervals)
    ledger.add(tiers.MOVING, [QueryCost("sessions", 3, 0.45)])
    assert ledger.stretches()[tiers.MOVING] == pytest.approx(3.0)


def test_the_way_there_is_not_counted_as_the_servers_time() -> None:
    ledger = Ledger(0.01, SETTINGS.intervals)
    ledger.add(tiers.MOVING, [QueryCost("sessions", 3, 0.031), QueryCost("locks", 0, 0.02)], 0.0302)
    assert ledger.seconds["sessions"] == pytest.approx(0.001)
    assert ledger.seconds["locks"] == 0


# --- facts of different times -------------------------------------------------------------------------


def test_what_is_older_than_three_intervals_is_missing(db: str) -> None:
    part = collect(db, only=("sessions", "settings"))
    once = known.added(None, part, ("sessions", "settings"), 100.0)
    later = once.as_of(146.0, SETTINGS.intervals)
    assert "last read 46 s ago" in later.missing["sessions"].reason
    assert later.settings
    assert "not read yet" in later.missing["tables"].reason


def test_counters_from_before_a_reset_are_not_compared_with_its_date(db: str) -> None:
    with psycopg.connect(db, autocommit=True) as session:
        session.execute("create table t (a int)")
    part = collect(db, only=("databases", "table_activity", "index_usage"))
    names = ("databases", "table_activity", "index_usage")
    before = known.added(None, part, names, 100.0)
    assert before.as_of(100.0, SETTINGS.intervals).table_activity
    reset = part.now + timedelta(seconds=1)
    databases = tuple(replace(d, stats_reset=reset) for d in part.databases)
    after = known.added(before, replace(part, databases=databases), ("databases",), 101.0)
    seen = after.as_of(101.0, SETTINGS.intervals)
    assert seen.table_activity == ()
    assert "before the counters were reset" in seen.missing["table_activity"].reason


# --- on a real server ---------------------------------------------------------------------------------


def test_one_round_reads_all_tiers_and_lets_all_rules_judge(db: str) -> None:
    with collector(db) as (made, board):
        stages: list[Collected] = []
        board.listen(lambda state: stages.append(state.targets["shop"]))
        wait = made.run_once()
        assert 0 <= wait <= SETTINGS.moving_s * 20
        first, last = stages[0], stages[-1]
        assert set(first.read_at) == {tiers.MOVING}  # published at once
        assert set(last.read_at) == set(tiers.FACTS)
        assert last.report is not None
        assert {v.rule for v in last.report.verdicts} == {r.id for r in all_rules()}
        assert last.rules_judged_at.keys() == {r.id for r in all_rules()}
        assert last.snapshot is not None
        assert not any("pgwatch" in (s.application_name or "") for s in last.snapshot.sessions)
        assert last.query_seconds.keys() >= {"sessions", "table_activity", "indexes"}
        assert not made._connection.is_usable  # the catalogs' backend is not kept
        again = collect(db)
        lacking = {n for n, m in last.snapshot.missing.items() if n not in collecting.DERIVED}
        assert lacking == {n for n in again.missing if n not in collecting.DERIVED}


def test_tiers_are_read_in_their_rhythm_over_one_connection(db: str) -> None:
    clock = SteppedClock()
    with collector(db, clock) as (made, board):
        made.run_once()
        pids = set()
        for _ in range(8):
            clock.seconds += made.run_once()
            made.run_once()
            snapshot = newest(board).snapshot
            assert snapshot is not None
            pids.add(snapshot.server.backend_pid)
        collected = newest(board)
        assert len(pids) == 1
        assert collected.read_at[tiers.MOVING] == 1_120.0
        assert collected.read_at[tiers.ACTIVITY] == 1_120.0
        assert collected.read_at[tiers.CATALOGS] == 1_000.0
        assert collected.judged_at == 1_000.0
        clock.seconds = 1_300.0
        made.run_once()
        assert newest(board).judged_at == 1_300.0
        assert newest(board).rules_judged_at["lock-blocked"] == 1_300.0
        assert newest(board).rules_judged_at["index-unused"] == 1_000.0


def test_an_index_that_came_makes_the_catalogs_due_early(db: str) -> None:
    clock = SteppedClock()
    with collector(db, clock) as (made, board):
        made.run_once()
        with psycopg.connect(db, autocommit=True) as session:
            session.execute("create table t (a int primary key)")
        for moment in (1_300.0, 1_600.0):
            clock.seconds = moment
            made.run_once()
        snapshot = newest(board).snapshot
        assert snapshot is not None
        assert [i.name for i in snapshot.indexes] == ["t_pkey"]


def test_it_does_not_wait_for_a_locked_table(db: str) -> None:
    with psycopg.connect(db, autocommit=True) as session:
        session.execute("create table t (a int primary key); create sequence s")
    with psycopg.connect(db) as holder, collector(db) as (made, board):
        holder.execute("lock table t in access exclusive mode")
        begun = time.monotonic()
        made.run_once()
        assert time.monotonic() - begun < 60
        assert newest(board).failure == ""
        waits = newest(board).snapshot
        assert waits is not None
        assert waits.lock_waits == ()
        assert not [n for n, m in waits.missing.items() if m.cause is Cause.LOCKED]


def test_after_a_lost_connection_it_reads_again_by_itself(db: str) -> None:
    clock = SteppedClock()
    with collector(db, clock) as (made, board):
        made.run_once()
        clock.seconds += 15
        made.run_once()
        snapshot = newest(board).snapshot
        assert snapshot is not None
        with psycopg.connect(db, autocommit=True) as session:
            session.execute("select pg_terminate_backend(%s)", (snapshot.server.backend_pid,))
        clock.seconds += 15
        pause = made.run_once()
        assert newest(board).failure
        assert not newest(board).readings[tiers.MOVING].succeeded
        clock.seconds += pause
        made.run_once()
        assert newest(board).failure == ""
        assert newest(board).readings[tiers.MOVING].succeeded


def test_a_target_that_is_down_costs_growing_pauses_and_no_error() -> None:
    clock = SteppedClock()
    dsn = "host=127.0.0.1 port=1 dbname=x"
    with collector(dsn, clock) as (made, board):
        pauses = []
        for _ in range(6):
            pauses.append(made.run_once())
            clock.seconds += pauses[-1]
        assert pauses == [1, 2, 4, 8, 15, 15]
        assert "could not connect" in newest(board).failure
        assert newest(board).snapshot is None


def test_an_error_in_telling_of_an_error_does_not_end_the_collecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_self: Collector, _failure: str) -> Collected:
        raise RuntimeError

    with collector("host=127.0.0.1 port=1") as (made, _):
        monkeypatch.setattr(Collector, "_collected", fail)
        assert made._survived() == ROOMY.moving_s


def test_after_a_restart_nothing_from_before_is_kept(db: str) -> None:
    with collector(db) as (made, board):
        made.run_once()
        assert made._era is not None
        made._era = (*made._era[:1], datetime(2020, 1, 1, tzinfo=UTC), *made._era[2:])
        made._due[tiers.MOVING] = 0.0
        made.run_once()
        assert "restarted" in newest(board).failure
        assert newest(board).snapshot is None
        assert newest(board).report is None
        made.run_once()
        assert newest(board).failure == ""
        assert set(newest(board).read_at) == set(tiers.FACTS)


# --- what rules look at -------------------------------------------------------------------------------


class WatchedSnapshot(Snapshot):
    """Notes which facts are looked at."""

    looked_at: ClassVar[set[str]] = set()

    def __getattribute__(self, name: str) -> Any:
        if name in tiers.TIER_OF:
            WatchedSnapshot.looked_at.add(name)
        return super().__getattribute__(name)


def test_rules_that_judge_between_two_readings_of_the_catalogs_do_not_look_at_them() -> None:
    example = load(SNAPSHOT)
    looking = {}
    for rule in (r for r in all_rules() if tiers.is_quick(r)):
        watched = WatchedSnapshot(**{f.name: getattr(example, f.name) for f in fields(Snapshot)})
        WatchedSnapshot.looked_at.clear()
        judge(rule, watched, Config())
        if old := WatchedSnapshot.looked_at - set(tiers.of_tiers(tiers.TOGETHER)):
            looking[rule.id] = old
    assert {r for r in looking if r not in ONLY_NAMES} <= tiers.LOOKS_AT_CATALOGS
    assert len(looking) > 3


# Of an index whose lock somebody waits for.
ONLY_NAMES = {"lock-blocked", "lock-idle-in-transaction"}
