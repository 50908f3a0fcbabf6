"""Whole runs, the lab and everything, while something goes wrong: a report, or one line; nothing left behind."""

import json
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli import report_files
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.render import rendering as render
from pgwatch_wed.target.capabilities import UNEXPECTED
from pgwatch_wed.target.collect import ORDER
from pgwatch_wed.target.connect import APPLICATION_NAME
from tests.formats import TEXTUAL
from tests.proxy import Proxy, proxied
from tests.psql import psql
from tests.servers import Server
from tests.test_cli import FAULTS, PROGRAM, db_analyze
from tests.test_faults import holding, queued, timed
from tests.test_queries import ADDED, lacking

SHOP = (
    FAULTS
    + """
create extension pgstattuple;
create table events (id bigint, kind text, at date) partition by range (at);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
insert into events select g, 'k' || g % 10, date '2024-01-01' + g % 300 from generate_series(1, 5000) g;
create index on events (kind);
analyze events;
"""
)
QUERY = "select count(*) from orders where placed > now() - interval '1 hour' and id % 7 = 3"
LAB = {"missing_indexes", "index_drop_trials", "statement_plans"}
# A whole run of this shop takes five seconds on a slow machine; a lock is waited for two, at the most.
PROMPT_S = 60
OURS = f"{APPLICATION_NAME}%"


def fill(dsn: str) -> None:
    psql(dsn, SHOP + (QUERY + ";") * 20)


@pytest.fixture(scope="module")
def shop(pg: Server) -> Iterator[str]:
    with pg.database() as dsn:
        fill(dsn)
        yield dsn


def quiet(_what: str, _share: float) -> None:
    """Show nothing."""


def whole(
    dsn: str, progress: Callable[[str, float], None] = quiet, budget_s: float = 40, **more: object
) -> Snapshot:
    """Run everything that a run can do; make every report of it."""
    wanted = Wanted(budget_s=budget_s, exact_bloat=20, **more)  # type: ignore[arg-type]
    with timed(PROMPT_S):
        first, *others = gather(dsn, wanted, progress)
    report = analyse([first, *others], Config(window_days=0))
    for form in TEXTUAL:
        assert render.document(form, report, (first, *others))
    assert not [m for s in (first, *others) for m in s.missing.values() if UNEXPECTED in m.reason]
    return first


def nothing_of_ours(dsn: str) -> bool:
    """Tell whether no process of ours is on the server any more; one that ends may take a moment."""
    query = "select count(*) from pg_stat_activity where application_name like %s"
    end = time.monotonic() + 10
    with psycopg.connect(dsn, autocommit=True) as admin:
        while admin.execute(query, [OURS]).fetchone() != (0,):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
    return True


def no_lab_runs() -> bool:
    """Tell whether no pg_dump is a child of ours."""
    return not [p for p in psutil.Process().children(recursive=True) if p.name() == "pg_dump"]


def test_nothing_goes_wrong(shop: str) -> None:
    """What the others lose, they lose to their fault."""
    snapshot = whole(shop)
    assert lacking(snapshot) == {}
    assert not ADDED & snapshot.missing.keys()
    assert snapshot.exact_bloat
    assert nothing_of_ours(shop)


# Locks


@pytest.mark.parametrize("table", ["orders", "events_2024", "events"])
def test_a_lock_on_a_table_costs_the_lab_and_no_time(shop: str, table: str) -> None:
    with holding(shop, f"lock table only {table} in access exclusive mode"):
        snapshot = whole(shop)
        assert nothing_of_ours(shop)
    assert lacking(snapshot).keys() == {"index_definitions:left-out"}
    assert LAB & snapshot.missing.keys() >= {"missing_indexes", "index_drop_trials"}
    assert "timeout" in snapshot.missing["missing_indexes"].reason
    assert "a table is locked" in str(snapshot.missing["missing_indexes"].mend)
    oid = next(t.oid for t in snapshot.tables if t.name == table)
    assert oid not in {b.oid for b in snapshot.exact_bloat}
    assert snapshot.exact_bloat, "the other tables were measured"


@pytest.mark.parametrize("table", ["orders", "events_2024"])
def test_a_queued_alter_table_waits_for_nobody_of_ours_in_the_end(shop: str, table: str) -> None:
    with (
        holding(shop, f"lock table only {table} in access share mode"),
        queued(shop, f"alter table {table} add column late int"),
    ):
        snapshot = whole(shop)
        assert nothing_of_ours(shop)
    assert "timeout" in snapshot.missing["missing_indexes"].reason
    assert "a table is locked" in str(snapshot.missing["missing_indexes"].mend)
    assert len(snapshot.tables) == 3


# Roles


def knows(server: Server, setting: str) -> bool:
    with psycopg.connect(server.dsn()) as connection:
        query = "select exists (select from pg_settings where name = %s)"
        return connection.execute(query, [setting]).fetchone() == (True,)


@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout = '40ms'",
        "transaction_timeout = '40ms'",
        "idle_session_timeout = '2s'",
        "default_transaction_read_only = on",
        "idle_in_transaction_session_timeout = '50ms'",
        "default_transaction_isolation = 'serializable'",
        "search_path = ''",
        "row_security = off",
    ],
)
def test_a_role_with_settings_of_its_own_gets_the_whole_report(
    pg: Server, shop: str, setting: str
) -> None:
    with pg.role("pg_monitor", "pg_read_all_data", "pg_stat_scan_tables") as role:
        name, _, value = setting.partition(" = ")
        if not knows(pg, name):
            pytest.skip(f"this server has no {name}")
        alter = sql.SQL("alter role {} set {} = {}")
        pg.execute(alter.format(sql.Identifier(role), sql.SQL(name), sql.SQL(value)))
        snapshot = whole(make_conninfo(shop, user=role))
    assert set(lacking(snapshot)) == {"file_settings"}
    assert not ADDED & snapshot.missing.keys()


@pytest.mark.parametrize("groups", [(), ("pg_monitor",), ("pg_read_all_stats",)])
def test_a_role_with_few_rights_gets_a_report_of_what_it_may_see(
    pg: Server, shop: str, groups: tuple[str, ...]
) -> None:
    with pg.role(*groups) as role:
        snapshot = whole(make_conninfo(shop, user=role))
    assert len(snapshot.tables) == 3
    assert "missing_indexes" in snapshot.missing
    assert ("exact_bloat" in snapshot.missing) is ("pg_monitor" not in groups)
    assert all(m.mend for n, m in snapshot.missing.items() if n in ORDER and n in lacking(snapshot))


def test_the_owner_of_everything_who_is_no_superuser_gets_a_report(pg: Server) -> None:
    with pg.database() as dsn, pg.role() as owner:
        psql(dsn, "create extension pg_stat_statements; create extension pgstattuple;")
        psql(dsn, f"grant create, usage on schema public to {owner};")
        hers = make_conninfo(dsn, user=owner)
        psql(hers, FAULTS.replace("create extension pg_stat_statements;", "") + (QUERY + ";") * 20)
        snapshot = whole(hers)
        assert snapshot.column_statistics
        assert "missing_indexes" not in snapshot.missing, "it is her own statement that gains"
        psql(dsn, f"drop owned by {owner} cascade;")


def test_a_role_with_a_single_connection_gets_a_report(pg: Server, shop: str) -> None:
    with pg.role("pg_monitor", "pg_read_all_data") as role:
        pg.execute(sql.SQL("alter role {} connection limit 1").format(sql.Identifier(role)))
        snapshot = whole(make_conninfo(shop, user=role))
    assert set(lacking(snapshot)) == {"file_settings"}
    for name in LAB & snapshot.missing.keys():
        assert "too many connections" in snapshot.missing[name].reason


# What RDS, Cloud SQL and Azure close for the role that they call administrator.
CLOSED = """
revoke all on function pg_control_system() from public;
revoke all on function pg_control_checkpoint() from public;
revoke all on function pg_ls_waldir() from pg_monitor;
revoke all on function pg_ls_logdir() from pg_monitor;
revoke all on function pg_ls_tmpdir() from pg_monitor;
revoke all on pg_file_settings, pg_hba_file_rules, pg_config from public;
revoke all on pg_subscription, pg_authid from public;
revoke all on function pg_stat_file(text), pg_read_file(text), pg_ls_dir(text) from public;
"""


def test_an_administrator_of_a_managed_service_gets_the_whole_report() -> None:
    with embedded.start() as server:
        fill(server.dsn())
        psql(server.dsn(), CLOSED)
        psql(server.dsn(), "create role cloud login createrole createdb;")
        psql(server.dsn(), "grant pg_monitor, pg_read_all_data to cloud with admin option;")
        psql(server.dsn(), "alter database postgres owner to cloud;")
        snapshot = whole(server.dsn(user="cloud"))
    assert set(lacking(snapshot)) <= {"file_settings", "subscriptions"}
    assert not ADDED & snapshot.missing.keys()
    assert snapshot.server.system_identifier is None
    assert all("GRANT" in snapshot.missing[n].mend for n in lacking(snapshot))


# Connections that end


@pytest.mark.parametrize("when", ["sessions", "tables", "index definitions", "building the lab"])
def test_a_run_that_is_terminated_again_and_again_from_a_stage_on_still_reports(
    shop: str, when: str
) -> None:
    """An administrator, or a script of hers, who ends every session of ours as soon as it appears."""
    done, begun = threading.Event(), threading.Event()
    query = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like %s"

    def terminate() -> None:
        with psycopg.connect(shop, autocommit=True) as admin:
            begun.wait()
            while not done.is_set():
                admin.execute(query, [OURS])
                time.sleep(0.002)

    def progress(what: str, _share: float) -> None:
        if what == when:
            begun.set()
            time.sleep(0.05)

    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        snapshot = whole(shop, progress)
    finally:
        begun.set()
        done.set()
        thread.join()
    lost = set(lacking(snapshot)) & set(ORDER)
    if when != "building the lab":
        assert lost >= set(ORDER[ORDER.index(when.replace(" ", "_")) + 1 :])
    assert {"missing_indexes", "index_drop_trials"} <= snapshot.missing.keys()
    assert nothing_of_ours(shop)
    assert no_lab_runs()


@pytest.mark.slow
def test_a_connection_that_breaks_anywhere_in_a_whole_run_costs_the_rest(shop: str) -> None:
    """tests/test_faults.py breaks it at every message of a collection; here in what comes after."""
    with proxied(shop) as (proxy, dsn):
        gather(dsn, Wanted(advise=False), quiet)
        collecting = proxy.messages
        whole(dsn)
        total = proxy.messages - collecting
    assert total > collecting + 20, "the measuring, the plans and the dump are messages too"
    for n in range(collecting, total, max((total - collecting) // 12, 1)):
        with proxied(shop, at=n) as (_, dsn):
            snapshot = whole(dsn)
        assert set(lacking(snapshot)) <= {"index_definitions"}, n
        assert no_lab_runs()
    assert nothing_of_ours(shop)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
@pytest.mark.parametrize("when", ["settings", "building the lab", "measuring bloat"])
def test_a_server_that_stops_and_stays_away_costs_the_rest(mode: str, when: str) -> None:
    with embedded.start() as server:
        fill(server.dsn())

        def stop(what: str, _share: float) -> None:
            if what == when:
                server.halt(mode)

        snapshot = whole(server.dsn(), stop)
        lost = set(lacking(snapshot)) & set(ORDER)
        assert lost == (set(ORDER[ORDER.index("settings") :]) if when == "settings" else set())
        assert {"missing_indexes", "index_drop_trials"} <= snapshot.missing.keys()
        server.boot()


def test_a_server_that_restarts_before_the_lab_costs_nothing() -> None:
    with embedded.start() as server:
        fill(server.dsn())

        def restart(what: str, _share: float) -> None:
            if what == "building the lab":
                server.restart()

        snapshot = whole(server.dsn(), restart)
    assert lacking(snapshot) == {}
    assert not ADDED & snapshot.missing.keys()


# Networks that stall


@pytest.mark.parametrize("when", ["columns", "measuring bloat", "building the lab"])
def test_a_network_that_stalls_in_a_whole_run_is_given_up(shop: str, when: str) -> None:
    """Not closed, not refused: silent. The dump, the plans and the measuring must all give up."""
    with proxied(shop) as (proxy, dsn):

        def stall(what: str, _share: float) -> None:
            if what == when:
                proxy.stall()

        snapshot = whole(dsn, stall, budget_s=10)
    assert {"missing_indexes", "index_drop_trials"} <= snapshot.missing.keys()
    assert no_lab_runs()


@pytest.mark.slow
def test_a_network_that_stalls_for_a_minute_costs_one_fact_and_what_follows(shop: str) -> None:
    """With the budget that a run has by default: the longest time for one query, and no more."""
    resumed: list[threading.Timer] = []

    def pause(proxy: Proxy) -> None:
        proxy.stall()
        resumed.append(threading.Timer(60, proxy.resume))
        resumed[0].start()

    begun = time.monotonic()
    with proxied(shop, at=40, act=pause) as (_, dsn):
        wanted = Wanted(advise=False)
        (snapshot,) = gather(dsn, wanted, quiet)
        took = time.monotonic() - begun
        resumed[0].cancel()
    assert took < 45
    assert [m for m in snapshot.missing.values() if "did not respond for 33 s" in m.reason]
    assert set(ORDER) - snapshot.missing.keys(), "what was read before is kept"
    assert nothing_of_ours(shop)


# Things that vanish


def test_a_role_that_is_dropped_in_the_middle_costs_what_it_may_no_longer_see(
    pg: Server, shop: str
) -> None:
    with psycopg.connect(shop, autocommit=True) as admin:
        admin.execute("create role leaver login in role pg_monitor, pg_read_all_data")

        def drop(what: str, _share: float) -> None:
            if what == "tables":
                admin.execute("drop role leaver")

        snapshot = whole(pg.dsn(str(conninfo_to_dict(shop)["dbname"]), "leaver"), drop)
    assert snapshot.sessions
    assert {"missing_indexes", "index_drop_trials"} <= snapshot.missing.keys()


@pytest.mark.parametrize("when", ["tables", "building the lab"])
def test_a_database_that_is_dropped_in_the_middle_costs_the_rest(pg: Server, when: str) -> None:
    with pg.database() as dsn:
        fill(dsn)
        name = sql.Identifier(str(conninfo_to_dict(dsn)["dbname"]))

        def drop(what: str, _share: float) -> None:
            if what == when:
                pg.execute(sql.SQL("drop database {} with (force)").format(name))

        snapshot = whole(dsn, drop)
    assert snapshot.sessions is not None
    assert {"missing_indexes", "index_drop_trials"} <= snapshot.missing.keys()


def test_a_database_that_vanishes_between_the_list_and_its_turn_is_said(
    pg: Server, shop: str
) -> None:
    with pg.database() as other:
        name = str(conninfo_to_dict(other)["dbname"])

        def drop(what: str, _share: float) -> None:
            if what == "sessions":
                return
            if what == "done":
                statement = sql.SQL("drop database if exists {} with (force)")
                pg.execute(statement.format(sql.Identifier(name)))

        wanted = Wanted(advise=False, all_databases=True)
        snapshots = gather(shop, wanted, drop)
    report = analyse(snapshots, Config(window_days=0))
    assert name in [s.server.database for s in snapshots]
    gone = next(s for s in snapshots if s.server.database == name)
    assert "does not exist" in gone.missing["tables"].reason
    assert report.findings


# Company


def test_two_programs_at_once_in_one_folder_lose_no_report(shop: str, tmp_path: Path) -> None:
    command = [*PROGRAM, "run", shop, "--no-advise", "-q", "-o", str(tmp_path)]
    runs = [subprocess.Popen(command) for _ in range(3)]
    assert [run.wait(timeout=PROMPT_S) for run in runs] == [0, 0, 0]
    for suffix in ("html", "json"):
        assert len(list(tmp_path.glob(f"analysis-report-*.{suffix}"))) == 3


def test_reports_of_the_same_second_take_no_name_from_each_other(tmp_path: Path) -> None:
    """The same at the closest: all look for a free name at once, and some write fewer formats."""
    when = datetime(2026, 11, 1, tzinfo=UTC)

    def write(number: int) -> list[Path]:
        text = f"{number}".encode()
        suffixes = (".html", ".json") if number % 2 else (".json",)
        documents = dict.fromkeys(suffixes, text)
        paths = report_files.written(documents, tmp_path, "analysis-report", when)
        assert len({p.name.partition(".")[0] for p in paths}) == 1
        return paths

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(60)))
    for number, paths in enumerate(written):
        assert {p.read_text() for p in paths} == {f"{number}"}
    assert len(list(tmp_path.iterdir())) == 90


# Our own side


def little_room() -> None:
    """Let no file of the child grow to the size of a WAL segment, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))


def test_a_disk_without_room_for_the_lab_costs_the_lab(shop: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "run", shop, "-o", str(tmp_path)],
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        timeout=PROMPT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "orders_customer_" in done.stdout
    (written,) = tmp_path.glob("*.json")
    reasons = [v["reason"] for v in json.loads(written.read_text())["verdicts"] if v.get("reason")]
    assert any("initdb failed" in reason for reason in reasons)


# Names and texts


def test_a_database_of_bytes_that_are_no_text_gets_a_report(pg: Server, tmp_path: Path) -> None:
    create = "create database bytes_beside template template0 encoding '{}' locale 'C'"
    for encoding, name in (("SQL_ASCII", b"caf\xe9\xff"), ("LATIN1", b"caf\xe9")):
        pg.execute(sql.SQL(create.format(encoding)))
        dsn = pg.dsn("bytes_beside")
        try:
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute("create extension pg_stat_statements")
                for statement in (
                    b"set client_encoding = sql_ascii",
                    b'create table "%b" ("%b" int, other int)' % (name, name),
                    b'insert into "%b" select g, g from generate_series(1, 20000) g' % name,
                    b'analyze "%b"' % name,
                    *[b'select count(*) from "%b" where "%b" = 7' % (name, name)] * 10,
                ):
                    result = admin.pgconn.exec_(statement)
                    assert not result.error_message, result.error_message
            out = tmp_path / encoding
            done = db_analyze("run", dsn, "-o", str(out), "-v")
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr
            assert list(out.glob("*.html"))
        finally:
            with suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute(
                    "select pg_stat_statements_reset(0, oid, 0) from pg_database where datname = %s",
                    ["bytes_beside"],
                )
            pg.execute(sql.SQL("drop database bytes_beside with (force)"))
