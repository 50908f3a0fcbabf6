"""A worker as a process of its own, whose visits take a moment and leave a mark in the transaction that ends them.

Those that are ``silent`` answer once so many others are done; ``held`` ones end once others have left a mark. Those that have a
conninfo in ``real`` are visited as they are, and have 2 seconds to connect the first time.

``python -m tests.fleet.queue_process DSN 'JSON'``
"""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.fleet import visit_log, visiting
from pgwatch_wed.fleet.fleet_workers import worker_name
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue import queue_jobs
from pgwatch_wed.fleet.queue.queue_worker import FleetWorker, WorkerOptions
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import store


def main(dsn: str, given: dict[str, Any]) -> None:
    opened = store.open_store(dsn)
    name = worker_name()
    asked: set[tuple[int, str]] = set()

    def make(fleet_run: int, members: tuple[Member, ...]) -> Visit | None:
        own = (fleet_run, members[0].name)
        if members[0].targets:
            return visited(fleet_run, members)
        with worker.looking(*own):
            while members[0].name in given.get("silent", ()) and marks() < given["answers_after"]:
                time.sleep(0.05)
            with worker.in_turn(*own):
                return visit(fleet_run, members[0])

    def visited(fleet_run: int, members: tuple[Member, ...]) -> Visit | None:
        own = (fleet_run, members[0].name)
        options = VisitOptions(connect_s=90 if own in asked else 2)
        asked.add(own)

        def others_go_on(connection: sa.Connection, member: str) -> bool:
            return queue_jobs.others_go_on(connection, fleet_run, member)

        visitor = Visitor(opened, fleet_run, name, options, others_go_on=others_go_on)
        with worker.looking(*own):
            return visiting.visit_members(visitor, members)

    def marks() -> int:
        with opened.reading() as connection:
            found = connection.exec_driver_sql("SELECT count(DISTINCT member) FROM marks")
            return int(found.scalar_one())

    def visit(fleet_run: int, member: Member) -> Visit | None:
        now = datetime.now(UTC)
        with opened.writing() as connection:
            if not visit_log.claim(connection, fleet_run, member.name, name, now):
                return None
        time.sleep(given.get("seconds", 0.2))
        while member.name in given.get("held", ()) and not marks():
            time.sleep(0.05)
        done = Visit(fleet_run, member.name, worker=name, ending=VisitEnding.DONE, ended_at=now)
        with opened.writing() as connection:
            if not visit_log.end(connection, done):
                return None
            connection.exec_driver_sql("INSERT INTO marks VALUES (%s, %s)", (member.name, name))
        return done

    options = WorkerOptions(
        concurrency=given.get("concurrency", 2),
        lost_after_s=1.5,
        patience_s=given.get("patience", 300),
        until_done=given.get("until_done", True),
        pause_of=lambda _: 0.2,
    )
    real = given.get("real", {})
    members = {n: Member(n, (real[n],) if n in real else ()) for n in given["members"]}
    worker = FleetWorker(
        opened, members, name, make, options, lambda line: print(line, file=sys.stderr, flush=True)
    )
    worker.run()
    opened.close()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
