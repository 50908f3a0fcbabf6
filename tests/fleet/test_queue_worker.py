"""Workers as processes: killed, stopped, cut off from the queue, and behind PgBouncer; each visit ends once."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue import queue_jobs, queue_tables
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import store
from tests.fleet.ground import small
from tests.fleet.networks import Network, Way
from tests.test_pgbouncer import PGBOUNCER, pooled

NAMES = tuple(f"member {number:02}" for number in range(12))


@pytest.fixture(scope="module")
def queue_server() -> Iterator[embedded.EmbeddedServer]:
    """A server for queues, which tests may restart."""
    with small() as server:
        yield server


@pytest.fixture
def dsn(queue_server: embedded.EmbeddedServer, request: pytest.FixtureRequest) -> str:
    name = f"q{abs(hash(request.node.name))}"
    with psycopg.connect(queue_server.dsn(), autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    found = queue_server.dsn(name)
    opened = store.open_store(found)
    queue_tables.prepare_queue(opened)
    with psycopg.connect(found, autocommit=True) as session:
        session.execute("CREATE TABLE marks (member text, worker text)")
    opened.close()
    return found


def enqueue(dsn: str, names: tuple[str, ...] = NAMES) -> int:
    opened = store.open_store(dsn)
    with opened.writing() as connection:
        moment = queue_jobs.server_moment(connection)
        members = [Member(name, ()) for name in names]
        run = visit_log.begin(connection, members, moment, {"engine": queue_jobs.ENGINE})
        queue_jobs.defer(connection, run.id, [(name,) for name in names])
    opened.close()
    return run.id


class StartWorker(Protocol):
    def __call__(self, dsn: str, **given: Any) -> subprocess.Popen[str]: ...


@pytest.fixture
def worker() -> Iterator[StartWorker]:
    """Start workers; those that a test leaves behind are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(dsn: str, **given: Any) -> subprocess.Popen[str]:
        given.setdefault("members", NAMES)
        command = [sys.executable, "-m", "tests.fleet.queue_process", dsn, json.dumps(given)]
        root = Path(__file__).parents[2]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=root))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def finished(*workers: subprocess.Popen[str]) -> str:
    """Wait for workers; return what they said."""
    said = "".join(each.communicate(timeout=60)[1] for each in workers)
    assert "Traceback" not in said, said
    return said


def marks(dsn: str) -> list[tuple[str, str]]:
    with psycopg.connect(dsn) as session:
        return session.execute(
            "SELECT member, worker FROM marks ORDER BY member, worker"
        ).fetchall()


def endings(dsn: str, run: int) -> set[VisitEnding | None]:
    opened = store.open_store(dsn)
    with opened.reading() as connection:
        found = {visit.ending for visit in visit_log.visits(connection, run)}
        (newest, *_) = visit_log.runs_of_fleet(connection)
    opened.close()
    assert None in found or newest.ended_at is not None
    return found


def attempts(dsn: str, run: int) -> dict[str, int]:
    opened = store.open_store(dsn)
    with opened.reading() as connection:
        visits = visit_log.visits(connection, run)
    opened.close()
    return {visit.member: visit.attempts for visit in visits}


def wait_for_marks(dsn: str, number: int) -> None:
    for _ in range(600):
        if len(marks(dsn)) >= number:
            return
        time.sleep(0.05)
    raise AssertionError("the workers make no visits")


def wait_for_connections(net: Network, number: int) -> None:
    for _ in range(600):
        if sum(each.connections for each in net.tally().values()) >= number:
            return
        time.sleep(0.05)
    raise AssertionError("the host is not asked again")


def wait_until_under_way(dsn: str, number: int) -> None:
    query = "SELECT FROM pgwatch_wed_history.fleet_visits WHERE began_at IS NOT NULL"
    for _ in range(600):
        with psycopg.connect(dsn) as session:
            if session.execute(query.encode()).rowcount >= number:
                return
        time.sleep(0.05)
    raise AssertionError("the worker begins no visits")


def jobs_left(dsn: str) -> int:
    with psycopg.connect(dsn) as session:
        row = session.execute(
            "SELECT count(*) FROM pgwatch_wed_queue.procrastinate_jobs"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_two_workers_share_the_visits(dsn: str, worker: StartWorker) -> None:
    run = enqueue(dsn)
    finished(worker(dsn), worker(dsn))
    assert [member for member, _ in marks(dsn)] == list(NAMES)
    assert len({name for _, name in marks(dsn)}) == 2
    assert endings(dsn, run) == {VisitEnding.DONE}
    assert jobs_left(dsn) == 0


def test_hosts_that_say_nothing_hold_up_none_of_the_others(dsn: str, worker: StartWorker) -> None:
    run = enqueue(dsn, NAMES[:6])
    finished(worker(dsn, concurrency=1, silent=NAMES[:3], answers_after=3))
    assert endings(dsn, run) == {VisitEnding.DONE}
    assert sorted(member for member, _ in marks(dsn)) == list(NAMES[:6])


def test_a_further_attempt_at_a_host_that_says_nothing_ends_with_the_last_visit_of_any_worker(
    dsn: str, worker: StartWorker, net: Network
) -> None:
    hangs = net.through("host=127.0.0.1 port=1 user=x", Way(hangs=True))
    run = enqueue(dsn, ("other", "silent"))
    others = worker(dsn, members=["other"], held=["other"])
    wait_until_under_way(dsn, 1)
    silent = worker(dsn, members=["silent"], real={"silent": hangs})
    wait_for_connections(net, 2)
    with psycopg.connect(dsn) as session:
        session.execute("INSERT INTO marks VALUES ('let the other end', '')")
    said = finished(silent, others)
    assert said.count("silent: unreachable: could not connect: connection timeout expired") == 1
    assert endings(dsn, run) == {VisitEnding.DONE, VisitEnding.UNREACHABLE}
    assert attempts(dsn, run)["silent"] == 1
    assert jobs_left(dsn) == 0


def test_what_a_killed_worker_had_begun_is_done_by_another_and_nothing_twice(
    dsn: str, worker: StartWorker
) -> None:
    run = enqueue(dsn)
    victim = worker(dsn, seconds=60)
    wait_until_under_way(dsn, 2)
    victim.kill()
    survivor = worker(dsn)
    said = finished(survivor)
    assert "its worker is gone" in said
    assert [member for member, _ in marks(dsn)] == list(NAMES)
    assert endings(dsn, run) == {VisitEnding.DONE}
    assert jobs_left(dsn) == 0


def test_a_restart_of_the_queues_server_stops_nobody(
    dsn: str, worker: StartWorker, queue_server: embedded.EmbeddedServer
) -> None:
    run = enqueue(dsn)
    workers = (worker(dsn, seconds=0.5), worker(dsn, seconds=0.5))
    wait_for_marks(dsn, 2)
    queue_server.halt("immediate")
    time.sleep(0.3)
    queue_server.boot()
    finished(*workers)
    assert [member for member, _ in marks(dsn)] == list(NAMES)
    assert endings(dsn, run) == {VisitEnding.DONE}
    assert jobs_left(dsn) == 0


def test_a_worker_that_is_told_to_stop_finishes_its_visits_and_leaves_the_rest(
    dsn: str, worker: StartWorker
) -> None:
    run = enqueue(dsn)
    stopped = worker(dsn, seconds=0.5)
    wait_for_marks(dsn, 1)
    stopped.send_signal(signal.SIGTERM)
    finished(stopped)
    assert stopped.returncode == 0
    done = len(marks(dsn))
    assert 0 < done < len(NAMES)
    assert endings(dsn, run) == {VisitEnding.DONE, None}
    with psycopg.connect(dsn) as session:
        query = "SELECT status::text, count(*) FROM pgwatch_wed_queue.procrastinate_jobs GROUP BY 1"
        assert session.execute(query).fetchall() == [("todo", len(NAMES) - done)]
    finished(worker(dsn))
    assert [member for member, _ in marks(dsn)] == list(NAMES)


def test_a_member_is_left_to_the_worker_whose_inventory_has_it_and_skipped_if_there_is_none(
    dsn: str, worker: StartWorker
) -> None:
    run = enqueue(dsn, (*NAMES[:4], "unknown"))
    first = worker(dsn, members=NAMES[2:4])
    wait_for_marks(dsn, 2)
    said = finished(first, worker(dsn, members=NAMES[:2], patience=0))
    assert [member for member, _ in marks(dsn)] == list(NAMES[:4])
    assert "unknown: skipped: no worker's inventory has it" in said
    assert endings(dsn, run) == {VisitEnding.DONE, VisitEnding.SKIPPED}


@pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer on this machine")
def test_workers_work_through_pgbouncer_in_transaction_mode(
    dsn: str, worker: StartWorker, queue_server: embedded.EmbeddedServer
) -> None:
    name = conninfo_to_dict(dsn)["dbname"]
    with pooled(queue_server, "transaction") as pool:
        through = make_conninfo(pool, dbname=name)
        enqueue(through)
        finished(worker(through), worker(through))
        assert [member for member, _ in marks(dsn)] == list(NAMES)
        with psycopg.connect(through, autocommit=True, prepare_threshold=None) as next_client:
            row = next_client.execute("SHOW search_path").fetchone()
    assert row == ('"$user", public',)
