"""db-analyze fleet worker: visit what waits in the queue, on as many machines as wanted."""

import sys
from threading import Event
from typing import Any

import click

from pgwatch_wed import config
from pgwatch_wed.cli import fleet_options
from pgwatch_wed.cli.visit_choices import visit_options, with_visits
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue.queue_extra import require_queue
from pgwatch_wed.fleet.visits import Visit
from pgwatch_wed.history import store
from pgwatch_wed.render.characters import visible_line


@click.command("worker")
@fleet_options.with_inventory
@fleet_options.queue_history
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    metavar="N",
    help="Clusters that this worker visits at the same time.",
)
@with_visits
@click.option(
    "--lost-after",
    "lost_after_s",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="A worker that is silent for so long is taken for dead: its clusters are visited by others.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="How long a run waits for a worker whose inventory has a cluster, before that is skipped.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the queue's server if it cannot be reached at the start.",
)
@click.option(
    "--until-done",
    is_flag=True,
    help="End when no cluster is left, instead of waiting for the next run.",
)
@click.option("--quiet", "-q", is_flag=True, help="Do not tell of each visit.")
def command(history_url: str | None, quiet: bool, **given: Any) -> int:
    """Visit the clusters that wait in the queue, until a signal comes; needs the extra fleet.

    A worker reads its own inventory: the queue has names only, and no password. SIGTERM ends it when the visits that it
    makes have ended; one that is killed is replaced by the others. The status is 2 if a part of the inventory could not
    be used.
    """
    require_queue()
    from pgwatch_wed.fleet import fleet_workers, leftovers, visiting
    from pgwatch_wed.fleet.queue import (
        queue_jobs,
        queue_tables,
        queue_waiting,
        queue_worker,
        refused_elsewhere,
    )

    settings = config.load(given["config_file"])
    url = history_url or settings.history
    queue_tables.queue_conninfo(url)
    found = fleet_options.inventory_to_visit(given)

    def open_queue() -> store.Store:
        made = store.open_store(url)
        queue_tables.prepare_queue(made)
        return made

    try:
        opened = queue_waiting.waited_for(open_queue, _teller(is_quiet=False), given["wait_s"])
    except queue_waiting.ToldToStopError:
        return 0
    name = fleet_workers.worker_name()
    visits = visit_options(given, settings)

    stopping = Event()
    known = {member.name: member for member in found.members}
    guards = refused_elsewhere.RunGuards(opened, known, name)

    def make(fleet_run_id: int, members: tuple[Member, ...]) -> Visit | None:
        guard = guards.of_run(fleet_run_id)
        own = (fleet_run_id, members[0].name)
        visitor = visiting.Visitor(
            opened,
            fleet_run_id,
            name,
            visits,
            stopping=stopping,
            passwords=guard,
            others_go_on=lambda connection, member: queue_jobs.others_go_on(
                connection, fleet_run_id, member
            ),
            in_turn=lambda: worker.in_turn(*own),
        )
        with worker.looking(*own):
            return visiting.visit_members(visitor, members)

    options = queue_worker.WorkerOptions(
        concurrency=given["concurrency"],
        lost_after_s=given["lost_after_s"],
        patience_s=given["patience_s"],
        until_done=given["until_done"],
        pause_of=lambda attempts: visiting.pause_s(max(attempts, 1)),
    )
    worker = queue_worker.FleetWorker(
        opened, known, name, make, options, _teller(quiet), is_told_to_stop=stopping
    )
    leftovers.begin()
    worker.run()
    return 2 if found.is_wrong else 0


def _teller(is_quiet: bool) -> Any:
    def tell(line: str) -> None:
        if not is_quiet:
            click.echo(visible_line(line), err=True)
            sys.stderr.flush()

    return tell
