"""Configuration rules: real servers with the settings in question, and their remedies at work."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgwatch_wed.facts import RoleSetting, Setting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Report, Severity, Verdict
from pgwatch_wed.quote import ident
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.rules.judging import apply, found, judged, run, undo, verdict
from tests.rules.waiting import ask, eventually
from tests.servers import Server

QUIET = {"fsync": "on"}


def names(findings: tuple[Finding, ...]) -> set[str]:
    return {f.object.name for f in findings}


def restart(server: Server) -> None:
    assert server.local is not None
    server.local.halt("fast")
    server.local.boot()


@contextmanager
def own_value(server: Server, setting: str) -> Iterator[str]:
    """Yield the conninfo of a superuser that has its own value of a setting."""
    with server.role() as name:
        server.execute(sql.SQL("alter role {} superuser").format(sql.Identifier(name)))
        change = sql.SQL("alter role {} set " + setting)
        server.execute(change.format(sql.Identifier(name)))
        yield server.dsn(user=name)


# --- config-dangerous ---------------------------------------------------------------------------


def test_settings_that_risk_the_data_are_found_and_mended(start_pg: StartServer) -> None:
    server = start_pg(
        {
            "full_page_writes": "off",
            "zero_damaged_pages": "on",
            "session_replication_role": "replica",
            "data_sync_retry": "on",
            "allow_system_table_mods": "on",
            "enable_seqscan": "off",
            "enable_self_join_elimination": "off",
            "synchronous_commit": "off",
            "debug_parallel_query": "on",
        }
    )
    findings = found(server.dsn(), "config-dangerous")
    assert {f.object.name: f.severity for f in findings} == {
        "fsync": Severity.CRITICAL,  # the embedded server's own economy
        "full_page_writes": Severity.CRITICAL,
        "zero_damaged_pages": Severity.CRITICAL,
        "session_replication_role": Severity.CRITICAL,
        "data_sync_retry": Severity.WARNING,
        "allow_system_table_mods": Severity.WARNING,
        "enable_seqscan": Severity.WARNING,
        "enable_self_join_elimination": Severity.WARNING,
        "synchronous_commit": Severity.INFO,
        "debug_parallel_query": Severity.INFO,
    }
    assert {f.grade for f in findings} == {Grade.B}
    (pages,) = (f for f in findings if f.object.name == "full_page_writes")
    assert any("ZFS" in c for c in pages.caveats)
    (sync,) = (f for f in findings if f.object.name == "fsync")
    assert any("synchronized" in c for c in sync.caveats)
    apply(server.dsn(), findings)
    eventually(lambda: names(found(server.dsn(), "config-dangerous")) == {"data_sync_retry"})
    # what remains to be done on the server works as printed, while fsync is on
    program, *arguments = shlex.split(sync.remedy[0].sql.splitlines()[-1].partition("off: ")[2])
    assert server.local is not None
    assert server.local.run(program, *arguments).returncode == 0
    restart(server)
    assert verdict(server.dsn(), "config-dangerous") is Verdict.CLEAR
    undo(server.dsn(), [f for f in findings if f.object.name == "enable_seqscan"])
    eventually(lambda: names(found(server.dsn(), "config-dangerous")) == {"enable_seqscan"})


def test_a_freeze_age_near_the_end_is_found_and_lowered(start_pg: StartServer) -> None:
    name = "autovacuum_freeze_max_age"
    server = start_pg({name: "2000000000", "autovacuum_multixact_freeze_max_age": "1000000000"})
    (finding,) = (f for f in found(server.dsn(), "config-dangerous") if name in f.object.name)
    assert finding.severity is Severity.WARNING
    assert "restart" in finding.remedy[0].lock
    apply(server.dsn(), [finding])
    restart(server)
    assert name not in names(found(server.dsn(), "config-dangerous"))


@pytest.mark.all_versions
def test_a_server_as_it_comes_is_no_danger(every_pg: Server, every_real: Snapshot) -> None:
    findings = {f.object.name: f for f in judged(every_real, "config-dangerous").findings}
    # fsync is what the tests' servers are started with; checksums are initdb's default from 18 on
    assert set(findings) == {"fsync"} | ({"data_checksums"} if every_pg.version < 18 else set())
    if every_pg.spec.kind == "container":
        assert any("command line" in c for c in findings["fsync"].caveats)
    if every_pg.version < 18:
        assert findings["data_checksums"].severity is Severity.INFO
        assert findings["data_checksums"].remedy == ()


def test_what_the_looking_role_has_of_its_own_is_not_the_servers(start_pg: StartServer) -> None:
    server = start_pg(QUIET)
    with own_value(server, "enable_hashjoin = off") as dsn:
        report = judged(collect(dsn), "config-dangerous")
    assert report.findings == ()
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "enable_hashjoin" in report.verdicts[0].reason
    run(server.dsn(), "alter role all set enable_hashjoin = off")
    report = judged(collect(server.dsn()), "config-dangerous")
    assert report.findings == (), "ALTER SYSTEM would not override it"
    assert names(found(server.dsn(), "config-role-override")) == {"enable_hashjoin of all roles"}


def test_methods_that_are_off_by_default_are_no_danger(real: Snapshot) -> None:
    snapshot = real
    off = {s.name for s in snapshot.settings if s.name.startswith("enable_") and s.setting == "off"}
    assert "enable_partitionwise_join" in off
    assert not off & names(judged(snapshot, "config-dangerous").findings)


# --- config-pending-restart ---------------------------------------------------------------------


def test_a_change_that_waits_for_a_restart_is_found(every_pg: Server) -> None:
    dsn = every_pg.dsn()
    assert not found(dsn, "config-pending-restart")
    try:
        run(dsn, "alter system set max_connections = 77", "select pg_reload_conf()")
        (finding,) = eventually(lambda: found(dsn, "config-pending-restart"))
        assert finding.object.name == "max_connections"
        assert finding.severity is Severity.INFO
        assert finding.evidence["running_value"] == "100"
        assert finding.evidence["file_value"] == "77"
    finally:
        run(dsn, "alter system reset max_connections", "select pg_reload_conf()")
    eventually(lambda: not found(dsn, "config-pending-restart"))


def test_a_restart_ends_the_wait(start_pg: StartServer) -> None:
    server = start_pg()
    run(server.dsn(), "alter system set shared_buffers = '64MB'", "select pg_reload_conf()")
    running = ask(
        server.dsn(), "select pg_size_pretty(pg_size_bytes(current_setting('shared_buffers')))"
    )
    (finding,) = eventually(lambda: found(server.dsn(), "config-pending-restart"))
    assert f"running with {running}." in finding.detail
    restart(server)
    assert verdict(server.dsn(), "config-pending-restart") is Verdict.CLEAR


def test_before_the_reload_a_change_is_pending_and_no_error(every_pg: Server) -> None:
    dsn = every_pg.dsn()
    changes = ("max_connections = 78", "shared_buffers = '100MB'", "wal_level = minimal")
    try:
        run(dsn, *(f"alter system set {change}" for change in changes))
        findings = found(dsn, "config-pending-restart")
        assert names(findings) == {change.split()[0] for change in changes}
        assert {f.severity for f in findings} == {Severity.INFO}
        assert all("a restart is pending" in f.title for f in findings)
    finally:
        run(dsn, *(f"alter system reset {change.split()[0]}" for change in changes))
        run(dsn, "select pg_reload_conf()")
    eventually(lambda: not found(dsn, "config-pending-restart"))


def test_a_setting_that_was_taken_out_of_the_files_is_pending(start_pg: StartServer) -> None:
    server = start_pg()
    run(server.dsn(), "alter system set max_worker_processes = 9")
    restart(server)
    run(server.dsn(), "alter system reset max_worker_processes")
    (before,) = found(server.dsn(), "config-pending-restart")
    assert (before.severity, before.object.name) == (Severity.INFO, "configuration file")
    assert "max_worker_processes" in before.detail
    run(server.dsn(), "select pg_reload_conf()")
    eventually(
        lambda: names(found(server.dsn(), "config-pending-restart")) == {"max_worker_processes"}
    )


def test_a_wrong_value_is_an_error_even_if_it_needs_a_restart(start_pg: StartServer) -> None:
    server = start_pg()
    wrong = {"max_connections": "0", "wal_level": "much", "hot_standby": "maybe", "port": "99999"}
    right = {"max_wal_senders": "0x0B", "shared_memory_type": "sysv", "wal_log_hints": "ye"}
    write_settings(server, **wrong, **right)
    findings = found(server.dsn(), "config-pending-restart")
    by_severity = {s: {f.object.name for f in findings if f.severity is s} for s in Severity}
    assert by_severity == {
        Severity.CRITICAL: set(),
        Severity.WARNING: set(wrong),
        Severity.INFO: set(right),
    }


def test_errors_in_the_files_are_no_pending_restart(start_pg: StartServer) -> None:
    server = start_pg()
    wrong = write_settings(server, work_mem="'plenty'", shared_buffers="'plenty'")
    findings = found(server.dsn(), "config-pending-restart")
    assert names(findings) == wrong
    assert {f.severity for f in findings} == {Severity.WARNING}
    assert all(f.evidence["sourcefile"].endswith("pgwed.conf") for f in findings)
    unknown = write_settings(server, no_such_setting="1")
    # the server looks no further then
    assert names(found(server.dsn(), "config-pending-restart")) == unknown


def write_settings(server: Server, **settings: str) -> set[str]:
    """Append to the configuration file, and return the names."""
    assert server.local is not None
    with (server.local.data / "pgwed.conf").open("a", encoding="utf-8") as conf:
        conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
    return set(settings)


def test_who_may_not_read_the_files_does_not_call_them_good(every_pg: Server) -> None:
    with every_pg.role("pg_monitor") as name:
        report = judged(collect(every_pg.dsn(user=name)), "config-pending-restart")
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "configuration files" in report.verdicts[0].reason


# --- config-role-override -----------------------------------------------------------------------

ORDINARY = (
    "work_mem = '64MB'",
    "search_path = app",
    "statement_timeout = '5s'",
    "log_min_duration_statement = 100",
    "jit = off",
    "default_transaction_isolation = serializable",
    "enable_seqscan = on",
    "enable_partitionwise_join = off",
    "synchronous_commit = 'local'",
)


ODD = "O'dd \"ro le"


@contextmanager
def odd_role(dsn: str) -> Iterator[str]:
    role = ident(ODD)
    run(dsn, f"create role {role}")
    try:
        yield role
    finally:
        run(dsn, f"drop role {role}")


def test_an_override_is_found_and_reset(every_db: str) -> None:
    with odd_role(every_db) as role:
        run(every_db, f"alter role {role} set enable_nestloop = 'FALSE'")
        (finding,) = found(every_db, "config-role-override")
        assert finding.severity is Severity.INFO
        assert finding.evidence["role"] == ODD
        apply(every_db, [finding])
        assert verdict(every_db, "config-role-override") is Verdict.CLEAR
        undo(every_db, [finding])
        assert found(every_db, "config-role-override")[0].id == finding.id


def test_overrides_of_a_database_and_of_a_role_in_it_are_told_apart(db: str) -> None:
    database = ask(db, "select quote_ident(current_database())")
    with odd_role(db) as role:
        run(
            db,
            f"alter database {database} set plan_cache_mode = force_generic_plan",
            f"alter role {role} in database {database} set session_replication_role = replica",
        )
        findings = found(db, "config-role-override")
        assert len({f.id for f in findings}) == len(findings) == 2
        apply(db, findings)
        assert not found(db, "config-role-override")


def test_ordinary_overrides_are_left_alone(every_db: str) -> None:
    with odd_role(every_db) as role:
        run(every_db, *(f"alter role {role} set {value}" for value in ORDINARY))
        assert verdict(every_db, "config-role-override") is Verdict.CLEAR


def test_a_value_means_what_the_server_takes_it_for(real: Snapshot) -> None:
    snapshot = real

    def count(value: str) -> int:
        override = RoleSetting("r", None, "synchronous_commit", value)
        report = judged(replace(snapshot, role_settings=(override,)), "config-role-override")
        return len(report.findings)

    assert [count(v) for v in ("off", "OFF", "no", "0", "false")] == [1] * 5
    assert [count(v) for v in ("on", "1", "local", "remote_apply", "")] == [0] * 5


# --- config-version -----------------------------------------------------------------------------


def version(snapshot: Snapshot, number: int, day: datetime, text: str | None = None) -> Report:
    text = text or f"{number // 10000}.{number % 10000}"
    server = replace(snapshot.server, version_num=number, version=text, taken_at=day)
    return judged(replace(snapshot, server=server), "config-version")


SUMMER = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "day", "severities"),
    [
        (180006, SUMMER, []),
        (180042, SUMMER, []),
        (180005, SUMMER, [Severity.INFO]),
        (180003, SUMMER, [Severity.WARNING]),
        (140099, SUMMER, [Severity.INFO]),
        (140099, datetime(2026, 11, 12, tzinfo=UTC), [Severity.INFO]),
        (140099, datetime(2026, 11, 13, tzinfo=UTC), [Severity.WARNING]),
        (140001, datetime(2027, 1, 1, tzinfo=UTC), [Severity.WARNING, Severity.WARNING]),
        (150099, SUMMER, []),
        (190000, datetime(2027, 1, 1, tzinfo=UTC), []),
    ],
)
def test_config_version_knows_ends_and_minors(
    real: Snapshot, number: int, day: datetime, severities: list[Severity]
) -> None:
    report = version(real, number, day)
    assert [f.severity for f in report.findings] == severities


def test_a_major_that_nobody_knows_yet_is_unknown(real: Snapshot) -> None:
    report = version(real, 260001, SUMMER)
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "26" in report.verdicts[0].reason


@pytest.mark.parametrize("text", ["19beta2", "19rc1 (Debian 19~rc1-1)", "20devel"])
def test_a_prerelease_version_is_reported(real: Snapshot, text: str) -> None:
    report = version(real, 190000, SUMMER, text)
    (finding,) = report.findings
    assert "pre-release" in finding.title


@pytest.mark.all_versions
def test_the_real_versions_are_judged(every_real: Snapshot) -> None:
    snapshot = replace(every_real, server=replace(every_real.server, taken_at=SUMMER))
    titles = " ".join(f.title for f in judged(snapshot, "config-version").findings)
    assert ("reached its end of life" in titles) == (every_real.server.major <= 13)
    assert ("reaches its end of life" in titles) == (every_real.server.major == 14)


# --- config-logging -----------------------------------------------------------------------------


@pytest.mark.all_versions
def test_the_log_tells_what_the_version_logs_by_default(
    every_pg: Server, every_real: Snapshot
) -> None:
    silent = {"log_temp_files"}
    if every_pg.version < 19:
        silent |= {"log_lock_waits"}
    if every_pg.version < 15:
        silent |= {"log_checkpoints", "log_autovacuum_min_duration"}
    (finding,) = judged(every_real, "config-logging").findings
    assert set(finding.evidence) == silent
    assert finding.severity is Severity.INFO
    with psycopg.connect(every_pg.dsn(), autocommit=True) as connection:
        for step in finding.remedy:  # accepted by this version; not in force without a reload
            connection.execute(step.sql.partition("\n")[0].encode())
            connection.execute(step.undo.partition("\n")[0].encode())


def test_one_run_of_the_remedy_makes_the_log_tell(start_pg: StartServer) -> None:
    server = start_pg({"log_checkpoints": "off", "log_autovacuum_min_duration": "-1"})
    (finding,) = found(server.dsn(), "config-logging")
    assert len(finding.evidence) == len(finding.remedy) == 4
    apply(server.dsn(), [finding])
    eventually(lambda: verdict(server.dsn(), "config-logging") is Verdict.CLEAR)
    undo(server.dsn(), [finding])
    eventually(lambda: len(found(server.dsn(), "config-logging")[0].evidence) == 4)


def test_a_role_that_logs_by_itself_does_not_make_the_server_log(start_pg: StartServer) -> None:
    server = start_pg({"log_temp_files": "0"})
    with own_value(server, "log_lock_waits = on") as dsn:
        assert verdict(dsn, "config-logging") is Verdict.UNKNOWN
    assert [set(f.evidence) for f in found(server.dsn(), "config-logging")] == [{"log_lock_waits"}]


# --- config-observability -----------------------------------------------------------------------


def test_settings_that_blind_are_found_and_mended(start_pg: StartServer) -> None:
    server = start_pg(
        {
            "track_io_timing": "off",
            "track_activities": "off",
            "compute_query_id": "off",
            "track_activity_query_size": "256",
        }
    )
    findings = found(server.dsn(), "config-observability")
    assert names(findings) == {
        *("track_io_timing", "track_activities", "compute_query_id", "track_activity_query_size"),
    }
    apply(server.dsn(), findings)
    left = eventually(
        lambda: len(seen := found(server.dsn(), "config-observability")) == 1 and seen
    )
    assert "restart" in left[0].remedy[0].lock
    restart(server)
    assert verdict(server.dsn(), "config-observability") is Verdict.CLEAR
    assert ask(server.dsn(), "show track_activity_query_size") == "4kB"


def test_servers_that_tell_are_left_alone(every_real: Snapshot) -> None:
    assert judged(every_real, "config-observability").verdicts[0].verdict is Verdict.CLEAR


def test_a_role_that_is_not_tracked_does_not_blind_the_server(pg: Server) -> None:
    with own_value(pg, "track_activities = off") as dsn:
        assert not found(dsn, "config-observability")


# --- config-default-memory ----------------------------------------------------------------------

LARGE: dict[str, Any] = {"min_database_bytes": 1_000_000}
SOME = "create table t as select g, repeat('x', 200) from generate_series(1, 20000) g"


def test_a_large_database_on_the_default_is_found(every_db: str) -> None:
    run(every_db, SOME, "analyze t")
    (finding,) = found(every_db, "config-default-memory", **LARGE)
    assert finding.severity is Severity.INFO
    assert finding.grade is Grade.D
    assert finding.remedy == ()
    assert "128 MB" in finding.title
    assert not found(every_db, "config-default-memory"), "2 GB are large, not these"


def test_known_memory_gives_the_value_and_the_value_silences_it(start_pg: StartServer) -> None:
    server = start_pg()
    known = {**LARGE, "memory_bytes": 2 * 1024**3}
    run(server.dsn(), SOME, "analyze t")
    (finding,) = found(server.dsn(), "config-default-memory", **known)
    assert finding.remedy[0].sql == "ALTER SYSTEM SET shared_buffers = '512MB';"
    apply(server.dsn(), [finding])
    restart(server)
    assert ask(server.dsn(), "show shared_buffers") == "512MB"
    assert verdict(server.dsn(), "config-default-memory", **known) is Verdict.CLEAR
    undo(server.dsn(), [finding])
    restart(server)
    assert found(server.dsn(), "config-default-memory", **known)


@pytest.mark.parametrize("memory_gb", [0.5, 0.9])
def test_the_default_is_right_for_a_small_machine(db: str, memory_gb: float) -> None:
    run(db, SOME, "analyze t")
    memory = int(memory_gb * 1024**3)
    assert not found(db, "config-default-memory", **LARGE, memory_bytes=memory)


def test_what_somebody_chose_is_no_default(start_pg: StartServer) -> None:
    server = start_pg({"shared_buffers": "100MB"})
    run(server.dsn(), SOME, "analyze t")
    assert verdict(server.dsn(), "config-default-memory", **LARGE) is Verdict.CLEAR
    (setting,) = (s for s in collect(server.dsn()).settings if s.name == "shared_buffers")
    assert isinstance(setting, Setting)
    assert setting.source == "configuration file"
