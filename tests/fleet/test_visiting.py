"""A visit to a cluster, with real servers: what is read, what is stored, and how it ends if that fails."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed import clock
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet import (
    cluster_judging,
    fleet_units,
    probing,
    visit_log,
    visiting,
)
from pgwatch_wed.fleet.cluster_judging import JudgedCluster
from pgwatch_wed.fleet.members import AllowedTime, DatabaseChoice, Member
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import runs, store
from tests.fleet.ground import Ground
from tests.fleet.networks import Network, Way, unanswered

ONCE = VisitOptions(connect_s=2, attempts=1)
ALL = DatabaseChoice(take=("*",))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[store.Store]:
    made = store.open_store(str(tmp_path / "history.sqlite3"))
    yield made
    made.close()


def visitor(opened: store.Store, *members: Member, options: VisitOptions = ONCE) -> Visitor:
    with opened.writing() as connection:
        run = visit_log.begin(connection, members, clock.now(), {})
    return Visitor(opened, run.id, "here", options)


def plan(*members: Member) -> fleet_units.VisitPlan:
    return fleet_units.planned(probing.probed(member, 2) for member in members)


def visited(opened: store.Store, member: Member, options: VisitOptions = ONCE) -> Visit:
    found = visiting.visit_members(visitor(opened, member, options=options), (member,))
    assert found is not None
    return found


def test_a_visit_stores_a_judged_run_and_its_ending_together(
    ground: Ground, opened: store.Store
) -> None:
    done = visited(opened, Member("shop", (ground.primary().dsn("shop"),)))
    assert (done.ending, done.reason, done.attempts) == (VisitEnding.DONE, "", 1)
    with opened.reading() as connection:
        (run,) = runs.listed(connection)
        (logged,) = visit_log.visits(connection, done.fleet_run_id)
    assert run.report is not None
    assert (logged.run_id, logged.cluster_id) == (run.id, run.cluster_id)
    assert logged == done
    assert logged.traits
    assert logged.node_key


def test_all_databases_of_a_server_are_one_run(ground: Ground, opened: store.Store) -> None:
    server = ground.tenants()
    choice = DatabaseChoice(("tenant_*",), ("tenant_005",))
    done = visited(opened, Member("tenants", (server.dsn("tenant_001"),), choice))
    with opened.reading() as connection:
        (run,) = runs.listed(connection)
        read = runs.read(connection, run)
    assert done.ending is VisitEnding.DONE
    assert sorted(s.server.database for s in read) == [f"tenant_00{i}" for i in range(5)]
    assert read[0].server.database == "tenant_001"


def test_a_cluster_under_several_names_is_one_unit(ground: Ground) -> None:
    primary, standby, clone = ground.primary(), ground.standby(), ground.clone()
    found = plan(
        Member("by address", (primary.dsn("postgres", tcp=True),)),
        Member("by socket", (primary.dsn("shop"),)),
        Member("copy", (clone.dsn("shop"),)),
        Member("follower", (standby.dsn("shop"),)),
    )
    by_name = {unit.member.name: unit for unit in found.units}
    assert by_name.keys() == {"by address", "copy"}
    assert [name for name, _ in by_name["by address"].databases] == ["postgres", "shop"]
    assert by_name["by address"].standbys == (standby.dsn("shop"),)
    assert by_name["copy"].standbys == ()
    same = {double.member.name: double.same_as for double in found.doubles}
    assert same == {"by socket": "by address", "follower": "by address"}


def test_of_several_names_one_with_a_group_has_the_visit(ground: Ground) -> None:
    target = (ground.primary().dsn("shop"),)
    (unit,) = plan(Member("a", target), Member("b", target, group="shops")).units
    assert (unit.member.name, [m.name for m in unit.members]) == ("b", ["b", "a"])


def test_a_service_is_known_by_the_address_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services").write_text("[one]\nhost=db1\nport=5433\n[two]\nhost=db2\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert fleet_units.address_of("service=one dbname=x") == "db1:5433"
    assert fleet_units.address_of("service=two port=5") == "db2:5"
    assert fleet_units.host_of("service=three") == "three"


def test_of_a_member_the_primary_is_found_whatever_the_order(ground: Ground) -> None:
    targets = (ground.standby().dsn("shop"), ground.primary().dsn("shop"))
    (unit,) = plan(Member("shop", targets)).units
    assert (unit.probe.target, unit.standbys) == (targets[1], (targets[0],))


def test_a_standby_without_its_primary_is_visited_itself(
    ground: Ground, opened: store.Store
) -> None:
    done = visited(opened, Member("follower", (ground.standby().dsn("shop"),)))
    assert done.ending is VisitEnding.DONE


def test_two_members_of_one_server_in_a_run_are_read_once(
    ground: Ground, opened: store.Store
) -> None:
    one = Member("one", (ground.primary().dsn("shop"),))
    two = Member("two", (ground.primary().dsn("shop", tcp=True),))
    who = visitor(opened, one, two)
    first = visiting.visit_members(who, (one,))
    second = visiting.visit_members(who, (two,))
    assert first is not None
    assert second is not None
    assert (first.ending, second.ending) == (VisitEnding.DONE, VisitEnding.SKIPPED)
    assert (second.same_as, second.reason) == (
        "one",
        "it is the same server as one, which is read once",
    )
    with opened.reading() as connection:
        assert len(runs.listed(connection)) == 1


def test_a_host_that_accepts_and_says_nothing_is_unreachable(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    target = net.through(ground.primary().dsn("shop", tcp=True), Way(hangs=True))
    lost = visited(opened, Member("shop", (target,)))
    assert lost.ending is VisitEnding.UNREACHABLE
    assert "timeout expired" in lost.reason
    assert "firewall" in lost.mend


def test_a_host_whose_packets_are_lost_is_unreachable(opened: store.Store) -> None:
    with unanswered() as port:
        lost = visited(opened, Member("shop", (f"host=127.0.0.1 port={port} dbname=x user=x",)))
    assert lost.ending is VisitEnding.UNREACHABLE


@pytest.mark.parametrize(
    ("change", "ending", "words"),
    [
        ({"password": "wrong"}, VisitEnding.REFUSED, "password authentication failed"),
        ({"dbname": "nowhere"}, VisitEnding.REFUSED, 'database "nowhere" does not exist'),
        ({"sslmode": "require"}, VisitEnding.REFUSED, "SSL"),
        ({"port": "1"}, VisitEnding.UNREACHABLE, "refused"),
        ({"host": "no-such-host.invalid"}, VisitEnding.UNREACHABLE, "no-such-host.invalid"),
    ],
)
def test_what_a_server_does_not_let_in_is_told_apart(
    change: dict[str, str],
    ending: VisitEnding,
    words: str,
    ground: Ground,
    opened: store.Store,
) -> None:
    target = make_conninfo(ground.primary().dsn("shop", tcp=True), **change)
    options = replace(ONCE, attempts=3)
    lost = visited(opened, Member("shop", (target,)), options)
    assert words in lost.reason
    if ending is VisitEnding.REFUSED:
        assert (lost.ending, lost.attempts) == (ending, 1)  # never tried again
    else:
        assert lost.ending is None  # it waits for the next attempt


def test_what_may_pass_waits_and_then_ends(opened: store.Store) -> None:
    member = Member("shop", ("host=127.0.0.1 port=1 dbname=x user=x",))
    who = visitor(opened, member, options=replace(ONCE, attempts=2))
    first = visiting.visit_members(who, (member,))
    second = visiting.visit_members(who, (member,))
    assert first is not None
    assert second is not None
    assert (first.ending, first.attempts) == (None, 1)
    assert (second.ending, second.attempts) == (VisitEnding.UNREACHABLE, 2)
    assert visiting.visit_members(who, (member,)) is None


def test_a_connection_that_breaks_on_the_way_is_tried_again(
    ground: Ground, net: Network, opened: store.Store
) -> None:
    target = net.through(ground.primary().dsn("shop", tcp=True), Way(cuts_after=30_000))
    member = Member("shop", (target,))
    who = visitor(opened, member, options=replace(ONCE, attempts=2))
    broken = visiting.visit_members(who, (member,))
    assert broken is not None
    assert (broken.ending, "connection was lost" in broken.reason) == (None, True)
    net.change(target, cuts_after=None)
    done = visiting.visit_members(who, (member,))
    assert done is not None
    assert (done.ending, done.attempts) == (VisitEnding.DONE, 2)
    with opened.reading() as connection:
        assert len(runs.listed(connection)) == 1


def test_what_a_dead_worker_has_stored_is_judged_and_not_read_again(
    ground: Ground, opened: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = Member("shop", (ground.primary().dsn("shop"),))
    who = visitor(opened, member)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(cluster_judging, "judged", die)
        with pytest.raises(SystemExit):
            visiting.visit_members(who, (member,))
    with opened.writing() as connection:
        visit_log.release_all(connection, who.fleet_run_id, ["here"])
    done = visiting.visit_members(replace(who, worker="there"), (member,))
    assert done is not None
    assert done.ending is VisitEnding.DONE
    with opened.reading() as connection:
        (run,) = runs.listed(connection)
    assert (run.id, run.report is not None) == (done.run_id, True)


def test_a_visit_ends_over_budget_if_nothing_can_be_judged(
    ground: Ground, opened: store.Store
) -> None:
    member = Member("shop", (ground.primary().dsn("shop"),), budget_s=0.001)
    over = visited(opened, member)
    assert (over.ending, over.run_id) == (VisitEnding.OVER_BUDGET, None)


def test_a_catalog_that_takes_too_long_to_judge_is_over_budget(
    ground: Ground, opened: store.Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    judged = cluster_judging.judged

    def shortly(
        read: tuple[Snapshot, ...], settings: Config, label: str, most_s: float
    ) -> JudgedCluster:
        return judged(read, settings, label, min(most_s, 0.2))

    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    monkeypatch.setattr(cluster_judging, "LARGE", 0)
    monkeypatch.setattr(sys, "executable", str(endless))
    monkeypatch.setattr(cluster_judging, "judged", shortly)
    over = visited(opened, Member("shop", (ground.primary().dsn("shop"),)))
    assert over.ending is VisitEnding.OVER_BUDGET
    assert "rules" in over.reason


def test_a_disabled_member_and_a_closed_window_are_skipped(opened: store.Store) -> None:
    disabled = visited(opened, Member("old", ("host=nowhere",), is_enabled=False))
    assert (disabled.ending, disabled.attempts) == (VisitEnding.SKIPPED, 0)
    now = clock.now()
    closed = AllowedTime(time(1), time(2), frozenset({(now.weekday() + 3) % 7}))
    skipped = visited(opened, Member("shop", ("host=nowhere",), allowed=closed))
    assert skipped.ending is VisitEnding.SKIPPED
    assert "01:00 to 02:00 UTC" in skipped.reason


def test_a_time_that_is_allowed_on_some_days_opens_on_the_next_of_them() -> None:
    night = AllowedTime(time(22), time(4), frozenset({4}))  # Fridays
    saturday = datetime(2026, 3, 7, 3, tzinfo=UTC)
    assert night.holds(saturday)
    assert night.next_opening(saturday) == datetime(2026, 3, 13, 22, tzinfo=UTC)
    assert AllowedTime(time(1), time(2), frozenset()).next_opening(saturday) is None
