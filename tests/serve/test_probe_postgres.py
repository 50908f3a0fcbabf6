"""The probe of PostgreSQL, on real servers that refuse, hang, are full, are a standby or cannot be written to."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure
from pgwatch_wed.serve.probes.probe_kinds import build, parse
from pgwatch_wed.serve.probes.probe_runner import Runner
from pgwatch_wed.serve.state import Board, Health, ProbeResult, Reason
from tests import tls
from tests.conftest import StartServer
from tests.proxy import proxied
from tests.serve.parts import answering, silence
from tests.servers import Server
from tests.standby import catch_up, standby_of


def ask(dsn: str, **settings: Any) -> Observation:
    """Ask once, without the runner."""
    os.environ["PROBED"] = dsn
    table = {"url_env": "PROBED", **settings}
    (chosen,) = parse({"database": table}, "test.toml")
    return build(chosen, time.time).ask(Limit(time.monotonic() + chosen.deadline_s))


def refusal(dsn: str, **settings: Any) -> Reason:
    with pytest.raises(ProbeFailure) as failure:
        ask(dsn, **settings)
    for word in ("127.0.0.1", "localhost", "secret", "nobody", "nowhere"):
        assert word not in failure.value.detail
    return failure.value.reason


def execute_once_there_is_room(server: Server, query: sql.Composed, seconds: float = 20) -> None:
    """Execute as soon as the server has ended the sessions whose clients are gone."""
    end = time.monotonic() + seconds
    while True:
        try:
            return server.execute(query)
        except psycopg.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def result(dsn: str, **settings: Any) -> ProbeResult:
    """Ask with the runner's deadline and tries."""
    os.environ["PROBED"] = dsn
    (chosen,) = parse({"database": {"url_env": "PROBED", **settings}}, "test.toml")
    board = Board()
    Runner(board, [build(chosen, time.time)], now=time.time).run_once()
    return board.state.probes["database"]


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    """A server by TCP with room for few."""
    from pgwatch_wed.embedded import server as embedded
    from tests import servers

    settings = {
        "max_connections": "4",
        "superuser_reserved_connections": "1",
        "archive_mode": "on",
        "archive_command": "true",
    }
    local = embedded.start({**servers.SETTINGS, "max_wal_senders": "2", **settings}, tcp=True)
    try:
        yield Server(
            servers.embedded_spec(),
            local.dsn(tcp=True),
            local.stop,
            local=local,
            password=local.password,
        )
    finally:
        local.stop()


def test_a_healthy_server_passes(db: str) -> None:
    seen = ask(db, role="primary")
    assert (seen.status, seen.reason) == (Health.PASS, None)
    assert seen.readings["probe_in_recovery"] == 0
    assert result(db).is_essential


def test_a_server_of_the_other_role_fails(db: str) -> None:
    seen = ask(db, role="standby")
    assert (seen.status, seen.reason) == (Health.FAIL, Reason.CONDITION)
    assert seen.detail == "the server is a primary, not a standby"


def test_who_refuses_us_is_not_down(small: Server) -> None:
    wrong = make_conninfo(small.dsn(), password="secret of another")
    assert refusal(wrong) is Reason.AUTH
    assert refusal(make_conninfo(small.dsn(), user="nobody", password="x")) is Reason.AUTH
    found = result(wrong)
    assert (found.status, found.reason) == (Health.WARN, Reason.AUTH)
    assert result(wrong, auth="fail").status is Health.FAIL
    assert refusal(small.dsn("nowhere")) is Reason.CONDITION


def until_it_is_full(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect until that is refused, for a while: sessions of before may still be ending."""
    refused = 0
    while refused < 5:
        try:
            yield psycopg.connect(dsn)
            refused = 0
        except psycopg.OperationalError:
            refused += 1
            time.sleep(0.1)


def test_too_many_clients_are_a_limit_in_both_forms(small: Server) -> None:
    with small.role() as role:
        dsn = small.dsn(user=role)
        taken = list(until_it_is_full(dsn))
        try:
            assert (
                refusal(dsn) is Reason.LIMIT
            )  # slots are reserved: it says so after authentication
            taken.append(psycopg.connect(small.dsn()))
            assert refusal(small.dsn()) is Reason.LIMIT  # sorry, too many clients: before
            found = result(small.dsn())
            assert (found.status, found.reason) == (Health.WARN, Reason.LIMIT)
        finally:
            for each in taken:
                each.close()
        execute_once_there_is_room(
            small, sql.SQL("alter role {} connection limit 0").format(sql.Identifier(role))
        )
        assert refusal(dsn) is Reason.LIMIT


def test_nobody_there_is_not_a_timeout(small: Server) -> None:
    assert refusal(make_conninfo(small.dsn(), port=free_port())) is Reason.REFUSED
    assert refusal(make_conninfo(small.dsn(), host="nowhere.invalid")) is Reason.DNS
    assert refusal(make_conninfo("", host="/nowhere", user="x")) is Reason.REFUSED


def test_who_speaks_another_language_is_told_apart() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert refusal(f"host=127.0.0.1 port={port} user=x sslmode=disable") is Reason.PROTOCOL


def test_a_server_without_tls_is_not_one_with() -> None:
    with answering(b"N") as port:
        assert refusal(f"host=127.0.0.1 port={port} user=x sslmode=require") is Reason.TLS


def test_a_listener_that_never_answers_costs_the_deadline_and_no_more() -> None:
    with silence() as port:
        begun = time.monotonic()
        found = result(f"host=127.0.0.1 port={port} user=x", deadline="1 s", tries=1)
    assert (found.status, found.reason) == (Health.FAIL, Reason.TIMEOUT)
    assert 0.9 < time.monotonic() - begun < 1.6


def test_a_server_that_is_stopped_and_goes_on_is_seen(small: Server) -> None:
    local = small.local
    assert local is not None
    pid = int((local.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        found = result(small.dsn(), deadline="1 s", tries=1)
        assert (found.status, found.reason) == (Health.FAIL, Reason.TIMEOUT)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert result(small.dsn()).status is Health.PASS


def test_a_connection_that_breaks_or_stalls_in_a_query(small: Server) -> None:
    with proxied(small.dsn(), at=4) as (_, dsn):
        assert refusal(dsn) is Reason.PROTOCOL
    with proxied(small.dsn(), at=4, act=lambda p: p.stall()) as (_, dsn):
        found = result(dsn, deadline="1 s", tries=1)
        assert found.reason is Reason.TIMEOUT


def test_writing_goes_to_a_table_of_its_own(small: Server) -> None:
    with small.database() as dsn:
        assert ask(dsn, write=True).status is Health.PASS
        assert ask(dsn, write=True).status is Health.PASS
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(
                "select probe, at > now() - interval '1 min' from pgwatch_wed_probe"
            ).fetchall()
            assert rows == [("database", True)]
            connection.execute(
                f"alter database {connection.info.dbname} set default_transaction_read_only = on".encode()
            )
        assert refusal(dsn, write=True) is Reason.CONDITION
        assert ask(dsn, role="primary").status is Health.FAIL
    with small.database() as dsn, small.role() as role:
        seen = ask(make_conninfo(dsn, user=role), write=True)
        assert (seen.status, seen.detail) == (Health.WARN, "the probe may not write to its table")


def test_a_table_that_is_locked_does_not_hold_the_probe(small: Server) -> None:
    with small.database() as dsn:
        ask(dsn, write=True)
        with psycopg.connect(dsn) as holder:
            holder.execute("lock table pgwatch_wed_probe")
            begun = time.monotonic()
            found = result(dsn, write=True, deadline="1 s", tries=1)
            assert found.reason is Reason.TIMEOUT
            assert time.monotonic() - begun < 1.5


def test_archiving_is_watched_if_wanted(small: Server) -> None:
    small.execute(sql.SQL("select pg_stat_reset_shared('archiver')"))
    assert ask(small.dsn(), archive_age="5 min").detail == "no WAL has been archived yet"
    assert ask(small.dsn()).status is Health.PASS
    small.execute(sql.SQL("create table switched (a int)"))
    small.execute(sql.SQL("select pg_switch_wal()"))
    deadline = time.monotonic() + 20
    while ask(small.dsn(), archive_age="5 min").status is not Health.PASS:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    late = ask(small.dsn(), archive_age="0 s")
    assert late.status is Health.WARN
    assert late.detail.startswith("the last WAL was archived")
    assert (
        ask(make_conninfo(small.dsn()), role="primary").readings["probe_archive_age_seconds"] < 60
    )


def test_a_standby_is_caught_up_behind_paused_or_cut_off(start_pg: StartServer) -> None:
    server = start_pg({"max_wal_senders": "5"})
    assert server.local is not None
    with standby_of(server.local) as follower:
        server.execute(sql.SQL("create table replayed (a int)"))
        catch_up(server.local, follower)
        dsn = follower.dsn()
        assert ask(dsn, role="primary").detail == "the server is a standby, not a primary"
        seen = ask(dsn, role="standby")
        assert seen.status is Health.PASS
        assert seen.readings["probe_replay_lag_seconds"] == 0  # idle for long, and yet not behind
        wrong = ask(dsn, write=True)
        assert (wrong.status, wrong.reason) == (Health.FAIL, Reason.CONDITION)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("select pg_wal_replay_pause()")
            assert ask(dsn, role="standby").detail == "replay is paused"
            connection.execute("select pg_wal_replay_resume()")
        server.local.halt("immediate")
        time.sleep(1.5)
        cut = ask(dsn, role="standby", lag="1 s")
        assert (cut.status, cut.reason) == (Health.WARN, Reason.CONDITION)
        assert cut.detail.endswith("and no WAL receiver runs")
        server.local.adopt()


def test_certificates_that_expire_and_that_nobody_trusts(tmp_path: Path) -> None:
    with tls.running(tmp_path) as found:
        known = {"sslmode": "verify-full", "sslrootcert": str(found.certificates.pem("authority"))}
        seen = ask(found.dsn(**known), certificate="1 day")
        assert seen.status is Health.PASS
        left = seen.readings["probe_certificate_expiry_timestamp_seconds"] - time.time()
        assert 1.9 * 86400 < left < 2.1 * 86400
        soon = ask(found.dsn(**known), certificate="14 days")
        assert (soon.status, soon.detail) == (Health.WARN, "the certificate expires in 1 day")
        stranger = known | {"sslrootcert": str(found.certificates.pem("stranger"))}
        assert refusal(found.dsn(**stranger)) is Reason.TLS
        assert refusal(found.dsn(sslmode="disable")) is Reason.AUTH  # pg_hba.conf lets nobody in
