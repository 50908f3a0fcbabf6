"""Cache and memory rules: small caches under real load; months in replaced counters."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Grade, Severity, Verdict
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.rules.judging import apply, found, judged, run, settle, undo, verdict
from tests.rules.waiting import ask, eventually, later
from tests.servers import Server

MB = 1024 * 1024
GB = 1024 * MB
PGSS = "create extension pg_stat_statements"
ROWS = "create table t as select g, repeat('x', 500) as pad from generate_series(1, 60000) g"


def restart(server: Server) -> None:
    assert server.local is not None
    server.local.halt("fast")
    server.local.boot()


def with_settings(snapshot: Snapshot, **values: str) -> Snapshot:
    settings = tuple(replace(s, setting=values.get(s.name, s.setting)) for s in snapshot.settings)
    return replace(snapshot, settings=settings)


def aged(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """Look a day later at real counters of this database, with other numbers."""
    snapshot = later(snapshot, days=1)
    assert snapshot.database is not None
    mine = replace(snapshot.database, **changes)
    others = tuple(d for d in snapshot.databases if d.oid != mine.oid)
    return replace(snapshot, databases=(mine, *others))


# --- cache-hit-ratio ----------------------------------------------------------------------------

RATIO = "cache-hit-ratio"
FEW: dict[str, Any] = {"min_blocks_read_per_day": 5_000}


def test_a_cache_that_misses_is_found_with_who_misses(start_pg: StartServer) -> None:
    server = start_pg({"shared_buffers": "4MB", "track_io_timing": "on"})
    dsn = server.dsn()
    run(dsn, PGSS, ROWS, "vacuum analyze t", "select pg_stat_reset()")
    run(dsn, "select count(*) from t where pad <> 'y'", times=4)
    (finding,) = found(dsn, RATIO, **FEW)
    assert finding.severity is Severity.INFO
    assert finding.grade is Grade.D
    assert finding.remedy == (), "a ratio is no reason for more shared_buffers"
    assert finding.evidence["hit_ratio_share"] < 0.9
    assert finding.evidence["tables"][0]["table"] == "public.t"
    assert finding.evidence["tables"][0]["seq_scans"] >= 4
    assert "from t where" in finding.evidence["queries"][0]["query"]
    assert finding.evidence["ring_read_share"] > 0.5
    assert not found(dsn, RATIO), "a hundred megabytes are a cold start"


def test_what_maintenance_reads_is_not_held_against_the_cache(start_pg: StartServer) -> None:
    server = start_pg({"shared_buffers": "4MB", "autovacuum": "off"})
    dsn = server.dsn()
    run(dsn, PGSS, ROWS)
    for maintenance in (
        "copy t to '/dev/null'",
        "create index on t (pad)",
        "vacuum (freeze, disable_page_skipping) t",
    ):
        run(dsn, "select pg_stat_reset()", "select pg_stat_statements_reset() is null")
        run(dsn, maintenance, times=3)
        snapshot = collect(dsn)
        assert snapshot.database is not None
        assert (snapshot.database.blks_read or 0) > 8_000
        assert judged(snapshot, RATIO, **FEW).verdicts[0].verdict is Verdict.CLEAR, maintenance
        # without their statements nobody could tell
        assert judged(replace(snapshot, statements=()), RATIO, **FEW).findings


def test_reads_are_judged_by_ratio_and_by_the_day(every_real: Snapshot) -> None:
    snapshot = aged(every_real, blks_read=10**7, blks_hit=10**7)
    (finding,) = judged(snapshot, RATIO).findings
    assert finding.evidence["hit_ratio_share"] == pytest.approx(0.5)
    assert finding.evidence["window_seconds"] >= 86_400
    assert not judged(later(snapshot, days=250), RATIO).findings
    assert not judged(aged(snapshot, blks_hit=10**9), RATIO).findings
    assert not judged(aged(snapshot, blks_read=40_000, blks_hit=0), RATIO).findings


def test_a_short_window_is_not_stretched_into_a_day(real: Snapshot) -> None:
    snapshot = aged(real, blks_read=40_000, blks_hit=0)
    young = replace(snapshot, measured_since=snapshot.now - timedelta(minutes=1))
    assert not judged(young, RATIO).findings


def test_an_hour_of_waiting_a_day_is_a_warning(real: Snapshot) -> None:
    snapshot = real
    busy = {"blks_read": 10**8, "blks_hit": 10**8}
    waits = judged(aged(snapshot, **busy, blk_read_ms=3_600_001.0 * 1.1), RATIO).findings
    assert [f.severity for f in waits] == [Severity.WARNING]
    quick = judged(aged(snapshot, **busy, blk_read_ms=1_000_000.0), RATIO).findings
    assert [f.severity for f in quick] == [Severity.INFO]


def test_counters_that_cannot_be_read_are_unknown(real: Snapshot) -> None:
    snapshot = real
    for rule in (RATIO, "cache-temp-files"):
        assert judged(replace(snapshot, databases=()), rule).verdicts[0].verdict is Verdict.UNKNOWN


def test_statements_from_before_the_reset_take_nothing_off(pg: Server) -> None:
    with pg.database() as dsn:
        run(dsn, PGSS, ROWS, "create index on t (pad)")
        snapshot = collect(dsn)
    counted = replace(snapshot.statements[0], text="vacuum t", shared_blks_read=10**8)
    snapshot = aged(replace(snapshot, statements=(counted,)), blks_read=10**7, blks_hit=10**6)
    assert not judged(snapshot, RATIO).findings
    reset = aged(snapshot, stats_reset=snapshot.now - timedelta(days=1, hours=-1))
    assert judged(reset, RATIO).findings


# --- cache-temp-files ---------------------------------------------------------------------------

TEMP = "cache-temp-files"
SORT = "select count(*) from (select g from generate_series(1, {}) g order by g desc offset 1) s"
SOME: dict[str, Any] = {"min_bytes_per_day": 1_000_000}


def spill(dsn: str, *statements: str, work_mem: str = "64kB") -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"set work_mem = '{work_mem}'".encode())
        connection.execute(b"set maintenance_work_mem = '1MB'")
        connection.execute(b"set max_parallel_maintenance_workers = 0")
        for statement in statements:
            connection.execute(statement.encode())
        settle(connection)


def test_sorts_that_spill_are_found_and_named(every_db: str) -> None:
    run(every_db, PGSS)
    spill(every_db, SORT.format(200_000))
    (finding,) = eventually(lambda: found(every_db, TEMP, **SOME))
    assert finding.severity is Severity.INFO
    assert finding.grade is Grade.B
    assert finding.remedy == ()
    assert finding.evidence["temp_files"] >= 1
    assert "generate_series" in finding.evidence["queries"][0]
    assert finding.evidence["temp_bytes_of_utilities"] == 0
    snapshot = collect(every_db)
    assert not judged(snapshot, TEMP).findings, "an occasional report"
    assert not judged(later(snapshot, days=90), TEMP, **SOME).findings


def test_who_wrote_most_is_named_with_the_share(every_pg: Server, every_db: str) -> None:
    run(every_db, PGSS)
    with every_pg.role() as role:
        name = str(psycopg.conninfo.conninfo_to_dict(every_db)["dbname"])
        spill(every_db, SORT.format(60_000))
        spill(every_pg.dsn(name, role), *[SORT.format(100_000)] * 4)
        (finding,) = eventually(lambda: found(every_db, TEMP, **SOME))
        first, second = finding.evidence["writers"]
        assert first["user"] == role
        assert first["query_id"] == second["query_id"], "one statement of two roles"
        assert first["written_share"] > 0.8 > 0.2 > second["written_share"]
        assert f"was written by {role} with: " in finding.detail


def test_a_small_part_does_not_stand_for_the_whole(every_db: str) -> None:
    run(every_db, PGSS)
    spill(every_db, SORT.format(300_000), "select pg_stat_statements_reset()")
    spill(every_db, SORT.format(20_000))
    (finding,) = eventually(lambda: found(every_db, TEMP, **SOME))
    assert "is not known" in finding.detail
    assert "written by" not in finding.detail


def test_enough_memory_does_not_spill(db: str) -> None:
    run(db, PGSS)
    spill(db, SORT.format(200_000), work_mem="64MB")
    assert verdict(db, TEMP, **SOME) is Verdict.CLEAR


def test_large_spills_need_no_limits_of_our_own(db: str) -> None:
    run(db, PGSS)
    spill(db, SORT.format(4_000_000))
    (finding,) = found(db, TEMP)
    assert finding.evidence["temp_bytes"] >= 50_000_000


def test_index_builds_have_another_memory(db: str) -> None:
    run(db, PGSS, "create table i as select random() as r from generate_series(1, 200000)")
    spill(db, "create index on i (r)")
    snapshot = collect(db)
    assert snapshot.database is not None
    assert (snapshot.database.temp_bytes or 0) > 2_000_000
    assert judged(snapshot, TEMP, **SOME).verdicts[0].verdict is Verdict.CLEAR


@pytest.mark.parametrize(
    "statement",
    [
        "create materialized view m as select random() as r from generate_series(1, 200000) order by 1",
        "copy (select random() as r from generate_series(1, 200000) order by 1) to '/dev/null'",
    ],
)
def test_queries_inside_of_utilities_are_queries(db: str, statement: str) -> None:
    run(db, PGSS)
    spill(db, statement)
    (finding,) = found(db, TEMP, **SOME)
    assert statement[:20] in finding.evidence["queries"][0]


def test_a_gigabyte_an_hour_is_a_warning(every_real: Snapshot) -> None:
    snapshot = every_real
    for amount, severity in ((30 * 10**9, Severity.WARNING), (10**9, Severity.INFO)):
        report = judged(aged(snapshot, temp_bytes=amount, temp_files=100), TEMP)
        assert [f.severity for f in report.findings] == [severity]
    assert "log_temp_files" in report.findings[0].detail


# --- cache-work-mem -----------------------------------------------------------------------------

WORK = "cache-work-mem"


def test_more_than_the_memory_is_found_and_less_silences_it(start_pg: StartServer) -> None:
    server = start_pg({"work_mem": "64MB"})
    known = {"memory_bytes": 8 * GB}
    (finding,) = found(server.dsn(), WORK, **known)
    assert finding.severity is Severity.INFO
    assert finding.grade is Grade.C
    assert finding.evidence["bound_bytes"] == 100 * 2 * 64 * MB
    apply(server.dsn(), [finding])
    eventually(lambda: verdict(server.dsn(), WORK, **known) is Verdict.CLEAR)
    assert ask(server.dsn(), "show work_mem") == "20MB"
    undo(server.dsn(), [finding])
    (again,) = eventually(lambda: found(server.dsn(), WORK, **known))
    (worse,) = found(server.dsn(), WORK, memory_bytes=4 * GB)
    assert (again.severity, worse.severity) == (Severity.INFO, Severity.WARNING)


def test_the_default_fits_a_small_server(every_real: Snapshot) -> None:
    report = judged(every_real, WORK, memory_bytes=2 * GB)
    assert report.verdicts[0].verdict is Verdict.CLEAR


def test_an_ordinary_bound_is_unknown_where_the_memory_is(every_real: Snapshot) -> None:
    report = judged(every_real, WORK)
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "memory =" in report.verdicts[0].mend


def test_a_bound_that_no_ordinary_server_meets_needs_no_memory(start_pg: StartServer) -> None:
    server = start_pg({"work_mem": "1GB"})
    (finding,) = found(server.dsn(), WORK)
    assert (finding.severity, finding.grade) == (Severity.INFO, Grade.D)
    assert finding.remedy[0].sql.startswith("ALTER SYSTEM SET work_mem = '4MB';")
    apply(server.dsn(), [finding])
    eventually(lambda: verdict(server.dsn(), WORK) is Verdict.UNKNOWN)


def test_our_own_roles_work_mem_is_not_the_servers(pg: Server) -> None:
    with pg.role() as name:
        run(pg.dsn(), f"alter role {name} set work_mem = '2GB'")
        report = judged(collect(pg.dsn(user=name)), WORK)
        assert report.findings == ()
        assert "set for the role" in report.verdicts[0].reason
        # our own session sets it, too, and that is nobody's configuration
        assert "set for the role" not in judged(collect(pg.dsn()), WORK).verdicts[0].reason


def test_hashes_take_the_multiple_that_is_set(real: Snapshot) -> None:
    snapshot = with_settings(real, hash_mem_multiplier="1", work_mem="65536")
    assert mem.worst_case_bytes(snapshot) == 100 * 64 * MB
    assert mem.worst_case_bytes(with_settings(snapshot, hash_mem_multiplier="2.5")) == 16_000 * MB


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MB", 64 * MB), ("1 GB", GB), ("100", 102_400), ("2kB", 2048), ("much", None), ("", None)],
)
def test_sizes_are_read_as_the_server_reads_them(text: str, size: float | None) -> None:
    assert mem.size(text) == size


# --- cache-shared-buffers -----------------------------------------------------------------------

BUFFERS = "cache-shared-buffers"


def test_a_small_fraction_of_the_memory_is_found_and_mended(start_pg: StartServer) -> None:
    server = start_pg({"shared_buffers": "8MB"})
    known = {"memory_bytes": 400 * MB}
    assert verdict(server.dsn(), BUFFERS, **known) is Verdict.CLEAR, "the data fits"
    run(server.dsn(), ROWS, "analyze t")
    (finding,) = found(server.dsn(), BUFFERS, **known)
    assert (finding.severity, finding.grade) == (Severity.INFO, Grade.D)
    assert "restart" in finding.remedy[0].lock
    apply(server.dsn(), [finding])
    restart(server)
    # not a quarter of the memory: the data is smaller
    mebibytes = int(ask(server.dsn(), "show shared_buffers").removesuffix("MB"))
    assert finding.evidence["database_bytes"] < mebibytes * MB < 100 * MB
    assert verdict(server.dsn(), BUFFERS, **known) is Verdict.CLEAR
    undo(server.dsn(), [finding])
    restart(server)
    assert found(server.dsn(), BUFFERS, **known)


def test_a_small_database_gets_no_large_cache(start_pg: StartServer) -> None:
    server = start_pg({"shared_buffers": "8MB"})
    run(server.dsn(), ROWS, "analyze t")
    snapshot = collect(server.dsn())
    (finding,) = judged(snapshot, BUFFERS, memory_bytes=24 * GB).findings
    data = finding.evidence["database_bytes"]
    advised = int(finding.remedy[0].sql.split("'")[1].removesuffix("MB")) * MB
    assert data < advised < 5 * data
    # what is read in another database counts, too
    busy = tuple(
        d if d.oid == snapshot.server.database_oid else replace(d, blks_read=10**7)
        for d in snapshot.databases
    )
    (more,) = judged(replace(snapshot, databases=busy), BUFFERS, memory_bytes=24 * GB).findings
    assert more.remedy[0].sql == "ALTER SYSTEM SET shared_buffers = '6144MB';"


def test_most_of_the_memory_is_found(every_real: Snapshot) -> None:
    (finding,) = judged(every_real, BUFFERS, memory_bytes=200 * MB).findings
    assert "50MB" in finding.remedy[0].sql
    assert "operating system" in finding.impact.risk
    assert not judged(every_real, BUFFERS, memory_bytes=256 * MB).findings


def test_without_the_memory_nothing_is_said_of_it(every_real: Snapshot) -> None:
    assert judged(every_real, BUFFERS).verdicts[0].verdict is Verdict.UNKNOWN


# --- cache-huge-pages ---------------------------------------------------------------------------

HUGE = "cache-huge-pages"
ANY: dict[str, Any] = {"min_shared_buffers_bytes": 1}


def test_small_pages_are_found_where_the_server_says_so(every_real: Snapshot) -> None:
    small = judged(every_real, HUGE)
    assert small.verdicts[0].verdict is Verdict.CLEAR, "128 MB gain nothing"
    report = judged(every_real, HUGE, **ANY)
    if every_real.server.major < 17:
        assert report.verdicts[0].verdict is Verdict.UNKNOWN
        assert "17" in report.verdicts[0].reason
    else:
        (finding,) = report.findings
        assert finding.evidence["huge_pages_status"] == "off"
        assert finding.evidence["huge_pages_needed"] > 10
        assert finding.remedy == ()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"huge_pages_status": "on"}, Verdict.CLEAR),
        ({"huge_pages_status": "unknown"}, Verdict.CLEAR),
        ({"huge_pages": "off", "huge_pages_status": "off"}, Verdict.FINDING),
        ({"shared_memory_size_in_huge_pages": "-1"}, Verdict.FINDING),
    ],
)
def test_huge_pages_that_are_in_use_are_left_alone(
    real: Snapshot, settings: dict[str, str], expected: Verdict
) -> None:
    report = judged(with_settings(real, **settings), HUGE, **ANY)
    assert report.verdicts[0].verdict is expected
    assert all(f.evidence["huge_pages_needed"] != -1 for f in report.findings)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("on", Verdict.CLEAR), ("off", Verdict.FINDING), ("try", Verdict.UNKNOWN)],
)
def test_before_17_the_setting_alone_tells(real: Snapshot, wanted: str, expected: Verdict) -> None:
    snapshot = with_settings(real, huge_pages=wanted)
    old = tuple(s for s in snapshot.settings if s.name != "huge_pages_status")
    report = judged(replace(snapshot, settings=old), HUGE, **ANY)
    assert report.verdicts[0].verdict is expected


# --- cache-slru ---------------------------------------------------------------------------------

SLRU = "cache-slru"
KEPT = ("shared_buffers", "temp_buffers", "wal_buffers")


def missing(snapshot: Snapshot, read: int, hit: int) -> Snapshot:
    """Let every small cache have missed so often in a day."""
    snapshot = later(snapshot, days=1)
    begin = snapshot.now - timedelta(days=1)
    changes: dict[str, Any] = {"blks_read": read, "blks_hit": hit, "stats_reset": begin}
    return replace(snapshot, slru=tuple(replace(c, **changes) for c in snapshot.slru))


@pytest.mark.all_versions
def test_caches_that_miss_are_found_on_every_version(every_real: Snapshot) -> None:
    snapshot = every_real
    findings = judged(missing(snapshot, 10**6, 10**7), SLRU).findings
    assert {f.object.name for f in findings} == {c.name for c in snapshot.slru}
    assert {f.severity for f in findings} == {Severity.INFO}
    settings = {f.evidence["setting"] for f in findings} - {None}
    assert len(settings) == (7 if snapshot.server.major >= 17 else 0)
    for read, hit in ((90_000, 0), (10**6, 10**9), (0, 0)):
        assert not judged(missing(snapshot, read, hit), SLRU).findings
    assert not judged(later(missing(snapshot, 10**6, 10**7), days=30), SLRU).findings
    assert judged(snapshot, SLRU).verdicts[0].verdict is Verdict.CLEAR


def test_the_server_starts_with_the_sizes_advised(start_pg: StartServer) -> None:
    server = start_pg()
    findings = judged(missing(collect(server.dsn()), 10**6, 10**7), SLRU).findings
    apply(server.dsn(), findings)
    restart(server)
    assert ask(server.dsn(), "show transaction_buffers") == "16MB"
    more = judged(missing(collect(server.dsn()), 10**6, 10**7), SLRU).findings
    assert all("'64MB'" in f.remedy[0].sql for f in more if f.evidence["setting"])
    undo(server.dsn(), more)
    restart(server)
    assert ask(server.dsn(), "show transaction_buffers") == "16MB", "what it was before"


def test_the_largest_size_is_taken_and_no_more_is_advised(pg: Server, real: Snapshot) -> None:
    snapshot = missing(real, 10**6, 10**7)
    names = [s.name for s in snapshot.settings if s.name.endswith("_buffers")]
    for blocks, sizes in (("100000", {"'1024MB'"}), ("131072", set())):
        full = with_settings(snapshot, **{n: blocks for n in names if n not in KEPT})
        steps = [r for f in judged(full, SLRU).findings for r in f.remedy]
        assert {r.sql.split(" = ")[1].rstrip(";") for r in steps} == sizes
    try:
        run(pg.dsn(), "alter system set subtransaction_buffers = '1024MB'")
    finally:
        run(pg.dsn(), "alter system reset subtransaction_buffers")


# --- cache-backend-writes -----------------------------------------------------------------------

WRITES = "cache-backend-writes"
TENS: dict[str, Any] = {"min_bytes_per_day": 20_000_000}
BUSY = {"shared_buffers": "4MB", "checkpoint_timeout": "1h", "max_wal_size": "4GB"}


def test_clients_that_write_are_found_and_the_writer_switched_on(start_pg: StartServer) -> None:
    server = start_pg({**BUSY, "bgwriter_lru_maxpages": "0"})
    dsn = server.dsn()
    run(dsn, ROWS, "update t set g = g + 1")
    (finding,) = found(dsn, WRITES, **TENS)
    assert (finding.severity, finding.grade) == (Severity.INFO, Grade.D)
    assert finding.evidence["client_write_share"] > 0.5
    assert not found(dsn, WRITES), "one small update is no pattern"
    assert finding.remedy[0].sql.startswith("ALTER SYSTEM SET bgwriter_lru_maxpages = 100;")
    apply(dsn, [finding])
    eventually(lambda: ask(dsn, "show bgwriter_lru_maxpages") == "100")
    undo(dsn, [finding])
    eventually(lambda: ask(dsn, "show bgwriter_lru_maxpages") == "0")


def test_loads_write_through_rings_of_their_own(start_pg: StartServer) -> None:
    server = start_pg(BUSY)
    dsn = server.dsn()
    # in the data directory, with which it goes
    file = ask(dsn, "select quote_literal(current_setting('data_directory') || '/load')")
    run(dsn, ROWS, f"copy t to {file}", "create table u (like t)")
    run(dsn, "select pg_stat_reset_shared('io')", f"copy u from {file}")
    written = sum(r.write_bytes or 0 for r in collect(dsn).io if r.context == "bulkwrite")
    assert written > 20_000_000
    assert verdict(dsn, WRITES, **TENS) is Verdict.CLEAR


def writers(
    snapshot: Snapshot, clients: int, others: int, stopped: int = 0, **settings: str
) -> Snapshot:
    """Let clients and the checkpointer have written so many bytes in a day."""
    snapshot = with_settings(later(snapshot, days=1), **settings)
    begin = snapshot.now - timedelta(days=1)
    io = tuple(
        replace(
            r,
            stats_reset=begin,
            writes=1,
            write_bytes={"client backend": clients, "checkpointer": others}.get(r.backend_type, 0),
        )
        for r in snapshot.io
        if (r.object, r.context) == ("relation", "normal")
    )
    points = replace(
        snapshot.checkpoints[0],
        buffers_backend=clients // 8192,
        buffers_checkpoint=others // 8192,
        buffers_clean=100 * stopped + 1000,
        maxwritten_clean=stopped,
        stats_reset=begin,
    )
    return replace(snapshot, io=io, checkpoints=(points,))


@pytest.mark.pg(">= 16")
def test_writes_are_judged_by_volume_share_and_day(every_real: Snapshot) -> None:
    snapshot = every_real
    many = writers(snapshot, 2 * GB, 3 * GB)
    assert judged(many, WRITES).findings
    assert not judged(writers(snapshot, 2 * GB, 7 * GB), WRITES).findings
    assert not judged(writers(snapshot, GB // 2, 0), WRITES).findings
    assert not judged(later(many, days=9), WRITES).findings
    assert not judged(writers(snapshot, 0, 0), WRITES).findings


@pytest.mark.parametrize(
    ("stopped", "settings", "advised"),
    [
        (1000, {}, "bgwriter_lru_maxpages = 400;"),
        (1000, {"bgwriter_lru_maxpages": "400"}, "bgwriter_lru_maxpages = 1000;"),
        (1000, {"bgwriter_lru_maxpages": "1000"}, None),
        (0, {"bgwriter_lru_maxpages": "0"}, "bgwriter_lru_maxpages = 100;"),
        (0, {}, "bgwriter_lru_multiplier = 4;"),
        (0, {"bgwriter_lru_multiplier": "8"}, "bgwriter_lru_multiplier = 10;"),
        (0, {"bgwriter_lru_multiplier": "10"}, None),
    ],
)
def test_the_background_writer_is_helped_with_what_held_it_back(
    pg: Server, real: Snapshot, stopped: int, settings: dict[str, str], advised: str | None
) -> None:
    snapshot = writers(real, 2 * GB, GB, stopped, **settings)
    (finding,) = judged(snapshot, WRITES).findings
    steps = [step.sql.splitlines()[0] for step in finding.remedy]
    assert steps == ([f"ALTER SYSTEM SET {advised}"] if advised else [])
    try:
        apply(pg.dsn(), [finding])
    finally:
        undo(pg.dsn(), [finding])


@pytest.mark.pg("< 16")
def test_before_16_loads_may_be_what_is_counted(every_real: Snapshot) -> None:
    snapshot = every_real
    report = judged(writers(snapshot, 2 * GB, GB), WRITES)
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "loads" in report.verdicts[0].reason
    assert judged(writers(snapshot, GB // 2, GB), WRITES).verdicts[0].verdict is Verdict.CLEAR


def test_without_its_view_a_newer_server_is_unknown(real: Snapshot) -> None:
    report = judged(replace(real, io=()), WRITES)
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
