"""db-analyze fleet run, with real servers: threads, failures, limits, shards, and what an interruption leaves."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from pgwatch_wed import clock
from pgwatch_wed.cli import cli, fleet_run
from pgwatch_wed.fleet import (
    fleet_begin,
    fleet_engine,
    fleet_units,
    fleet_workers,
    probing,
    shards,
    visit_log,
    visiting,
)
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.fleet_engine import EngineOptions
from pgwatch_wed.fleet.fleet_units import VisitPlan
from pgwatch_wed.fleet.members import AllowedTime, DatabaseChoice, Inventory, Member
from pgwatch_wed.fleet.probing import ProbedMember
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.fleet.visiting import VisitOptions
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import runs, schema, store
from tests.fleet.ground import Ground
from tests.fleet.networks import Network, Way

WHOLE = Shard()
QUICK = EngineOptions(VisitOptions(connect_s=2, attempts=1), concurrency=4)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    made = store.open_store(str(tmp_path / "history.sqlite3"))
    yield made
    made.close()


def run(
    opened: store.Store,
    *members: Member,
    options: EngineOptions = QUICK,
    shard: Shard = WHOLE,
    resume: bool = False,
) -> dict[str, Visit]:
    worker = fleet_workers.worker_name()
    begun = fleet_begin.begin(opened, members, worker, {}, shard=shard, resume=resume)
    told: list[Visit] = []
    fleet_engine.run(opened, begun, worker, options, told.append)
    with opened.reading() as connection:
        logged = visit_log.visits(connection, begun.run.id)
    assert {v.member: v for v in told}.items() <= {v.member: v for v in logged}.items()
    return {visit.member: visit for visit in logged}


def endings(found: Mapping[str, Visit]) -> dict[str, VisitEnding | None]:
    return {name: visit.ending for name, visit in found.items()}


def test_each_cluster_of_a_fleet_ends_in_one_way_and_none_stops_the_others(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    primary = ground.primary().dsn("shop", tcp=True)
    found = run(
        opened,
        Member("clone", (ground.clone().dsn("shop"),)),
        Member("disabled", ("host=nowhere",), is_enabled=False),
        Member("hangs", (net.through(primary, Way(hangs=True)),)),
        Member("invalid", ("postgresql://u:p@ss@host/db",)),
        Member("primary", (primary,)),
        Member("refused", (make_conninfo(primary, password="wrong"),)),
        Member("resets", (net.through(primary, Way(resets=True)),)),
        Member("standby", (ground.standby().dsn("shop"),)),
        Member("tenants", (ground.tenants().dsn("tenant_000"),), DatabaseChoice(("tenant_*",))),
    )
    assert endings(found) == {
        "clone": VisitEnding.DONE,
        "disabled": VisitEnding.SKIPPED,
        "hangs": VisitEnding.UNREACHABLE,
        "invalid": VisitEnding.REFUSED,
        "primary": VisitEnding.DONE,
        "refused": VisitEnding.REFUSED,
        "resets": VisitEnding.UNREACHABLE,
        "standby": VisitEnding.SKIPPED,
        "tenants": VisitEnding.DONE,
    }
    assert found["standby"].same_as == "primary"
    assert len({found[name].cluster_id for name in ("clone", "primary", "tenants")}) == 3
    with opened.reading() as connection:
        assert len(runs.listed(connection)) == 3
        (whole,) = visit_log.runs_of_fleet(connection)
    assert whole.ended_at is not None
    for visit in found.values():
        assert visit.ended_at
        assert visit.reason or visit.ending is VisitEnding.DONE


def test_of_one_server_one_connection_is_open_at_a_time(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    target = net.through(ground.tenants().dsn("tenant_000", tcp=True))
    each = [Member(f"m{i}", (make_conninfo(target, dbname=f"tenant_00{i}"),)) for i in range(6)]
    found = run(opened, *each)
    (traffic,) = net.tally().values()
    assert traffic.most_open <= 2  # the one before may still be closing
    assert traffic.connections == 12  # one to look, one to read each database
    assert [e for e in endings(found).values() if e is VisitEnding.DONE] == [VisitEnding.DONE]
    assert {visit.same_as for visit in found.values()} == {None, "m0"}
    with opened.reading() as connection:
        (stored,) = runs.listed(connection)
        assert len(runs.read(connection, stored)) == 6


def test_a_host_that_comes_back_is_reached_by_another_attempt(
    ground: Ground, net: Network, opened: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_wed.fleet.visiting.PAUSES_S", (0.3,))
    target = net.through(ground.primary().dsn("shop", tcp=True), Way(resets=True))

    pause = threading.Event()

    def come_back() -> None:
        while not any(each.connections for each in net.tally().values()):
            pause.wait(0.01)
        net.change(target, resets=False)

    threading.Thread(target=come_back, daemon=True).start()
    options = replace(QUICK, visits=replace(QUICK.visits, attempts=5))
    shop = run(opened, Member("shop", (target,)), options=options)["shop"]
    assert shop.ending is VisitEnding.DONE
    assert shop.attempts > 1


def test_a_run_does_not_get_longer_for_a_host_that_says_nothing(
    ground: Ground, net: Network, opened: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_wed.fleet.visiting.PAUSES_S", (0.1,))
    shop = ground.primary().dsn("shop", tcp=True)
    hangs = Member("hangs", (net.through(shop, Way(hangs=True)),))
    options = replace(QUICK, visits=replace(QUICK.visits, attempts=9))
    alone = run(opened, hangs, options=options)["hangs"]
    assert (alone.ending, alone.attempts) == (VisitEnding.UNREACHABLE, 1)
    slow = Member("slow", (net.through(shop, Way(delay_s=0.03)),))
    beside = run(opened, hangs, slow, options=options)
    assert beside["slow"].ending is VisitEnding.DONE
    assert 1 < beside["hangs"].attempts < 9


def test_the_attempt_that_is_under_way_at_a_silent_host_is_not_waited_for(
    ground: Ground, net: Network, opened: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgwatch_wed.fleet.visiting.PAUSES_S", (0.0,))
    look, visit = probing.probed, visiting.visit
    asked: list[str] = []
    is_asked_again, has_ended = threading.Event(), threading.Event()

    def probed(member: Member, *more: Any) -> ProbedMember:
        asked.append(member.name)
        if asked.count("hangs") > 1:
            is_asked_again.set()
            has_ended.wait(60)
            late = Failure(VisitEnding.UNREACHABLE, "timed out", is_temporary=True)
            return ProbedMember(member, failures={"hangs": late})
        return look(member, *more)

    def visited(*given: Any) -> Visit | None:
        is_asked_again.wait(60)
        return visit(*given)

    monkeypatch.setattr(probing, "probed", probed)
    monkeypatch.setattr(visiting, "visit", visited)
    shop = ground.primary().dsn("shop", tcp=True)
    hangs = Member("hangs", (net.through(shop, Way(hangs=True)),))
    options = replace(QUICK, visits=replace(QUICK.visits, attempts=9))
    late = threading.Timer(50, has_ended.set)
    late.start()
    try:
        found = run(opened, hangs, Member("shop", (shop,)), options=options)
        assert not has_ended.is_set()
    finally:
        late.cancel()
        has_ended.set()
    assert endings(found) == {"hangs": VisitEnding.UNREACHABLE, "shop": VisitEnding.DONE}
    assert found["hangs"].attempts == 1


def test_a_standby_does_not_wait_for_a_primary_that_says_nothing(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    primary = net.through(ground.primary().dsn("shop", tcp=True), Way(hangs=True))
    both = Member("shop", (primary, ground.standby().dsn("shop")))
    options = replace(QUICK, visits=replace(QUICK.visits, attempts=9))
    shop = run(opened, both, options=options)["shop"]
    assert (shop.ending, shop.attempts) == (VisitEnding.IN_PART, 1)


def test_a_wrong_password_is_tried_once(ground: Ground, net: Network, opened: store.Store) -> None:
    target = net.through(ground.primary().dsn("shop", tcp=True))
    options = replace(QUICK, visits=replace(QUICK.visits, attempts=5))
    wrong = Member("shop", (make_conninfo(target, password="wrong"),))
    shop = run(opened, wrong, options=options)["shop"]
    assert (shop.ending, shop.attempts) == (VisitEnding.REFUSED, 1)
    (traffic,) = net.tally().values()
    assert traffic.connections == 1


def test_what_has_no_turn_before_the_end_of_the_time_is_over_budget(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    primary = ground.primary().dsn("shop", tcp=True)
    options = replace(QUICK, budget_s=1.0, visits=replace(QUICK.visits, attempts=9))
    found = run(
        opened,
        Member("gone", (make_conninfo(primary, port="1"),)),
        Member("hangs", (net.through(primary, Way(hangs=True)),)),
        options=options,
    )
    assert endings(found) == {"gone": VisitEnding.UNREACHABLE, "hangs": VisitEnding.UNREACHABLE}


def test_shards_visit_each_member_once_in_one_run(ground: Ground, opened: store.Store) -> None:
    server = ground.tenants()
    members = [Member(f"off{i}", ("host=nowhere",), is_enabled=False) for i in range(20)]
    members.append(Member("shop", (server.dsn("tenant_000"),)))
    first = run(opened, *members, shard=Shard(1, 2))
    held = {name for name, visit in first.items() if visit.ending is not None}
    assert 0 < len(held) < 21
    second = run(opened, *members, shard=Shard(2, 2))
    assert None not in endings(second).values()
    assert {v.fleet_run_id for v in second.values()} == {v.fleet_run_id for v in first.values()}
    again = run(opened, *members, shard=Shard(1, 2))
    assert {v.fleet_run_id for v in again.values()} != {v.fleet_run_id for v in first.values()}


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0"])
def test_a_shard_that_does_not_exist_is_refused(text: str) -> None:
    result = CliRunner().invoke(cli, ["fleet", "run", "--shard", text])
    assert result.exit_code == 2


def test_a_shard_is_the_same_one_each_time() -> None:
    names = [f"cluster {i}" for i in range(1000)]
    parts = [[n for n in names if shards.read(f"{i}/4").holds(n)] for i in range(1, 5)]
    assert sorted(n for part in parts for n in part) == sorted(names)
    assert min(map(len, parts)) > 200


def test_a_run_that_nobody_went_on_with_is_over_and_not_resumed(opened: store.Store) -> None:
    member = Member("shop", ("host=nowhere",), is_enabled=False)
    begun_at = clock.now() - timedelta(hours=13)
    with opened.writing() as connection:
        old = visit_log.begin(connection, (member,), begun_at, {"engine": "threads", "shards": 1})
    found = run(opened, member, resume=True)
    assert found["shop"].fleet_run_id != old.id
    with opened.reading() as connection:
        (left,) = visit_log.visits(connection, old.id)
        assert all(each.ended_at for each in visit_log.runs_of_fleet(connection))
    assert (left.ending, "interrupted" in left.reason) == (VisitEnding.SKIPPED, True)


def test_an_interrupted_run_ends_some_time_though_later_runs_were_whole(
    opened: store.Store,
) -> None:
    member = Member("shop", ("host=nowhere",), is_enabled=False)
    begun_at = clock.now() - timedelta(hours=13)
    with opened.writing() as connection:
        visit_log.begin(connection, (member,), begun_at, {"engine": "threads", "shards": 1})
    with opened.writing() as connection:
        later = visit_log.begin(
            connection, (member,), clock.now(), {"engine": "threads", "shards": 1}
        )
        visit_log.abandon(connection, later.id, clock.now())
    run(opened, member)
    with opened.reading() as connection:
        assert all(each.ended_at for each in visit_log.runs_of_fleet(connection))


def test_a_damaged_part_of_the_history_costs_only_its_cluster(
    ground: Ground, opened: store.Store
) -> None:
    members = (
        Member("shop", (ground.primary().dsn("shop"),)),
        Member("tenant", (ground.tenants().dsn("tenant_000"),)),
    )
    first = run(opened, *members)
    # what was stored later is what differs from the other's
    other, victim = sorted(first, key=lambda name: first[name].run_id or 0)
    with opened.writing() as connection:
        mine = sa.select(schema.snapshots.c.server).where(
            schema.snapshots.c.run_id == first[victim].run_id
        )
        damaged = schema.blobs.update().where(schema.blobs.c.hash.in_(mine)).values(data=b"0")
        connection.execute(damaged)
    again = run(opened, *members)
    assert endings(again) == {victim: VisitEnding.REFUSED, other: VisitEnding.DONE}
    assert "a part of the history is damaged" in again[victim].reason


def test_no_visit_begins_after_the_end_of_its_window(
    ground: Ground, opened: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now().replace(hour=1, minute=30)
    looked = fleet_units.planned

    def at(hour: int) -> None:
        monkeypatch.setattr(clock, "now", lambda: now.replace(hour=hour))

    def slowly(found: Iterable[ProbedMember]) -> VisitPlan:
        at(2)
        return looked(found)

    at(1)
    monkeypatch.setattr(fleet_units, "planned", slowly)
    night = AllowedTime(time(1), time(2))
    shop = run(opened, Member("shop", (ground.primary().dsn("shop"),), allowed=night))["shop"]
    assert (shop.ending, shop.run_id) == (VisitEnding.SKIPPED, None)


def test_a_cluster_that_kills_its_visitors_is_given_up(ground: Ground, opened: store.Store) -> None:
    member = Member("shop", (ground.primary().dsn("shop"),))
    begun = fleet_begin.begin(opened, (member,), "first", {}, shard=WHOLE, resume=False)
    for worker in ("first", "second", "third"):
        with opened.writing() as connection:
            assert visit_log.claim(connection, begun.run.id, "shop", worker, clock.now())
            visit_log.release_all(connection, begun.run.id, [worker])
    shop = run(opened, member, resume=True)["shop"]
    assert (shop.ending, "cut off again" in shop.reason) == (VisitEnding.REFUSED, True)


def test_the_status_of_a_resumed_run_counts_who_was_reached_before(
    ground: Ground, opened: store.Store
) -> None:
    shop = Member("shop", (ground.primary().dsn("shop"),))
    gone = Member("gone", ("host=127.0.0.1 port=1",))
    begun = fleet_begin.begin(opened, (gone, shop), "first", {}, shard=WHOLE, resume=False)
    fleet_engine.run(opened, replace(begun, members=(shop,)), "first", QUICK, lambda _: None)
    again = fleet_begin.begin(opened, (gone, shop), "second", {}, shard=WHOLE, resume=True)
    now = Counter({VisitEnding.UNREACHABLE: 1})
    assert again.read_before == 1
    assert fleet_run.status(now, Inventory(again.members), again.read_before) == 0
    assert fleet_run.status(now, Inventory(again.members), 0) == 3


def test_a_redacted_run_names_nobody_on_standard_error(tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text(
        '[[clusters]]\nname = "secret"\ntarget = "host=127.0.0.1 port=1 dbname=secret_db"\n'
        '[[clusters]]\nname = "secret_too"\ntarget = "host=secret nonsense"\n'
    )
    words = ["fleet", "run", "--inventory", str(inventory), "--attempts", "1", "--format", "text"]
    words += ["--history", str(tmp_path / "history.sqlite3")]
    plain = CliRunner().invoke(cli, words)
    assert plain.stderr.count("secret") == 2, plain.stderr
    done = CliRunner().invoke(cli, [*words, "--redact"])
    assert "secret" not in done.output
    assert "1 part of the inventory cannot be used" in done.stderr
    assert "fleet run 2: 1 unreachable" in done.stderr


def test_shards_that_begin_at_the_same_time_are_one_run(db: str) -> None:
    made = store.open_store(db)
    members = [Member(f"off{i}", ("host=nowhere",), is_enabled=False) for i in range(6)]
    together = threading.Barrier(4)
    found: list[int] = []

    def begin(number: int) -> None:
        together.wait(20)
        shard = Shard(number, 4)
        begun = fleet_begin.begin(made, members, f"w{number}", {}, shard=shard, resume=True)
        found.append(begun.run.id)

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_advice_on_missing_indexes_is_found_in_a_fleet_if_asked_for(
    ground: Ground, opened: store.Store
) -> None:
    shop = ground.primary().dsn("shop")
    with psycopg.connect(shop) as session:
        for number in range(200):
            session.execute("SELECT count(*) FROM orders WHERE total = %s", [number])
    advising = replace(QUICK, visits=replace(QUICK.visits, advise=True))
    found = run(opened, Member("shop", (shop,)), options=advising)
    assert endings(found) == {"shop": VisitEnding.DONE}
    with opened.reading() as connection:
        c = schema.finding_states.c
        query = sa.select(c.object).where(c.rule == "index-missing")
        (about,) = connection.execute(query).scalars()
    assert (about["database"], about["table"]) == ("shop", "orders")
