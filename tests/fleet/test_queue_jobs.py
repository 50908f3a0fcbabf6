"""The queue's tables and jobs: what is lost is found again, whatever the queue forgot."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from procrastinate.schema import SchemaManager

from pgwatch_wed import clock
from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.fleet import bundles, visit_log, visiting
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.lanes import Counted
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue import enqueueing, queue_jobs, queue_tables
from pgwatch_wed.fleet.queue.enqueueing import EnqueueOptions, UnfinishedRunError
from pgwatch_wed.fleet.queue.lock_names import lock_names
from pgwatch_wed.fleet.queue.queue_worker import FleetWorker
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import runs, store
from pgwatch_wed.history.schema import SCHEMA
from pgwatch_wed.target.collect import collect
from tests import servers

MEMBERS = (Member("crm", ("host=b",)), Member("shop", ("host=a password=verysecret",)))
NOW = timedelta(0)
LATER = timedelta(hours=1)
_FETCH = "SELECT args ->> 'member' AS member FROM procrastinate_fetch_job_v2(NULL, NULL)"


@pytest.fixture(scope="module")
def prepared(server_pool: servers.Pool) -> Iterator[store.Store]:
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        found = store.open_store(dsn)
        queue_tables.prepare_queue(found)
        yield found
        found.close()


@pytest.fixture
def opened(prepared: store.Store) -> store.Store:
    with prepared.writing() as connection, queue_tables.queue_cursor(connection) as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers CASCADE")
        cursor.execute(f"TRUNCATE {SCHEMA}.fleet_runs, {SCHEMA}.fleet_visits".encode())
    return prepared


def enqueued(opened: store.Store) -> FleetRun:
    with opened.writing() as connection:
        moment = queue_jobs.server_moment(connection)
        run = visit_log.begin(connection, MEMBERS, moment, {"engine": queue_jobs.ENGINE})
        queue_jobs.defer(connection, run.id, [(m.name,) for m in MEMBERS])
    return run


def jobs(opened: store.Store) -> dict[str, str]:
    """Return the status of the jobs by member."""
    found = rows(opened, "SELECT args ->> 'member' AS member, status FROM procrastinate_jobs")
    return {row["member"]: row["status"] for row in found}


def rows(opened: store.Store, query: str) -> list[dict[str, Any]]:
    with opened.writing() as connection, queue_tables.queue_cursor(connection) as cursor:
        done = cursor.execute(query.encode())
        return done.fetchall() if done.description else []


def fetch(opened: store.Store, worker: str, run: FleetRun) -> str:
    """Take a job and its visit, as a worker does that is killed then; return the member."""
    member = rows(opened, _FETCH)[0]["member"]
    with opened.writing() as connection:
        moment = queue_jobs.server_moment(connection)
        assert visit_log.claim(connection, run.id, member, worker, moment)
    return str(member)


def rescued(opened: store.Store, lost_after: timedelta) -> queue_jobs.Rescued:
    with opened.writing() as connection:
        return queue_jobs.rescue(connection, lost_after)


def test_a_file_holds_no_queue(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PostgreSQL"):
        queue_tables.queue_conninfo(str(tmp_path / "history.sqlite3"))


def test_a_run_and_its_jobs_are_written_together_and_without_secrets(opened: store.Store) -> None:
    with opened.writing() as connection:
        run = visit_log.begin(connection, MEMBERS, queue_jobs.server_moment(connection), {})
        queue_jobs.defer(connection, run.id, [("crm",)])
        connection.get_transaction().rollback()  # type: ignore[union-attr] # killed here
    assert jobs(opened) == {}
    with opened.reading() as connection:
        assert visit_log.runs_of_fleet(connection) == ()
    enqueued(opened)
    assert jobs(opened) == {"crm": "todo", "shop": "todo"}
    kept = rows(opened, "SELECT j::text AS line FROM procrastinate_jobs j")
    assert "verysecret" not in str(kept)


def test_a_visit_whose_worker_is_gone_waits_again_and_counts_its_attempts(
    opened: store.Store,
) -> None:
    run = enqueued(opened)
    member = fetch(opened, "one", run)
    assert rescued(opened, LATER) == queue_jobs.Rescued()  # it may yet live
    assert jobs(opened)[member] == "doing"
    assert rescued(opened, NOW).again == (member,)
    assert jobs(opened)[member] == "todo"
    with opened.writing() as connection:
        assert visit_log.claim(
            connection, run.id, member, "two", queue_jobs.server_moment(connection)
        )
        (visit,) = (v for v in visit_log.visits(connection, run.id) if v.member == member)
    assert (visit.worker, visit.attempts) == ("two", 2)


def test_a_job_whose_worker_was_killed_before_it_claimed_the_visit_waits_again(
    opened: store.Store,
) -> None:
    enqueued(opened)
    rows(opened, "SELECT procrastinate_fetch_job_v2(NULL, NULL)")
    assert rescued(opened, NOW).again == ("crm",)
    assert jobs(opened) == {"crm": "todo", "shop": "todo"}


def test_a_visit_that_ended_is_not_made_again(opened: store.Store) -> None:
    run = enqueued(opened)
    member = fetch(opened, "one", run)
    with opened.writing() as connection:
        moment = queue_jobs.server_moment(connection)
        assert visit_log.end(
            connection,
            Visit(run.id, member, worker="one", ending=VisitEnding.DONE, ended_at=moment),
        )
    assert rescued(opened, NOW) == queue_jobs.Rescued()
    assert member not in jobs(opened)


def test_a_visit_that_ends_each_of_its_workers_is_given_up(opened: store.Store) -> None:
    run = enqueued(opened)
    rows(opened, "DELETE FROM procrastinate_jobs WHERE args ->> 'member' <> 'crm'")
    for attempt in range(queue_jobs.MOST_ATTEMPTS):
        assert fetch(opened, f"worker {attempt}", run) == "crm"
        said = rescued(opened, NOW)
    assert (said.again, said.given_up) == ((), ("crm",))
    with opened.reading() as connection:
        crm, shop = visit_log.visits(connection, run.id)
    assert (crm.ending, crm.attempts) == (VisitEnding.OVER_BUDGET, queue_jobs.MOST_ATTEMPTS)
    assert "4 workers ended" in crm.reason
    assert "worker 3" in crm.reason
    assert shop.ending is None


def test_a_file_stands_for_visits_that_the_queue_ends_itself(opened: store.Store) -> None:
    read = (collect(opened.place.value),)
    with opened.writing() as connection:
        stored, _ = runs.add(connection, runs.NewRun(read))
        before = visit_log.begin(connection, MEMBERS, clock.now(), {})
        for member in MEMBERS:
            lost = Visit(before.id, member.name, member.group, ending=VisitEnding.UNREACHABLE)
            visit_log.end(connection, lost)
        assert bundles.attach(connection, MEMBERS[0], stored, read)
    run = enqueued(opened)
    with opened.writing() as connection:
        visit_log.note(connection, run.id, {"engine": queue_jobs.ENGINE, "budget_s": -1})
        assert queue_jobs.end_over_budget(connection) == ("crm", "shop")
        crm, shop = visit_log.visits(connection, run.id)
    assert (crm.ending, crm.run_id) == (VisitEnding.DONE, stored.id)
    assert "the cluster itself: over budget, the time for the whole run was over" in crm.reason
    assert (shop.ending, shop.run_id) == (VisitEnding.OVER_BUDGET, None)
    rows(opened, "DELETE FROM procrastinate_jobs")
    run = enqueued(opened)
    for attempt in range(2 * queue_jobs.MOST_ATTEMPTS):
        fetch(opened, f"worker {attempt}", run)
        rescued(opened, NOW)
    with opened.reading() as connection:
        crm, shop = visit_log.visits(connection, run.id)
    assert (crm.ending, crm.run_id) == (VisitEnding.DONE, stored.id)
    assert crm.reason.count("the cluster itself: over budget, 4 workers ended") == 1
    assert shop.ending is VisitEnding.OVER_BUDGET


def test_a_silent_host_is_asked_again_only_as_long_as_there_is_other_work(
    opened: store.Store,
) -> None:
    run = enqueued(opened)

    def go_on(connection: sa.Connection) -> bool:
        return queue_jobs.others_go_on(connection, run.id, "crm")

    assert rows(opened, _FETCH)[0]["member"] == "crm"
    with opened.reading() as connection:
        assert go_on(connection)  # it is not yet shop's turn
    assert rows(opened, _FETCH)[0]["member"] == "shop"
    with opened.writing() as connection:
        assert not go_on(connection)  # shop is looked at: it may be silent, too
        assert visit_log.claim(connection, run.id, "shop", "w", clock.now())
        assert go_on(connection)
        silent = Failure(VisitEnding.UNREACHABLE, "connection timeout expired", is_temporary=True)
    who = Visitor(opened, run.id, "w", others_go_on=lambda own, _: go_on(own))
    waits = visiting.fail(who, MEMBERS[0], silent)
    assert waits is not None
    assert (waits.ending, waits.attempts) == (None, 1)
    with opened.writing() as connection:
        end = Visit(run.id, "shop", worker="w", ending=VisitEnding.DONE, ended_at=clock.now())
        assert visit_log.end(connection, end)
    ended = visiting.fail(who, MEMBERS[0], silent)
    assert ended is not None
    again = enqueued(opened)
    asked: list[bool] = []

    def shop_falls_silent_meanwhile(connection: sa.Connection, _: str) -> bool:
        with opened.reading() as another:  # crm's end is under way, and holds up nobody
            asked.append(queue_jobs.others_go_on(another, again.id, "shop"))
        return queue_jobs.others_go_on(connection, again.id, "crm")

    rows(opened, "DELETE FROM procrastinate_jobs")
    who = Visitor(opened, again.id, "w", others_go_on=shop_falls_silent_meanwhile)
    crm = visiting.fail(who, MEMBERS[0], silent)
    assert crm is not None
    assert (crm.ending, asked) == (VisitEnding.UNREACHABLE, [False])
    assert (ended.ending, ended.attempts) == (VisitEnding.UNREACHABLE, 2)


def test_silent_hosts_end_once_nothing_else_is_left_of_their_run(opened: store.Store) -> None:
    timeout = "could not connect: connection timeout expired"
    run = enqueued(opened)
    crm, shop = MEMBERS

    def silent() -> tuple[str, ...]:
        with opened.writing() as connection:
            return tuple(visit.member for visit in queue_jobs.end_silent(connection))

    def failed(member: Member, reason: str) -> None:
        why = Failure(VisitEnding.UNREACHABLE, reason, "see why", is_temporary=True)
        visiting.fail(Visitor(opened, run.id, "w", VisitOptions(attempts=9)), member, why)

    failed(crm, timeout)
    assert silent() == ()  # shop has yet to be looked at
    with opened.writing() as connection:
        assert visit_log.claim(connection, run.id, "shop", "w", clock.now())
    assert silent() == ()
    with opened.writing() as connection:
        queue_jobs.release(connection, run.id, "shop", "w")
    for reason in ("could not connect: Connection refused", "the connection was lost: timed out"):
        failed(shop, reason)
        assert silent() == ()  # it is asked again, whoever else is silent
    with opened.writing() as connection:
        queue_jobs.end_unread(connection, run.id, "shop", Failure(VisitEnding.REFUSED, "no"))
        queue_jobs.note_answer(connection, run.id, "crm")
    assert silent() == ()  # it waits for its turn
    failed(crm, timeout)
    assert silent() == ("crm",)
    assert silent() == ()
    with opened.reading() as connection:
        (visit, _) = visit_log.visits(connection, run.id)
        (known, *_) = visit_log.runs_of_fleet(connection)
        both = queue_jobs.ended(connection, {(run.id, "crm"), (run.id, "shop"), (run.id, "x")})
    assert (visit.ending, visit.reason, visit.mend, visit.attempts) == (
        VisitEnding.UNREACHABLE,
        timeout,
        "see why",
        2,
    )
    assert known.ended_at is not None
    assert both == {(run.id, "crm"), (run.id, "shop")}


def with_a_silent_host(opened: store.Store) -> FleetRun:
    """Enqueue a run of which one host said nothing once, and another for good."""
    run = enqueued(opened)
    silence = Failure(VisitEnding.UNREACHABLE, "could not connect: timeout expired", "", True)
    with opened.writing() as connection:
        queue_jobs.end_unread(connection, run.id, "shop", silence)
    visiting.fail(Visitor(opened, run.id, "w"), MEMBERS[0], silence)
    return run


def test_a_host_that_answered_after_a_silence_is_not_silent_when_its_worker_dies(
    opened: store.Store,
) -> None:
    run = with_a_silent_host(opened)
    assert fetch(opened, "one", run) == "crm"
    assert rescued(opened, NOW).again == ("crm",)
    with opened.writing() as connection:
        assert queue_jobs.end_silent(connection) == ()


def test_a_host_that_answered_after_a_silence_is_not_silent_while_it_waits_for_its_turn(
    opened: store.Store,
) -> None:
    run = with_a_silent_host(opened)

    def make(fleet_run_id: int, members: tuple[Member, ...]) -> Visit | None:
        with worker.in_turn(fleet_run_id, members[0].name), opened.writing() as connection:
            silent.append(queue_jobs.end_silent(connection))
        return None

    silent: list[tuple[Visit, ...]] = []
    worker = FleetWorker(opened, {each.name: each for each in MEMBERS}, "w", make)
    worker._visit(run.id, "crm", [])
    assert silent == [()]


def test_a_queue_that_was_emptied_gets_its_jobs_back_once(opened: store.Store) -> None:
    enqueued(opened)
    rows(opened, "DELETE FROM procrastinate_jobs")
    assert rescued(opened, LATER).lost == ("crm", "shop")
    assert rescued(opened, LATER).lost == ()
    assert jobs(opened) == {"crm": "todo", "shop": "todo"}


def test_a_visit_that_a_worker_makes_is_not_made_by_another_of_its_threads(
    opened: store.Store,
) -> None:
    run = enqueued(opened)
    member = fetch(opened, "ours", run)
    with opened.writing() as connection:  # as after a long restart of the server
        queue_jobs.release(connection, run.id, member, "ours")
    made: list[int] = []

    def make(fleet_run_id: int, _: tuple[Member, ...]) -> None:
        made.append(fleet_run_id)

    named = {each.name: each for each in MEMBERS}
    worker = FleetWorker(opened, named, "ours", make, under_way={(run.id, member)})
    assert worker._visit(run.id, member, []) is not None
    assert made == []


def test_whoever_ends_what_is_over_budget_waits_for_nobody(opened: store.Store) -> None:
    with opened.writing() as connection:
        began = queue_jobs.server_moment(connection) - LATER
        settings = {"engine": queue_jobs.ENGINE, "budget_s": 1}
        run = visit_log.begin(connection, MEMBERS, began, settings)
    with opened.writing() as connection:
        assert visit_log.claim(connection, run.id, "crm", "other", began)
        with opened.writing() as ours:
            ours.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            assert queue_jobs.end_over_budget(ours) == ("shop",)


def test_of_two_schedulers_one_begins_a_run(opened: store.Store) -> None:
    together = threading.Barrier(2)
    found: list[str] = []

    def enqueue() -> None:
        together.wait(20)
        try:
            off = Member("off", (), is_enabled=False)
            enqueueing.enqueue(opened, (off,), (), EnqueueOptions())
            found.append("begun")
        except UnfinishedRunError:
            found.append("refused")

    threads = [threading.Thread(target=enqueue) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["begun", "refused"]


def test_no_more_clusters_of_a_group_are_taken_than_allowed(opened: store.Store) -> None:
    off = [Member(name, (), group="shops", is_enabled=False) for name in "abc"]
    off.append(Member("d", (), is_enabled=False))
    enqueueing.enqueue(opened, off, (), EnqueueOptions(per_group=2))
    taken = [row["member"] for _ in range(4) for row in rows(opened, _FETCH)]
    assert taken == ["a", "b", "d", None]


def test_limits_of_hosts_and_groups_hold_together() -> None:
    chance = random.Random(16)
    most = {"host": 2, "group": 3}
    for _ in range(200):
        hosts, groups = chance.randint(1, 9), chance.randint(1, 5)
        counted = [
            (
                f"m{n}",
                (
                    ("host", f"h{chance.randrange(hosts)}"),
                    ("group", f"g{chance.randrange(groups)}"),
                ),
            )
            for n in range(40)
        ]
        found = lock_names(counted, most)
        locks: dict[Counted, set[str]] = defaultdict(set)
        for member, places in counted:
            for place in places:
                locks[place].add(found[member])
        assert all(1 <= len(own) <= most[place[0]] for place, own in locks.items())
        for kind, limit in most.items():  # one limit alone is used up
            alone = lock_names(counted, {kind: limit})
            own = Counter(place for _, places in counted for place in places if place[0] == kind)
            assert len(set(alone.values())) == sum(min(n, limit) for n in own.values())
    assert lock_names(counted, {"host": None, "group": None}) == {}


def test_of_several_workers_one_rescues(opened: store.Store) -> None:
    run = enqueued(opened)
    member = fetch(opened, "one", run)
    with opened.engine.begin() as first:
        assert queue_jobs.rescue(first, NOW).again == (member,)
        with opened.engine.begin() as second:
            assert queue_jobs.rescue(second, NOW) == queue_jobs.Rescued()


def test_tables_of_an_older_version_are_upgraded_and_newer_ones_refused(db: str) -> None:
    opened = store.open_store(db)
    old = "03.03.00_01_pre_priority_lock_fetch_job.sql"
    with opened.writing() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {queue_tables.QUEUE_SCHEMA}")
        with queue_tables.queue_cursor(connection) as cursor:
            for step in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql")):
                if step.name <= old:
                    cursor.execute(step.read_bytes())
            cursor.execute(
                b"CREATE TABLE fleet_queue_version (step text NOT NULL); "
                + f"INSERT INTO fleet_queue_version VALUES ('{old}')".encode()
            )
    queue_tables.prepare_queue(opened)
    queue_tables.prepare_queue(opened)
    assert rows(opened, "SELECT to_regproc('procrastinate_retry_job_v2') IS NOT NULL AS is_new")[0][
        "is_new"
    ]
    rows(opened, "UPDATE fleet_queue_version SET step = '99.00.00_01.sql'")
    with pytest.raises(HistoryError, match="newer version"):
        queue_tables.prepare_queue(opened)
    opened.close()
