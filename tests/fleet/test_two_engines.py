"""Threads of one process and workers of a queue give the same history for the same fleet."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from pgwatch_wed.config import parse
from pgwatch_wed.fleet import fleet_begin, fleet_engine, fleet_workers, visit_log, visiting
from pgwatch_wed.fleet.fleet_engine import EngineOptions
from pgwatch_wed.fleet.members import DatabaseChoice, Member
from pgwatch_wed.fleet.queue import enqueueing, queue_jobs, queue_tables
from pgwatch_wed.fleet.queue.enqueueing import EnqueueOptions
from pgwatch_wed.fleet.queue.queue_worker import FleetWorker, WorkerOptions
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import kept_findings, store
from pgwatch_wed.history.schema import clusters, databases, runs, snapshots
from tests.fleet.ground import Ground

# What does not move between two runs.
JUDGED = parse({"only": ["index", "schema", "config"]}, "test")
VISITS = VisitOptions(settings=JUDGED, connect_s=2, attempts=1)


@pytest.fixture
def histories(ground: Ground) -> Iterator[tuple[store.Store, store.Store]]:
    """Two empty ones, both on a server."""
    server = ground.primary()
    with psycopg.connect(server.dsn(), autocommit=True) as session, ExitStack() as stack:
        made = []
        for name in ("of_threads", "of_workers"):
            session.execute(f"CREATE DATABASE {name}".encode())
            stack.callback(session.execute, f"DROP DATABASE {name} WITH (FORCE)".encode())
            made.append(store.open_store(server.dsn(name)))
            stack.callback(made[-1].close)
        yield made[0], made[1]


def fleet(ground: Ground) -> tuple[Member, ...]:
    shop = ground.primary().dsn("shop", tcp=True)
    tenants = ground.tenants(3).dsn(tcp=True)
    return (
        Member("another name", (f"{shop} application_name=other",), tags={"env": "test"}),
        Member("clone", (ground.clone().dsn("shop", tcp=True),), group="shops"),
        Member("disabled", (shop,), is_enabled=False),
        Member("gone", ("host=127.0.0.1 port=1 user=x",), group="shops"),
        Member("shop", (shop,), group="shops", tags={"env": "prod"}),
        Member("tenants", (tenants,), DatabaseChoice(("tenant_*",), ("tenant_001",))),
    )


def by_threads(opened: store.Store, members: tuple[Member, ...]) -> None:
    worker = fleet_workers.worker_name()
    begun = fleet_begin.begin(opened, members, worker, {}, shard=Shard(), resume=False)
    options = EngineOptions(VISITS, concurrency=2)
    fleet_engine.run(opened, begun, worker, options, lambda _: None)


def by_workers(opened: store.Store, members: tuple[Member, ...]) -> None:
    queue_tables.prepare_queue(opened)
    enqueueing.enqueue(opened, members, (), EnqueueOptions(connect_s=2))
    name = fleet_workers.worker_name()

    def make(fleet_run_id: int, named: tuple[Member, ...]) -> Visit | None:
        return visiting.visit_members(Visitor(opened, fleet_run_id, name, VISITS), named)

    options = WorkerOptions(concurrency=2, lost_after_s=2, until_done=True)
    FleetWorker(opened, {m.name: m for m in members}, name, make, options).run()


def kept(opened: store.Store) -> dict[str, Any]:
    """Return what a history has, without what differs between any two runs: moments, keys and workers."""
    with opened.reading() as connection:
        (run,) = visit_log.runs_of_fleet(connection)
        visits = {visit.member: visit for visit in visit_log.visits(connection, run.id)}
        stored = {
            member: _stored(connection, visit.run_id)
            for member, visit in visits.items()
            if visit.run_id is not None
        }
        number = connection.execute(sa.select(sa.func.count()).select_from(clusters)).scalar_one()
    assert run.ended_at is not None
    told = {
        member: (
            v.group,
            v.tags,
            v.label,
            v.ending,
            v.reason,
            v.mend,
            v.lacking,
            v.attempts,
            v.node_key,
            v.same_as,
        )
        for member, v in visits.items()
    }
    return {"visits": told, "stored": stored, "clusters": number}


def _stored(connection: sa.Connection, run_id: int) -> tuple[Any, ...]:
    told = kept_findings.of_run(connection, run_id)
    found = [(f.finding_id, f.rule, f.severity, f.grade, f.title) for f in told]
    (server,) = connection.execute(
        sa.select(runs.c.label, runs.c.server_version, runs.c.report.is_not(None)).where(
            runs.c.id == run_id
        )
    )
    return tuple(server), found, _databases(connection, run_id)


def _databases(connection: sa.Connection, run_id: int) -> list[str]:
    query = sa.select(databases.c.name).join(snapshots, snapshots.c.database_id == databases.c.id)
    return sorted(connection.execute(query.where(snapshots.c.run_id == run_id)).scalars())


@pytest.mark.slow
def test_both_engines_give_the_same_history(
    ground: Ground, histories: tuple[store.Store, store.Store]
) -> None:
    members = fleet(ground)
    by_threads(histories[0], members)
    by_workers(histories[1], members)
    threads, workers = map(kept, histories)
    assert threads == workers
    endings = {member: visit[3] for member, visit in threads["visits"].items()}
    assert endings == {
        "another name": VisitEnding.SKIPPED,  # shop has a group
        "clone": VisitEnding.DONE,
        "disabled": VisitEnding.SKIPPED,
        "gone": VisitEnding.UNREACHABLE,
        "shop": VisitEnding.DONE,
        "tenants": VisitEnding.DONE,
    }
    assert any("orders_customer" in str(finding) for finding in threads["stored"]["clone"][1])
    assert threads["clusters"] == 3


def test_what_waits_when_the_time_of_a_run_is_over_is_over_budget(
    histories: tuple[store.Store, store.Store],
) -> None:
    opened = histories[1]
    queue_tables.prepare_queue(opened)
    members = (Member("one", ("host=127.0.0.1 port=1",)), Member("two", ("host=127.0.0.1 port=1",)))
    run = enqueueing.enqueue(opened, members, (), EnqueueOptions(connect_s=2, budget_s=3600))
    with opened.writing() as connection:
        assert queue_jobs.end_over_budget(connection) == ()
        connection.exec_driver_sql(
            "UPDATE pgwatch_wed_history.fleet_runs SET began_at = began_at - interval '2 hours'"
        )
        now = queue_jobs.server_moment(connection)
        assert visit_log.claim(connection, run.id, "one", "somebody", now)
        assert queue_jobs.end_over_budget(connection) == ("two",)
        one, two = visit_log.visits(connection, run.id)
    assert (one.ending, two.ending) == (None, VisitEnding.OVER_BUDGET)
    assert "before its turn" in two.reason


def test_no_more_clusters_of_a_host_are_taken_than_allowed(
    ground: Ground, histories: tuple[store.Store, store.Store]
) -> None:
    opened = histories[1]
    queue_tables.prepare_queue(opened)
    members = (
        Member("clone", (ground.clone().dsn("shop", tcp=True),)),
        Member("shop", (ground.primary().dsn("shop", tcp=True),)),
        Member("tenants", (ground.tenants(3).dsn(tcp=True),)),
    )
    enqueueing.enqueue(opened, members, (), EnqueueOptions(connect_s=2, per_host=2))
    fetch = b"SELECT args ->> 'member' AS member FROM procrastinate_fetch_job_v2(NULL, NULL)"
    with opened.writing() as connection, queue_tables.queue_cursor(connection) as cursor:
        taken = [row["member"] for _ in range(3) for row in cursor.execute(fetch).fetchall()]
    assert taken == ["clone", "shop", None]
