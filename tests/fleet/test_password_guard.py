"""A password that is wrong is not tried on every member: accounts that live in one place would be locked."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed import clock
from pgwatch_wed.fleet import (
    fleet_begin,
    fleet_engine,
    fleet_look,
    password_guard,
    probing,
    visit_log,
)
from pgwatch_wed.fleet.fleet_engine import EngineOptions
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.password_guard import MOST_REFUSED, PasswordGuard
from pgwatch_wed.fleet.password_sources import UserPassword, password_of
from pgwatch_wed.fleet.queue.refused_elsewhere import RunGuards
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.fleet.visiting import VisitOptions
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import store
from tests.fleet.ground import Ground
from tests.fleet.networks import Network
from tests.psql import psql

OPTIONS = EngineOptions(VisitOptions(connect_s=5, attempts=3), concurrency=16)
PAIR = UserPassword("monitor", "wrong", "PGPASSWORD")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    made = store.open_store(str(tmp_path / "history.sqlite3"))
    yield made
    made.close()


def run(opened: store.Store, *members: Member) -> dict[str, Visit]:
    begun = fleet_begin.begin(opened, members, "here", {}, shard=Shard(), resume=False)
    fleet_engine.run(opened, begun, "here", OPTIONS, lambda _: None)
    with opened.reading() as connection:
        return {visit.member: visit for visit in visit_log.visits(connection, begun.run.id)}


def wrong_members(ground: Ground, net: Network, password: str, many: int) -> list[Member]:
    """Return members of different addresses, at each of which a password is wrong."""
    behind = make_conninfo(ground.primary().dsn("shop", tcp=True), password=password)
    return [Member(f"wrong {n}", (net.through(behind),)) for n in range(many)]


def connections(net: Network) -> int:
    return sum(each.connections for each in net.tally().values())


def test_after_three_refusals_a_password_is_tried_nowhere_else(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    shop = Member("shop", (ground.primary().dsn("shop", tcp=True),))
    wrong = wrong_members(ground, net, "verywrong", 12)
    found = run(opened, shop, *wrong)
    assert found["shop"].ending is VisitEnding.DONE  # the same user, with another password
    assert connections(net) == MOST_REFUSED
    refused = [found[member.name] for member in wrong]
    assert {visit.ending for visit in refused} == {VisitEnding.REFUSED}
    untried = [visit for visit in refused if visit.reason.startswith("not tried: ")]
    assert len(untried) == 12 - MOST_REFUSED
    assert {visit.attempts for visit in untried} == {0}
    assert all("correct the password in its connection string" in visit.mend for visit in untried)
    assert "verywrong" not in str(found)
    fleet_look.look(wrong, 32, 5)  # each command by itself
    assert connections(net) == 2 * MOST_REFUSED


def test_a_password_that_one_server_accepts_is_tried_on_all(ground: Ground, net: Network) -> None:
    psql(ground.primary().dsn(), "create role elsewhere login password 'theirs'")
    try:
        right = ground.primary().dsn("shop", tcp=True)
        right = make_conninfo(right, user="elsewhere", password="theirs")
        guard = PasswordGuard()
        # the password is right, though the database does not exist
        missing = probing.probed(Member("right", (make_conninfo(right, dbname="x"),)), 5, guard)
        assert [why.refused_password for why in missing.failures.values()] == [False]
        psql(ground.primary().dsn(), "alter role elsewhere password 'others'")
        for _ in range(2 * MOST_REFUSED):
            looked = probing.probed(Member("wrong", (net.through(right),)), 5, guard)
            assert [why.refused_password for why in looked.failures.values()] == [True]
        assert connections(net) == 2 * MOST_REFUSED
    finally:
        psql(ground.primary().dsn(), "drop role elsewhere")


def test_of_many_threads_no_more_than_three_are_refused_and_silence_holds_up_nobody_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = PasswordGuard()
    first = [guard.begin(PAIR) for _ in range(MOST_REFUSED)]
    later: list[float | None] = []
    threads = [
        threading.Thread(target=lambda: later.append(guard.begin(PAIR)), daemon=True)
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    assert later == []
    for begun in first:
        assert begun is not None
        guard.end(PAIR, begun, refused=True)
    for thread in threads:
        thread.join(10)
    assert later == [None] * 20
    assert guard.begin(replace(PAIR, user="another")) is not None
    monkeypatch.setattr(password_guard, "_SLOW_S", 0.0)  # all are silent: twice as many each time
    silent = PasswordGuard()
    assert None not in [silent.begin(PAIR) for _ in range(100)]


def test_the_password_is_the_one_that_libpq_takes(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    psql(ground.primary().dsn(), """create role "odd:one" login password 'a:b\\c'""")
    try:
        own = ground.primary().dsn("shop", tcp=True)
        port = conninfo_to_dict(own)["port"]
        own = make_conninfo("", host="127.0.0.1", port=port, dbname="shop", user="odd:one")
        file = tmp_path / "passwords"
        file.write_text(
            "# a comment\nbroken\n*:1:*:*:other port\n*:*:*:other:x\n"
            f"127.0.0.1:{port}:*:odd\\:one:a\\:b\\\\c:rest\n*:*:*:*:later\n"
        )
        file.chmod(0o600)
        own = make_conninfo(own, passfile=str(file))
        assert password_of(own) == UserPassword("odd:one", "a:b\\c", "the password file")
        looked = probing.probed(Member("shop", (own,)), 5).probes
        assert [each.took_password for each in looked] == [True]
        file.chmod(0o644)  # libpq does not read it then
        assert password_of(own) is None
        monkeypatch.setenv("PGPASSWORD", "of all")
        assert password_of(own) == UserPassword("odd:one", "of all", "PGPASSWORD")
        given = make_conninfo(own, password="own")
        assert password_of(given) == UserPassword("odd:one", "own", "its connection string")
        assert "own" not in repr(password_of(given)).replace("its own", "")
    finally:
        psql(ground.primary().dsn(), 'drop role "odd:one"')


def test_a_worker_counts_what_others_were_refused_since_it_began(opened: store.Store) -> None:
    target = "host=h user=monitor password=wrong"
    members = {f"m{n}": Member(f"m{n}", (target, "service=s")) for n in range(9)}
    moment = clock.now()
    said = 'password authentication failed for user "monitor"'

    def ended(names: str, worker: str, hours: int = 1, reason: str = said) -> None:
        with opened.writing() as connection:
            for name in names.split():
                end = Visit(fleet_run.id, name, worker=worker, attempts=1, reason=reason)
                end = replace(end, ended_at=moment + timedelta(hours=hours))
                visit_log.end(connection, replace(end, ending=VisitEnding.REFUSED))

    with opened.writing() as connection:
        fleet_run = visit_log.begin(connection, members.values(), moment, {})
    guards = RunGuards(opened, members, "here")
    given = password_of(target)
    assert given is not None
    ended(
        "m0", "there", hours=-1
    )  # before this worker began: the password may have been another one
    ended("m1", "here")  # its own are counted when they come
    ended("m2", "there", reason="no pg_hba.conf entry")
    ended("m3 m4", "there")
    assert guards.of_run(fleet_run.id).begin(given) is not None
    ended("m5", "there")
    assert guards.of_run(fleet_run.id).begin(given) is None
    assert guards.of_run(fleet_run.id + 1).begin(given) is not None
