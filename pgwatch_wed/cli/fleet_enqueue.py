"""db-analyze fleet enqueue: a fleet run whose visits are made by workers."""

from typing import Any

import click

from pgwatch_wed import config, units
from pgwatch_wed.cli import fleet_options
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.fleet.queue.queue_extra import require_queue
from pgwatch_wed.history import store


@click.command("enqueue")
@fleet_options.with_inventory
@click.option(
    "--history",
    "history_url",
    metavar="URL",
    help="The PostgreSQL server that has the history and the queue: postgresql://… [default: history of the configuration]",
)
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Time limit for the whole run; what did not have its turn is over budget. [default: no limit]",
)
@click.option(
    "--per-host",
    type=click.IntRange(min=1),
    metavar="N",
    help="Clusters of one host that are visited at the same time, by all workers together. [default: no limit]",
)
@click.option(
    "--connect-timeout",
    "connect_s",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="How long a server may take to accept a connection.",
)
def command(
    history_url: str | None,
    budget_s: float | None,
    per_host: int | None,
    connect_s: int,
    **given: Any,
) -> int:
    """Begin a fleet run, and let its clusters wait for workers; needs the extra fleet.

    Nothing is begun as long as the queue's last run has not ended. The status is 2 if a part of the inventory could not
    be used.
    """
    require_queue()
    from pgwatch_wed.fleet.queue import enqueueing, queue_tables

    url = history_url or config.load(given["config_file"]).history
    queue_tables.queue_conninfo(url)
    found = fleet_options.inventory_of(**given)
    fleet_options.say_what_is_wrong(found)
    if not found.members:
        raise (UsageError if found.is_wrong else Error)(
            "the inventory has no cluster to visit", "db-analyze fleet list shows what it has"
        )
    opened = store.open_store(url)
    queue_tables.prepare_queue(opened)
    options = enqueueing.EnqueueOptions(connect_s, per_host, budget_s)
    try:
        run = enqueueing.enqueue(opened, found.members, [s.label for s in found.sources], options)
    except enqueueing.UnfinishedRunError as error:
        click.echo(error.message)
        return 2 if found.is_wrong else 0
    click.echo(f"Fleet run {run.id}: {units.count(run.members, 'cluster')} wait for workers.")
    return 2 if found.is_wrong else 0
