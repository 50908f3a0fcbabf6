"""A worker as a process of its own, whose visits take a moment and leave a mark in the transaction that ends them.

Those that are ``silent`` answer once so many others are done.

``python -m tests.fleet.queue_process DSN 'JSON'``
"""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.fleet_workers import worker_name
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue.queue_worker import FleetWorker, WorkerOptions
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import store


def main(dsn: str, given: dict[str, Any]) -> None:
    opened = store.open_store(dsn)
    name = worker_name()

    def make(fleet_run: int, members: tuple[Member, ...]) -> Visit | None:
        own = (fleet_run, members[0].name)
        with worker.looking(*own):
            while members[0].name in given.get("silent", ()) and marks() < given["answers_after"]:
                time.sleep(0.05)
            with worker.in_turn(*own):
                return visit(fleet_run, members[0])

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
    )
    members = {name: Member(name, ()) for name in given["members"]}
    worker = FleetWorker(
        opened, members, name, make, options, lambda line: print(line, file=sys.stderr, flush=True)
    )
    worker.run()
    opened.close()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
