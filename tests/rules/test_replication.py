"""Replication rules: real standbys and slots, some of them left behind."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Severity, Verdict
from pgwatch_wed.target.collect import collect
from tests.rules.judging import apply, found, judged, run, verdict
from tests.rules.waiting import eventually, later
from tests.servers import Server
from tests.standby import catch_up, standby_of

GIB = 1024**3
WRITE = "insert into big select repeat('x', 1000) from generate_series(1, 20000)"


@pytest.fixture(scope="module")
def primary() -> Iterator[embedded.EmbeddedServer]:
    with embedded.start({"wal_level": "logical", "max_wal_size": "64MB"}) as server:
        run(server.dsn(), "create table big (doc text)")
        yield server


# --- replication-lag ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_standby_that_stands_still_is_behind_and_one_that_follows_is_not(
    primary: embedded.EmbeddedServer,
) -> None:
    with standby_of(primary) as follower:
        catch_up(primary, follower)
        assert not found(primary.dsn(), "replication-lag")
        assert verdict(follower.dsn(), "replication-lag") is Verdict.CLEAR
        run(
            follower.dsn(),
            "alter system set wal_receiver_status_interval = '1s'",
            "select pg_reload_conf()",
            "select pg_wal_replay_pause()",
        )
        run(primary.dsn(), WRITE)
        small = {"min_lag_bytes": 10_000_000, "min_lag": timedelta(seconds=0.2)}
        time.sleep(3)
        (behind,) = found(primary.dsn(), "replication-lag", **small)
        assert behind.object.kind == "standby"
        assert behind.evidence["replay_lag_bytes"] > 10_000_000
        assert behind.evidence["sent_lag_bytes"] < 10_000_000, "it got the WAL"
        assert not behind.remedy
        (own,) = found(follower.dsn(), "replication-lag", **small)
        assert "paused" in own.detail
        run(follower.dsn(), "select pg_wal_replay_resume()")
        catch_up(primary, follower)
        assert not found(follower.dsn(), "replication-lag", **small)


@pytest.mark.slow
def test_lag_is_judged_by_bytes_and_time_together(primary: embedded.EmbeddedServer) -> None:
    with standby_of(primary) as follower:
        catch_up(primary, follower)
        snapshot = collect(primary.dsn())
    (real,) = snapshot.replicas

    def severities(lag_bytes: int, lag_ms: float | None) -> list[Severity]:
        behind = replace(real, replay_lag_bytes=lag_bytes, replay_lag_ms=lag_ms)
        changed = replace(snapshot, replicas=(behind,))
        return [f.severity for f in judged(changed, "replication-lag").findings]

    assert severities(500_000_000, 5_000) == [], "a busy server's bytes"
    assert severities(1_000, 600_000) == [], "an idle server's time"
    assert severities(500_000_000, 60_000) == [Severity.INFO]
    assert severities(500_000_000, 600_000) == [Severity.WARNING]
    assert severities(2 * GIB, 60_000) == [Severity.WARNING]
    assert severities(500_000_000, None) == [Severity.INFO]


# --- replication-slot-inactive ------------------------------------------------------------------


@pytest.fixture
def slot(primary: embedded.EmbeddedServer) -> Iterator[str]:
    """An abandoned slot whose name wants quoting care."""
    name = "left_behind"
    run(primary.dsn(), f"select pg_create_logical_replication_slot('{name}', 'pgoutput')")
    yield name
    run(
        primary.dsn(),
        f"select pg_drop_replication_slot(slot_name) from pg_replication_slots"
        f" where slot_name = '{name}' and not active",
    )


def test_a_slot_that_nobody_reads_is_found_and_dropped(
    primary: embedded.EmbeddedServer, slot: str
) -> None:
    snapshot = collect(primary.dsn())
    assert not judged(snapshot, "replication-slot-inactive").findings, "it may be restarting"
    (finding,) = judged(later(snapshot, hours=1), "replication-slot-inactive").findings
    assert finding.object.name == slot
    assert finding.severity is Severity.INFO
    assert "holds back VACUUM" not in finding.detail, "it binds the catalogs alone"
    (finding,) = judged(later(snapshot, days=2), "replication-slot-inactive").findings
    assert finding.severity is Severity.WARNING
    apply(primary.dsn(), [finding])
    assert not judged(later(collect(primary.dsn()), days=2), "replication-slot-inactive").findings


def test_before_17_inactive_now_is_all_that_is_known(
    primary: embedded.EmbeddedServer, slot: str
) -> None:
    snapshot = collect(primary.dsn())
    unknown = tuple(replace(s, inactive_since=None) for s in snapshot.slots)
    (finding,) = judged(replace(snapshot, slots=unknown), "replication-slot-inactive").findings
    assert finding.severity is Severity.INFO
    assert slot in finding.title
    huge = tuple(replace(s, inactive_since=None, retained_bytes=2 * GIB) for s in snapshot.slots)
    (finding,) = judged(replace(snapshot, slots=huge), "replication-slot-inactive").findings
    assert finding.severity is Severity.WARNING


def test_slots_that_are_inactive_by_nature_are_left_alone(primary: embedded.EmbeddedServer) -> None:
    # a physical slot that never reserved anything keeps nothing; a temporary one goes with its session
    run(primary.dsn(), "select pg_create_physical_replication_slot('unused')")
    with psycopg.connect(primary.dsn(), autocommit=True) as owner:
        owner.execute("select pg_create_physical_replication_slot('mine', true, true)")
        snapshot = later(collect(primary.dsn()), days=3)
    names = {f.object.name for f in judged(snapshot, "replication-slot-inactive").findings}
    assert names == set()
    run(primary.dsn(), "select pg_drop_replication_slot('unused')")


@pytest.mark.slow
def test_a_slot_that_is_read_is_not_inactive(primary: embedded.EmbeddedServer) -> None:
    with standby_of(primary, "follower") as follower:
        catch_up(primary, follower)
        snapshot = later(collect(primary.dsn()), days=3)
        assert [s.name for s in snapshot.slots] == ["follower"]
        assert not judged(snapshot, "replication-slot-inactive").findings
        follower.halt("immediate")
        time.sleep(0.5)
        snapshot = later(collect(primary.dsn()), days=3)
        assert judged(snapshot, "replication-slot-inactive").findings
        follower.adopt()
    run(primary.dsn(), "select pg_terminate_backend(active_pid) from pg_replication_slots")
    run(primary.dsn(), "select pg_drop_replication_slot('follower')")


# --- replication-slot-retention -----------------------------------------------------------------


def test_retained_wal_is_measured_and_judged_by_its_size(
    primary: embedded.EmbeddedServer, slot: str
) -> None:
    run(primary.dsn(), WRITE)
    snapshot = collect(primary.dsn())
    (real,) = snapshot.slots
    assert real.retained_bytes is not None
    assert real.retained_bytes > 20_000_000
    assert not judged(snapshot, "replication-slot-retention").findings
    (finding,) = judged(
        snapshot, "replication-slot-retention", min_retained_bytes=20_000_000
    ).findings
    assert finding.impact.bytes == real.retained_bytes
    assert finding.impact.risk == "pg_wal grows until the disk is full"

    def severities(**changes: object) -> list[Severity]:
        slots = (replace(real, **changes),)  # type: ignore[arg-type]
        report = judged(replace(snapshot, slots=slots), "replication-slot-retention")
        return [f.severity for f in report.findings]

    assert severities(retained_bytes=2 * GIB) == [Severity.INFO]
    assert severities(retained_bytes=6 * GIB) == [Severity.WARNING]
    assert severities(retained_bytes=GIB // 2, safe_wal_bytes=GIB // 4) == [Severity.WARNING]
    assert severities(retained_bytes=GIB // 8, safe_wal_bytes=GIB // 2) == [], (
        "merely a small limit"
    )
    assert severities(retained_bytes=2 * GIB, is_active=True, active_pid=1) == [Severity.INFO]


def test_who_reads_a_slot_keeps_it(primary: embedded.EmbeddedServer, slot: str) -> None:
    snapshot = collect(primary.dsn())
    reader = tuple(replace(s, is_active=True, retained_bytes=9 * GIB) for s in snapshot.slots)
    (finding,) = judged(replace(snapshot, slots=reader), "replication-slot-retention").findings
    assert finding.object.name == slot
    assert not finding.remedy


def test_a_lost_slot_is_reported_once() -> None:
    settings = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    with embedded.start(settings) as server:
        run(server.dsn(), "select pg_create_physical_replication_slot('gone', true)")
        run(server.dsn(), "create table big (doc text)", WRITE, WRITE, WRITE, "checkpoint")
        (lost,) = found(server.dsn(), "replication-slot-retention")
        assert "is lost" in lost.title
        assert not judged(
            later(collect(server.dsn()), days=3), "replication-slot-inactive"
        ).findings
        apply(server.dsn(), [lost])
        assert not found(server.dsn(), "replication-slot-retention")


# --- replication-slot-spill ---------------------------------------------------------------------


def test_transactions_that_do_not_fit_into_memory_are_found_and_fit_afterwards(
    every_pg: Server, every_db: str
) -> None:
    setup = (
        "create table big (doc text)",
        "create publication pub for table big",
        "select pg_create_logical_replication_slot('look_spill', 'pgoutput')",
    )
    decode = (
        "select count(*) from pg_logical_slot_get_binary_changes('look_spill', null, null, "
        "'proto_version', '1', 'publication_names', 'pub')"
    )
    try:
        run(every_db, *setup)
        run(every_db, "insert into big select repeat('x', 1000) from generate_series(1, 3000)")
        run(every_db, "set logical_decoding_work_mem = '64kB'", decode)
        if every_pg.version < 14:
            unknown = judged(collect(every_db), "replication-slot-spill").verdicts[0]
            assert unknown.verdict is Verdict.UNKNOWN
            assert "requires PostgreSQL 14" in unknown.reason
            return
        snapshot = eventually(lambda: _if_spilled(collect(every_db)))
        (spilled,) = judged(snapshot, "replication-slot-spill", min_bytes_per_day=1).findings
        assert spilled.object.name == "look_spill"
        assert spilled.evidence["spilled_transactions"] == 1
        assert spilled.evidence["spilled_bytes"] > 3_000_000
        assert "logical_decoding_work_mem" in spilled.remedy[0].sql
        assert not judged(snapshot, "replication-slot-spill").findings, "it is little"
        many = tuple(replace(s, total_bytes=s.total_bytes * 100) for s in snapshot.slot_spills)
        rare = judged(
            replace(snapshot, slot_spills=many), "replication-slot-spill", min_bytes_per_day=1
        )
        assert not rare.findings
        apply(every_db, [spilled])
        run(every_db, "select pg_stat_reset_replication_slot('look_spill')")
        run(every_db, "insert into big select repeat('x', 1000) from generate_series(1, 3000)")
        run(every_db, decode)
        # before 15, the reset is done a little later
        eventually(lambda: not found(every_db, "replication-slot-spill", min_bytes_per_day=1))
    finally:
        run(
            every_db,
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'look_spill'",
            "alter system reset logical_decoding_work_mem",
            "select pg_reload_conf()",
        )


def _if_spilled(snapshot: Snapshot) -> Snapshot | None:
    return snapshot if any(s.spill_bytes for s in snapshot.slot_spills) else None


def test_without_a_logical_slot_nothing_spills(every_db: str) -> None:
    assert verdict(every_db, "replication-slot-spill") is Verdict.CLEAR
