"""Whoever is a member of the role that writes shares the queue with all others, and a reader sees it."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.fleet import visiting
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue import enqueueing, queue_state, queue_tables
from pgwatch_wed.fleet.queue.enqueueing import EnqueueOptions
from pgwatch_wed.fleet.queue.queue_worker import FleetWorker, WorkerOptions
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import remembered, store
from pgwatch_wed.history.access import HistoryRole
from tests.fleet.ground import Ground

ROLES = ("collector_one", "collector_two", "onlooker")
GONE = Member("gone", ("host=127.0.0.1 port=1 user=x",))


@pytest.fixture
def central(ground: Ground) -> Iterator[str]:
    """A database for a history; two roles may write it, and one may read it."""
    server = ground.primary()
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        session.execute("CREATE DATABASE with_roles")
        for role in ROLES:
            session.execute(f"CREATE ROLE {role} LOGIN".encode())
        dsn = server.dsn("with_roles")
        store.grant(store.place(dsn), HistoryRole.FLEET, ROLES[:2])
        store.grant(store.place(dsn), HistoryRole.READER, ROLES[2:])
        yield dsn
        session.execute("DROP DATABASE with_roles WITH (FORCE)")
        for role in (*ROLES, "pgwatch_wed_fleet", "pgwatch_wed_reader"):
            session.execute(f"DROP ROLE {role}".encode())


def test_one_enqueues_another_works_and_tidies_up_and_a_third_looks(
    central: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied: list[int] = []
    monkeypatch.setattr(remembered, "tidy", lambda _, most: tidied.append(most))
    one, two, onlooker = (make_conninfo(central, user=role) for role in ROLES)
    first = store.open_store(one)
    queue_tables.prepare_queue(first)
    enqueueing.enqueue(first, (GONE,), (), EnqueueOptions(connect_s=2))
    second = store.open_store(two)
    queue_tables.prepare_queue(second)

    def make(fleet_run_id: int, named: tuple[Member, ...]) -> Visit | None:
        options = VisitOptions(connect_s=2, attempts=1)
        return visiting.visit_members(Visitor(second, fleet_run_id, "two", options), named)

    options = WorkerOptions(concurrency=1, lost_after_s=2, until_done=True)
    FleetWorker(second, {"gone": GONE}, "two", make, options).run()
    assert tidied == [20]
    with store.unchanged(onlooker) as opened:
        (run,) = queue_state.queue_state(opened, 60, 5).runs
        assert run.endings == {VisitEnding.UNREACHABLE: 1}
        with pytest.raises(HistoryError):
            enqueueing.enqueue(opened, (GONE,), (), EnqueueOptions(connect_s=2))
    first.close()
    second.close()
