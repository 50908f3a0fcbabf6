"""WAL rules: real archives that fail and checkpoints that come too soon; months in replaced counters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Severity, Verdict
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.rules.judging import apply, found, judged, run, undo, verdict
from tests.rules.waiting import ask, eventually, later
from tests.servers import Server

MB = 1024 * 1024
GB = 1024 * MB
counted = pytest.mark.pg(">= 14")


def write(dsn: str, megabytes: int) -> None:
    """Write so much WAL."""
    kilobytes = megabytes * 1000
    run(
        dsn,
        "create table if not exists w (t text)",
        "alter table w alter t set storage plain",
        f"insert into w select repeat('x', 900) from generate_series(1, {kilobytes}) g",
        "truncate w",
    )


def aged(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """Give real counters of WAL and checkpoints a day, and other numbers."""
    snapshot = later(snapshot, days=1)
    begin = snapshot.now - timedelta(days=1)
    wal = {k: v for k, v in changes.items() if hasattr(snapshot.wal[0], k)}
    points = {k: v for k, v in changes.items() if hasattr(snapshot.checkpoints[0], k)}
    assert wal.keys() | points.keys() == changes.keys()
    reset = begin if snapshot.server.major >= 14 else None
    return replace(
        snapshot,
        wal=(replace(snapshot.wal[0], stats_reset=reset, **wal),),
        checkpoints=(replace(snapshot.checkpoints[0], stats_reset=begin, **points),),
    )


def with_setting(snapshot: Snapshot, name: str, value: str) -> Snapshot:
    settings = tuple(replace(s, setting=value) if s.name == name else s for s in snapshot.settings)
    return replace(snapshot, settings=settings)


# --- wal-checkpoints-requested ------------------------------------------------------------------

CHECKPOINTS = "wal-checkpoints-requested"
# less than triggers a checkpoint
SOME_WAL = ("select pg_logical_emit_message(false, 'x', repeat('x', 1500000))",)


@contextmanager
def tiny_wal(size: str = "2MB") -> Iterator[embedded.EmbeddedServer]:
    """Start a server whose WAL is full after a megabyte."""
    small = {"max_wal_size": size, "min_wal_size": "2MB", "checkpoint_timeout": "1h"}
    with embedded.start(small, initdb=("--wal-segsize=1",)) as server:
        yield server


def wait_for_checkpoint(server: embedded.EmbeddedServer, done: int) -> None:
    """Wait until more than so many were requested: while one runs, the next requests are one."""
    count = "select num_requested from pg_stat_checkpointer"
    eventually(lambda: ask(server.dsn(), count) > done)


def test_a_small_max_wal_size_is_found_and_a_larger_one_silences_it() -> None:
    with tiny_wal() as server:
        for done in range(12):
            write(server.dsn(), 3)
            wait_for_checkpoint(server, done)
        (finding,) = found(server.dsn(), CHECKPOINTS)
        assert finding.object.name == "max_wal_size"
        assert (finding.severity, finding.grade) == (Severity.WARNING, Grade.C)
        assert finding.evidence["requested_by_wal_share"] > 0.8
        apply(server.dsn(), [finding])
        eventually(lambda: verdict(server.dsn(), CHECKPOINTS) is Verdict.CLEAR)
        assert ask(server.dsn(), "show max_wal_size") == "256MB"
        undo(server.dsn(), [finding])
        eventually(lambda: found(server.dsn(), CHECKPOINTS))


def test_checkpoints_that_somebody_asks_for_are_not_the_wals_fault(start_pg: StartServer) -> None:
    server = start_pg()
    run(server.dsn(), "create table t ()")
    for n in range(6):
        run(server.dsn(), f"create database d{n} strategy file_copy", "checkpoint")
    run(server.dsn(), *(f"drop database d{n}" for n in range(6)))
    snapshot = collect(server.dsn())
    assert snapshot.checkpoints[0].requested >= 10
    assert verdict(server.dsn(), CHECKPOINTS) is Verdict.CLEAR


def test_a_number_that_is_a_bound_is_called_one() -> None:
    with tiny_wal("8MB") as server:
        dsn = server.dsn()
        run(dsn, "create table t ()", "create extension pg_stat_statements")
        for _ in range(25):
            run(dsn, *SOME_WAL, "checkpoint")
        snapshot = collect(dsn)
        assert judged(snapshot, CHECKPOINTS).findings == (), "the commands are counted"
        unseen = replace(snapshot, statements=())
        (finding,) = judged(unseen, CHECKPOINTS).findings
        assert (finding.severity, finding.grade) == (Severity.INFO, Grade.D)
        assert finding.title.startswith("At most ")
        assert "log_checkpoints" in finding.detail


@counted
def test_wal_that_was_counted_for_a_shorter_time_is_no_bound(real: Snapshot) -> None:
    snapshot = aged(real, timed=100, requested=100, wal_bytes=GB)
    assert judged(snapshot, CHECKPOINTS).findings == ()
    reset = replace(snapshot.wal[0], stats_reset=snapshot.now - timedelta(hours=1))
    (finding,) = judged(replace(snapshot, wal=(reset,)), CHECKPOINTS).findings
    assert (finding.severity, finding.grade) == (Severity.INFO, Grade.D)


def checkpoints(snapshot: Snapshot, **changes: Any) -> list[Finding]:
    return list(judged(aged(snapshot, **changes), CHECKPOINTS).findings)


@counted
def test_the_size_advised_holds_the_wal_of_two_timed_checkpoints(every_real: Snapshot) -> None:
    (finding,) = checkpoints(every_real, timed=40, requested=260, wal_bytes=864 * GB)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["requested_per_hour"] == pytest.approx(260 / 24, rel=0.01)
    # 10 GB/1000 s over 300 s, twice, and half as much again
    assert finding.remedy[0].sql.startswith("ALTER SYSTEM SET max_wal_size = '9216MB';")
    (slow,) = checkpoints(every_real, timed=100, requested=60, wal_bytes=60 * GB)
    assert slow.severity is Severity.INFO
    assert slow.remedy[0].sql.startswith("ALTER SYSTEM SET max_wal_size = '2048MB';")


@counted
@pytest.mark.parametrize(
    "changes",
    [
        {"timed": 288, "requested": 9, "wal_bytes": 100 * GB},
        {"timed": 2880, "requested": 300, "wal_bytes": 1000 * GB},
        {"timed": 0, "requested": 300, "wal_bytes": 4 * GB},
        {"timed": 0, "requested": 0, "wal_bytes": 0},
    ],
    ids=["few", "a small part", "little WAL", "nothing yet"],
)
def test_checkpoints_that_come_in_time_are_left_alone(
    real: Snapshot, changes: dict[str, int]
) -> None:
    assert checkpoints(real, **changes) == []


@pytest.mark.pg("< 14")
def test_before_14_the_position_bounds_the_wal_and_the_size_is_doubled(
    every_real: Snapshot,
) -> None:
    assert checkpoints(every_real, timed=10, requested=90, lsn_bytes=2 * GB) == []
    (finding,) = checkpoints(every_real, timed=10, requested=90, lsn_bytes=900 * GB)
    assert "2048MB" in finding.remedy[0].sql
    assert any("rate is unknown" in c for c in finding.caveats)


def test_a_short_time_is_not_stretched_into_a_rate(real: Snapshot) -> None:
    snapshot = aged(real, timed=0, requested=20, wal_bytes=20 * GB)
    begin = snapshot.now - timedelta(seconds=30)
    young = replace(snapshot, wal=(replace(snapshot.wal[0], stats_reset=begin),))
    (finding,) = judged(young, CHECKPOINTS).findings
    # 20 GB in a checkpoint_timeout, not in every 30 seconds
    assert finding.evidence["wal_bytes_per_second"] == round(20 * GB / 300)


def test_no_size_beyond_reason_is_advised(real: Snapshot) -> None:
    huge = {"timed": 0, "requested": 300, "wal_bytes": 200_000 * GB}
    (finding,) = checkpoints(real, **huge)
    assert "131072MB" in finding.remedy[0].sql
    at_most = with_setting(aged(real, **huge), "max_wal_size", str(128 * 1024))
    (finding,) = judged(at_most, CHECKPOINTS).findings
    assert finding.remedy == ()


# --- wal-full-page-images -----------------------------------------------------------------------

IMAGES = "wal-full-page-images"


def test_images_that_fill_the_wal_are_found_and_compressed(start_pg: StartServer) -> None:
    server = start_pg({"checkpoint_timeout": "1h"})
    dsn = server.dsn()
    rows = "create table i as select g, repeat('x', 100) from generate_series(1, 60000) g"
    run(dsn, rows, "select pg_stat_reset_shared('wal')")
    for n in range(4):  # a row of every page
        run(dsn, "checkpoint", f"update i set g = g where g % 50 = {n}")
    much = {"min_wal_bytes_per_day": 10_000_000}
    (finding,) = found(dsn, IMAGES, **much)
    assert finding.evidence["image_share"] > 0.5
    assert finding.remedy[0].sql.startswith("ALTER SYSTEM SET wal_compression = ")
    assert not found(dsn, IMAGES), "a few megabytes are no burden"
    apply(dsn, [finding])
    eventually(lambda: verdict(dsn, IMAGES, **much) is Verdict.CLEAR)
    assert ask(dsn, "show wal_compression") != "off"
    undo(dsn, [finding])
    eventually(lambda: found(dsn, IMAGES, **much))


@counted
def test_every_server_takes_the_method_that_it_is_told(every_pg: Server) -> None:
    dsn = every_pg.dsn()
    snapshot = aged(collect(dsn), wal_bytes=10 * GB, full_page_images=GB // 1024)
    (finding,) = judged(snapshot, IMAGES).findings
    builds = snapshot.setting_by_name["wal_compression"].enum_values
    assert ("= lz4" in finding.remedy[0].sql) == ("lz4" in builds)
    try:
        apply(dsn, [finding])
        eventually(lambda: ask(dsn, "show wal_compression") != "off")
    finally:
        undo(dsn, [finding])
    eventually(lambda: ask(dsn, "show wal_compression") == "off")


@pytest.mark.parametrize(
    "changes",
    [
        {"wal_bytes": 10 * GB, "full_page_images": GB // 2048},
        {"wal_bytes": 900_000_000, "full_page_images": 100_000},
        {"wal_bytes": 0, "full_page_images": 0},
    ],
    ids=["a small part", "little WAL", "none"],
)
def test_few_images_are_left_alone(real: Snapshot, changes: dict[str, int]) -> None:
    assert not judged(aged(real, **changes), IMAGES).findings


def test_images_of_months_are_judged_by_the_day(real: Snapshot) -> None:
    snapshot = aged(real, wal_bytes=10 * GB, full_page_images=GB // 1024)
    assert judged(snapshot, IMAGES).findings
    assert not judged(later(snapshot, days=60), IMAGES).findings


# --- wal-buffers-full ---------------------------------------------------------------------------

FULL = "wal-buffers-full"


def test_small_wal_buffers_are_found_and_larger_ones_take_effect(start_pg: StartServer) -> None:
    server = start_pg({"wal_buffers": "64kB", "wal_writer_delay": "10s"})
    write(server.dsn(), 20)
    often = {"min_full_per_day": 100}
    (finding,) = found(server.dsn(), FULL, **often)
    assert finding.evidence["wal_buffers_bytes"] == 65536
    assert "16MB" in finding.remedy[0].sql
    assert "restart" in finding.remedy[0].lock
    apply(server.dsn(), [finding])
    assert server.local is not None
    server.local.halt("fast")
    server.local.boot()
    assert ask(server.dsn(), "show wal_buffers") == "16MB"
    run(server.dsn(), "select pg_stat_reset_shared('wal')")
    write(server.dsn(), 8)
    assert verdict(server.dsn(), FULL, **often) is Verdict.CLEAR


@counted
def test_full_buffers_are_judged_by_the_day(every_real: Snapshot) -> None:
    snapshot = every_real

    def fires(times: int) -> bool:
        return bool(judged(aged(snapshot, buffers_full=times), FULL).findings)

    assert [fires(n) for n in (0, 10_000, 49_999, 50_001)] == [False, False, False, True]
    many = aged(snapshot, buffers_full=90_000)
    assert judged(many, FULL).findings
    assert not judged(later(many, days=30), FULL).findings
    young = replace(many.wal[0], buffers_full=20_000, stats_reset=many.now - timedelta(minutes=1))
    assert not judged(replace(many, wal=(young,)), FULL).findings, "one load"


@pytest.mark.parametrize(("blocks", "advised"), [(512, "16MB"), (2048, "64MB"), (16384, "256MB")])
def test_larger_buffers_are_advised_up_to_where_they_stop_to_help(
    real: Snapshot, blocks: int, advised: str
) -> None:
    snapshot = aged(real, buffers_full=10**6)
    (finding,) = judged(with_setting(snapshot, "wal_buffers", str(blocks)), FULL).findings
    assert finding.remedy[0].sql == f"ALTER SYSTEM SET wal_buffers = '{advised}';"


def test_buffers_that_are_large_get_no_advice(real: Snapshot) -> None:
    snapshot = aged(real, buffers_full=10**6)
    (finding,) = judged(with_setting(snapshot, "wal_buffers", "32768"), FULL).findings
    assert finding.remedy == ()


@pytest.mark.pg("< 14")
@pytest.mark.parametrize("rule", [IMAGES, FULL])
def test_before_14_nothing_counts_wal(every_real: Snapshot, rule: str) -> None:
    report = judged(every_real, rule)
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "14" in report.verdicts[0].reason


# --- wal-archive-failing ------------------------------------------------------------------------

ARCHIVE = "wal-archive-failing"
SWITCH = ("select pg_logical_emit_message(false, 'x', 'x')", "select pg_switch_wal()")


def archiver(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return replace(snapshot, archiver=(replace(snapshot.archiver[0], **changes),))


def test_an_archive_that_fails_is_found_until_it_works(start_pg: StartServer) -> None:
    server = start_pg({"archive_mode": "on", "archive_command": "/bin/false"})
    dsn = server.dsn()
    assert verdict(dsn, ARCHIVE) is Verdict.CLEAR, "nothing had to be archived yet"
    run(dsn, *SWITCH)
    (finding,) = eventually(lambda: found(dsn, ARCHIVE))
    assert finding.severity is Severity.WARNING
    assert finding.evidence["archived"] == 0
    assert finding.evidence["waiting_bytes"] is None
    snapshot = later(collect(dsn), hours=2)
    assert judged(snapshot, ARCHIVE).findings[0].severity is Severity.WARNING
    lasting = judged(archiver(snapshot, failed_count=60), ARCHIVE)
    assert lasting.findings[0].severity is Severity.CRITICAL
    run(dsn, "alter system set archive_command = '/bin/true'", "select pg_reload_conf()")
    eventually(lambda: verdict(dsn, ARCHIVE) is Verdict.CLEAR, 70)
    run(dsn, "alter system set archive_command = '/bin/false'", "select pg_reload_conf()")
    eventually(lambda: ask(dsn, "show archive_command") == "/bin/false")
    run(dsn, *SWITCH)
    run(dsn, *SWITCH)
    (again,) = eventually(lambda: found(dsn, ARCHIVE))
    segment = 16 * MB
    assert segment <= again.evidence["waiting_bytes"] <= 3 * segment


def test_an_archive_without_a_command_keeps_all_wal(start_pg: StartServer) -> None:
    server = start_pg({"archive_mode": "on"})
    (finding,) = found(server.dsn(), ARCHIVE)
    assert "does not exist" in finding.title
    assert finding.severity is Severity.WARNING
    # the failures that its server counts are none: it does not try
    run(server.dsn(), *SWITCH)
    assert collect(server.dsn()).archiver[0].failed_count == 0
    run(
        server.dsn(),
        "alter system set archive_command = '/bin/true'",
        "select pg_reload_conf()",
    )
    eventually(lambda: verdict(server.dsn(), ARCHIVE) is Verdict.CLEAR)


def test_servers_that_do_not_archive_have_nothing_to_fail(every_real: Snapshot) -> None:
    assert judged(every_real, ARCHIVE).verdicts[0].verdict is Verdict.CLEAR


def test_one_failure_on_a_quiet_server_is_not_an_hour_of_failures(real: Snapshot) -> None:
    snapshot = with_setting(real, "archive_mode", "on")
    snapshot = with_setting(snapshot, "archive_command", "cp %p /archive/%f")
    failed = {
        "last_failed_time": snapshot.now,
        "last_failed_wal": "000000010000000A000000FF",
        "last_archived_time": snapshot.now - timedelta(hours=9),
        "last_archived_wal": "000000010000000A000000FE",
        "failed_count": 1,
    }
    (finding,) = judged(archiver(snapshot, **failed), ARCHIVE).findings
    assert finding.severity is Severity.WARNING
    mended = failed | {"last_archived_time": snapshot.now}
    assert not judged(archiver(snapshot, **mended), ARCHIVE).findings


def test_a_standby_archives_only_when_told_always(real: Snapshot) -> None:
    snapshot = with_setting(real, "archive_mode", "on")
    snapshot = with_setting(snapshot, "archive_command", "")
    assert judged(snapshot, ARCHIVE).findings
    standby = replace(snapshot, server=replace(snapshot.server, is_in_recovery=True))
    assert not judged(standby, ARCHIVE).findings
    assert judged(with_setting(standby, "archive_mode", "always"), ARCHIVE).findings


def test_a_library_archives_without_a_command(real: Snapshot) -> None:
    snapshot = with_setting(real, "archive_mode", "on")
    snapshot = with_setting(snapshot, "archive_command", "")
    snapshot = with_setting(snapshot, "archive_library", "basic_archive")
    assert not judged(snapshot, ARCHIVE).findings
