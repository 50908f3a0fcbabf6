"""Visits while servers fail over, are promoted or upgraded, refuse TLS or have no slot left: with the real thing."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed import clock
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import ConnectError
from pgwatch_wed.findings import Standing
from pgwatch_wed.fleet import failures, visit_log, visiting
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.review.recollection import recollect
from pgwatch_wed.fleet.review.reviewing import reviewed
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import runs, series, states, store
from pgwatch_wed.history.lifecycle import Presence
from tests.fleet import ground as grounds
from tests.fleet.ground import Ground
from tests.fleet.networks import Network, silent_resolver
from tests.proxy import Proxy, proxied
from tests.psql import psql
from tests.standby import catch_up, standby_of
from tests.tls import Certificates

TWICE = VisitOptions(connect_s=2, attempts=2)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    made = store.open_store(str(tmp_path / "history.sqlite3"))
    yield made
    made.close()


def begun(opened: store.Store, member: Member, options: VisitOptions = TWICE) -> Visitor:
    with opened.writing() as connection:
        run = visit_log.begin(connection, (member,), clock.now(), {})
    return Visitor(opened, run.id, "here", options)


def visited(who: Visitor, member: Member) -> Visit:
    found = visiting.visit_members(who, (member,))
    assert found is not None
    return found


def test_a_certificate_that_is_not_trusted_is_refused_and_not_tried_again(
    ground: Ground, opened: store.Store, tmp_path: Path
) -> None:
    own = Certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.pem("server"), own.key("server"))
    with proxied(ground.primary().dsn("shop", tcp=True), tls=context) as (_, dsn):
        strict = make_conninfo(dsn, sslmode="verify-ca", sslrootcert=str(own.pem("stranger")))
        member = Member("shop", (strict,))
        lost = visited(begun(opened, member), member)
    assert (lost.ending, lost.attempts) == (VisitEnding.REFUSED, 1)
    assert "certificate" in lost.reason
    assert "sslrootcert" in lost.mend


def test_a_server_without_a_free_slot_is_tried_again(ground: Ground, opened: store.Store) -> None:
    server = ground.primary()
    psql(server.dsn(), "create role limited login connection limit 0 password 'x'")
    try:
        member = Member(
            "shop", (make_conninfo(server.dsn("shop", tcp=True), user="limited", password="x"),)
        )
        who = begun(opened, member)
        full = visited(who, member)
        assert (full.ending, full.attempts) == (None, 1)
        assert "too many connections" in full.reason
        full = visited(who, member)
        assert (full.ending, full.attempts) == (VisitEnding.REFUSED, 2)
        psql(server.dsn(), "alter role limited connection limit 5")
        assert visited(begun(opened, member), member).ending is VisitEnding.DONE
    finally:
        psql(server.dsn(), "drop role limited")


def test_a_server_whose_connections_are_all_in_use_is_tried_again(
    ground: Ground, opened: store.Store
) -> None:
    """As pgwatch and postgres_exporter#529 met it: sorry, too many clients already."""
    target = ground.primary().dsn("shop", tcp=True)
    member = Member("shop", (target,))
    who = begun(opened, member)
    with ExitStack() as held:
        with suppress(psycopg.OperationalError):
            while True:
                held.enter_context(psycopg.connect(target))
        full = visited(who, member)
    assert (full.ending, full.attempts) == (None, 1)
    assert "too many clients" in full.reason
    assert "no connection slot is free" in full.mend
    patiently(lambda: accepts(target))
    assert visited(who, member).ending is VisitEnding.DONE


def accepts(target: str) -> bool:
    """Tell whether those who left are gone."""
    try:
        with psycopg.connect(target) as session:
            left = session.execute("select count(*) from pg_stat_activity where datname = 'shop'")
            return left.fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def patiently(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never happens")


@pytest.mark.parametrize(
    ("answer", "ending"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", VisitEnding.REFUSED), (b"", None)],
    ids=["speaks no TLS", "is silent"],
)
def test_a_host_that_agrees_to_tls_and_does_not_speak_it_ends_in_one_line(
    answer: bytes, ending: VisitEnding | None, opened: store.Store
) -> None:
    """Old firewalls and proxies do so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)

        def answers() -> None:
            with suppress(OSError):
                while True:
                    made, _ = listener.accept()
                    kept.append(made)
                    made.recv(8)
                    made.sendall(b"S")
                    if made.recv(4096) and answer:
                        made.sendall(answer)

        kept: list[socket.socket] = []
        thread = threading.Thread(target=answers, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        member = Member("shop", (f"host=127.0.0.1 port={port} user=u dbname=d sslmode=require",))
        who = begun(opened, member)
        found = visited(who, member)
        for each in kept:
            each.close()
    assert (found.ending, found.attempts) == (ending, 1), found  # what is silent is tried again
    assert "\n" not in found.reason


def test_words_that_are_not_known_are_looked_up_by_code_unless_a_password_was_sent(
    ground: Ground, net: Network
) -> None:
    psql(ground.primary().dsn(), "create role nobody login connection limit 0 password 'x'")
    try:
        limited = make_conninfo(ground.primary().dsn("shop"), user="nobody", password="x")
        words = "tut mir leid, schon zu viele Verbindungen"
        found = failures.of(ConnectError(words), limited)
        assert (found.ending, found.is_temporary) == (VisitEnding.REFUSED, True)
        passing = net.through(ground.primary().dsn("shop", tcp=True))
        sent = failures.of(ConnectError("falsch", has_sent_password=True), passing)
        assert (sent.ending, sent.is_temporary) == (VisitEnding.REFUSED, False)
        assert [each.connections for each in net.tally().values()] == [0]
    finally:
        psql(ground.primary().dsn(), "drop role nobody")


@pytest.mark.slow
def test_a_failover_in_the_middle_of_a_visit_leads_to_the_new_primary_and_its_findings_go_on(
    opened: store.Store,
) -> None:
    with grounds.small() as primary:
        psql(primary.dsn(), "create database shop")
        psql(primary.dsn("shop"), grounds.SHOP)
        with standby_of(primary) as standby:
            catch_up(primary, standby)

            promoted = threading.Event()

            def fail_over(_: Proxy) -> None:
                primary.halt("immediate")
                psql(standby.dsn(), "select pg_promote()")
                promoted.set()

            with proxied(primary.dsn("shop", tcp=True), 40, fail_over) as (_, dsn):
                member = Member("shop", (dsn, standby.dsn("shop")))
                direct = replace(member, targets=(primary.dsn("shop"), standby.dsn("shop")))
                before = visited(begun(opened, direct), direct)
                who = begun(opened, member)
                broken = visited(who, member)
                assert promoted.wait(60)
                psql(standby.dsn("shop"), "drop index orders_customer_copy")
                psql(standby.dsn("shop"), "create index customers_id on customers (id)")
                done = visited(who, member)
            again = visited(begun(opened, member), member)
    assert (broken.ending, broken.run_id) == (None, None)
    # everything of the new primary was read; of the old one, nothing is known
    assert (done.ending, done.attempts) == (VisitEnding.IN_PART, 2), done
    assert done.lacking.keys() == {"shop: nodes"}
    assert done.node_key != before.node_key
    # the promoted standby goes on with the cluster; its counters are its own: nothing is subtracted
    assert before.cluster_id == done.cluster_id == again.cluster_id
    with opened.reading() as connection:
        (second, first) = series.intervals_of(connection, 1)[::-1]
        snapshot = runs.read(connection, runs.listed(connection)[1])[0]
        known = states.states(connection, done.cluster_id or 0)
        review = reviewed(recollect(connection, done.fleet_run_id), clock.now())
    assert (first.bond, first.calls) == ("", 0)
    assert first.reason
    assert second.bond == "same"
    assert not snapshot.server.is_in_recovery
    (shop,) = review.clusters
    duplicates = {f.object.name: f.standing for f in shop.findings if f.rule == "index-duplicate"}
    assert duplicates == {"customers_id": Standing.NEW}
    assert [g.rule for g in shop.gone if g.rule == "index-duplicate"] == ["index-duplicate"]
    kept = {f.id for f in shop.findings if f.standing is Standing.KNOWN}
    assert kept
    assert len({f.id for f in shop.findings}) == len(shop.findings)
    state = {s.label: s.state for s in known if s.rule == "index-duplicate"}
    assert sorted(state.values()) == [Presence.OPEN, Presence.RESOLVED], state


def test_a_clone_under_the_name_of_its_original_stays_its_own_cluster(
    ground: Ground, opened: store.Store
) -> None:
    member = Member("shop", (ground.primary().dsn("shop"),))
    before = visited(begun(opened, member), member)
    moved = Member("shop", (ground.clone().dsn("shop"),))
    assert visited(begun(opened, moved), moved).cluster_id != before.cluster_id
    assert visited(begun(opened, member), member).cluster_id == before.cluster_id


@pytest.mark.slow
def test_a_server_that_was_upgraded_between_two_runs_stays_the_same_cluster(
    opened: store.Store,
) -> None:
    binaries = grounds.older_binaries()
    if binaries is None:
        pytest.skip("no package of another major is installed")
    with grounds.small(binaries=binaries) as old, grounds.small() as new:
        psql(old.dsn(), "create database shop")
        psql(old.dsn("shop"), grounds.SHOP)
        member = Member("shop", (old.dsn("shop", tcp=True),))
        before = visited(begun(opened, member), member)
        upgrade(old, new)
        after = visited(begun(opened, member), member)
    assert (before.ending, after.ending) == (VisitEnding.DONE, VisitEnding.DONE)
    assert before.cluster_id == after.cluster_id
    assert str(before.node_key).split("/")[0] != str(after.node_key).split("/")[0]
    with opened.reading() as connection:
        assert len({run.server_version for run in runs.listed(connection)}) == 2


def upgrade(old: embedded.EmbeddedServer, new: embedded.EmbeddedServer) -> None:
    """Run pg_upgrade, and start the new server where the old one was."""
    for server in (old, new):
        server.halt()
    shutil.rmtree(new.data)
    made = ["-U", "postgres", "-E", "UTF8", "--locale=C", "--no-data-checksums", "-A", "trust"]
    both = ["-b", old.bindir, "-B", new.bindir, "-d", old.data, "-U", "postgres", "-s", new.root]
    for command in (["initdb", *made], ["pg_upgrade", *both]):
        program, *options = map(str, command)
        done = subprocess.run(
            [str(new.bindir / program), "-D", str(new.data), *options],
            cwd=new.root,
            user=embedded.service_user(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    with (new.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("include 'pgwed.conf'\n")
    new.port, new.password = old.port, old.password
    new.adopt()


@pytest.mark.slow
def test_a_name_that_is_never_resolved_does_not_stop_the_others(
    ground: Ground, tmp_path: Path
) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text(
        f'[[clusters]]\nname = "shop"\ntarget = "{ground.primary().dsn("shop", tcp=True)}"\n'
        '[[clusters]]\nname = "hangs"\ntarget = "postgresql://no-such-host.example/x"\n'
        '[[clusters]]\nname = "service"\ntarget = "far"\n'
    )
    services = tmp_path / "services"
    services.write_text("[far]\nhost=another-host.example\ndbname=x\n")
    files = ["--inventory", inventory, "--history", tmp_path / "h.sqlite3", "-o", tmp_path / "out"]
    try:
        with silent_resolver() as prefix:
            done = subprocess.run(
                [
                    *prefix,
                    sys.executable,
                    "-m",
                    "pgwatch_wed",
                    "fleet",
                    "run",
                    *map(str, files),
                    "--connect-timeout",
                    "2",
                    "--attempts",
                    "1",
                    "--format",
                    "json",
                ],
                capture_output=True,
                text=True,
                timeout=60,
                env={**os.environ, "PGSERVICEFILE": str(services)},
            )
    except PermissionError as error:
        pytest.skip(str(error))
    assert "hangs: unreachable: the host name no-such-host.example was not resolved" in done.stderr
    assert done.returncode == 0, done.stderr
    assert "service: unreachable: the host name another-host.example was not" in done.stderr
    assert "1 done, 2 unreachable" in done.stderr
    assert json.loads(done.stdout)["schema_version"] == 1


def test_the_password_of_nobody_is_in_the_log(ground: Ground, opened: store.Store) -> None:
    target = make_conninfo(ground.primary().dsn("shop", tcp=True), password="s3cret of ours")
    member = Member("shop", (target,))
    lost = visited(begun(opened, member), member)
    assert lost.ending is VisitEnding.REFUSED
    with opened.reading() as connection:
        assert "s3cret" not in repr(visit_log.visits(connection, lost.fleet_run_id))
