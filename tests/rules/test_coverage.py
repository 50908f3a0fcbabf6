"""Coverage rules: what cannot be seen is said, and what mends it mends it."""

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Severity, Verdict
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.rules.judging import apply, found, judged, run, undo, verdict
from tests.rules.waiting import ask
from tests.servers import Server

SHOW = "select setting from pg_settings where name = 'shared_preload_libraries'"
VERSION = "select extversion from pg_extension where extname = 'pg_stat_statements'"


# --- coverage-extension -------------------------------------------------------------------------


def test_a_loaded_library_needs_only_the_extension(every_db: str) -> None:
    (finding,) = found(every_db, "coverage-extension")
    assert "is not installed" in finding.title
    assert [s.sql for s in finding.remedy] == ["CREATE EXTENSION pg_stat_statements;"]
    apply(every_db, [finding])
    assert verdict(every_db, "coverage-extension") is Verdict.CLEAR
    undo(every_db, [finding])
    assert found(every_db, "coverage-extension")


def test_a_library_that_is_not_loaded_joins_those_that_are() -> None:
    with embedded.start({"shared_preload_libraries": "auto_explain"}) as server:
        (absent,) = found(server.dsn(), "coverage-extension")
        assert len(absent.remedy) == 2
        apply(server.dsn(), [absent])
        (not_loaded,) = found(server.dsn(), "coverage-extension")
        assert "does not load" in not_loaded.title
        server.halt("fast")
        server.adopt()
        assert ask(server.dsn(), SHOW) == "auto_explain, pg_stat_statements"
        assert verdict(server.dsn(), "coverage-extension") is Verdict.CLEAR
        undo(server.dsn(), [not_loaded])
        server.halt("fast")
        server.adopt()
        assert ask(server.dsn(), SHOW) == "auto_explain"


def test_who_may_not_see_what_is_loaded_gets_no_line_that_would_unload_it(pg: Server) -> None:
    with pg.database() as dsn, pg.role() as name:
        snapshot = collect(psycopg.conninfo.make_conninfo(dsn, user=name))
        unloaded = [s for s in snapshot.settings if not s.name.startswith("pg_stat_statements")]
        report = judged(replace(snapshot, settings=tuple(unloaded)), "coverage-extension")
    (finding,) = report.findings
    assert not any("shared_preload_libraries" in s.sql for s in finding.remedy)
    assert any("may not see shared_preload_libraries" in c for c in finding.caveats)


@pytest.mark.pg(">= 14")
def test_an_old_extension_is_brought_up(every_db: str) -> None:
    run(every_db, "create extension pg_stat_statements version '1.8'")
    (finding,) = found(every_db, "coverage-extension")
    assert finding.severity is Severity.INFO
    apply(every_db, [finding])
    assert ask(every_db, VERSION) == finding.evidence["default_version"]
    assert verdict(every_db, "coverage-extension") is Verdict.CLEAR


# --- coverage-privileges ------------------------------------------------------------------------


def test_a_bare_role_is_told_what_it_cannot_see_and_the_grants_show_it(every_pg: Server) -> None:
    with every_pg.database() as dsn, every_pg.role() as name:
        run(dsn, "create extension pg_stat_statements", "select 42")
        as_role = psycopg.conninfo.make_conninfo(dsn, user=name)
        with psycopg.connect(dsn):
            (finding,) = found(as_role, "coverage-privileges")
        assert finding.severity is Severity.WARNING
        assert "sessions" in finding.evidence
        assert "statements" in str(finding.evidence["activity"])
        apply(dsn, [finding])
        assert verdict(as_role, "coverage-privileges") is Verdict.CLEAR
        undo(dsn, [finding])
        assert found(as_role, "coverage-privileges")


def test_a_monitoring_role_sees_all_that_rules_need(every_pg: Server) -> None:
    with every_pg.database() as dsn, every_pg.role("pg_monitor") as name:
        run(dsn, "create extension pg_stat_statements")
        report = judged(
            collect(psycopg.conninfo.make_conninfo(dsn, user=name)), "coverage-privileges"
        )
    hidden = {n for f in report.findings for n in f.evidence}
    # those alone are the superuser's; subscriptions until 14
    assert hidden <= {"file_settings", "subscriptions"}


def test_a_superuser_is_told_nothing(every_db: str) -> None:
    assert verdict(every_db, "coverage-privileges") is Verdict.CLEAR


# --- coverage-statements ------------------------------------------------------------------------


def test_entries_that_are_thrown_out_are_counted(start_pg: StartServer) -> None:
    server = start_pg({"pg_stat_statements.max": "100"})
    dsn = server.dsn()
    run(dsn, "create extension pg_stat_statements")
    run(dsn, *("select 1" + ", 1" * n for n in range(300)))
    (finding,) = found(dsn, "coverage-statements")
    assert finding.severity is Severity.INFO
    assert finding.evidence["max_entries"] == 100
    assert finding.evidence["dealloc"] > 0
    apply(dsn, [finding])
    undo(dsn, [finding])


def aged(snapshot: Snapshot, **time: float) -> Snapshot:
    (info,) = snapshot.statements_info
    assert info.stats_reset is not None
    early = replace(info, stats_reset=info.stats_reset - timedelta(**time), dealloc=20)
    return replace(snapshot, statements_info=(early,))


@pytest.mark.pg(">= 14")
def test_a_few_evictions_a_month_are_no_loss(every_db: str) -> None:
    run(every_db, "create extension pg_stat_statements")
    snapshot = collect(every_db)
    assert judged(aged(snapshot, hours=1), "coverage-statements").findings
    assert not judged(aged(snapshot, days=60), "coverage-statements").findings


@pytest.mark.pg(">= 14")
def test_tracking_that_is_off_is_found_and_switched_on(start_pg: StartServer) -> None:
    server = start_pg({"pg_stat_statements.track": "none"})
    run(server.dsn(), "create extension pg_stat_statements", "select 1")
    (finding,) = found(server.dsn(), "coverage-statements")
    assert "track is none" in finding.title
    apply(server.dsn(), [finding])
    assert verdict(server.dsn(), "coverage-statements") is not Verdict.FINDING
    assert ask(server.dsn(), "show pg_stat_statements.track") == "top"


@pytest.mark.pg(">= 14")
def test_load_whose_texts_are_hidden_is_said_to_be_missing(every_pg: Server) -> None:
    work = "select sum(g) from generate_series(1, 200000) g"
    with every_pg.database() as dsn, every_pg.role() as name:
        as_role = psycopg.conninfo.make_conninfo(dsn, user=name)
        run(dsn, "create extension pg_stat_statements", *[work] * 10)
        most = judged(collect(as_role), "coverage-statements")
        assert most.verdicts[0].verdict is Verdict.UNKNOWN
        assert "GRANT pg_" in most.verdicts[0].mend
        with psycopg.connect(as_role, autocommit=True) as connection:
            for _ in range(30):
                connection.execute(work.encode())
        shared = found(as_role, "coverage-statements")  # others may make the server forget
        (finding,) = [f for f in shared if "visible_share" in f.evidence]
        assert 0.4 < finding.evidence["visible_share"] < 0.9
        all_seen = found(dsn, "coverage-statements")
        assert not [f for f in all_seen if "visible_share" in f.evidence]


# --- coverage-window ----------------------------------------------------------------------------


def test_young_counters_are_told_with_what_they_keep_from_being_judged(every_db: str) -> None:
    (finding,) = judged(collect(every_db), "coverage-window", window=timedelta(days=30)).findings
    assert finding.severity is Severity.INFO
    assert finding.evidence["days"] < 1
    assert "index-unused" in finding.detail


def test_old_counters_are_enough(every_db: str) -> None:
    snapshot = collect(every_db)
    later = replace(snapshot.server, taken_at=snapshot.now + timedelta(days=31))
    report = judged(replace(snapshot, server=later), "coverage-window", window=timedelta(days=30))
    assert [v.verdict for v in report.verdicts] == [Verdict.CLEAR]
