"""db-analyze fleet enqueue: a fleet run whose visits are made by workers."""

from typing import Any

import click

from pgwatch_wed import config, units
from pgwatch_wed.cli import fleet_options
from pgwatch_wed.fleet.queue.queue_extra import require_queue
from pgwatch_wed.history import store


@click.command("enqueue")
@fleet_options.with_inventory
@fleet_options.queue_history
@fleet_options.run_budget
@click.option(
    "--per-host",
    type=click.IntRange(min=1),
    metavar="N",
    help="Clusters of one host that are visited at the same time, by all workers together. [default: no limit]",
)
@click.option(
    "--per-group",
    type=click.IntRange(min=1),
    metavar="N",
    help="Clusters of one group that are visited at the same time, by all workers together. [default: no limit]",
)
@fleet_options.connect_timeout
def command(
    history_url: str | None,
    budget_s: float | None,
    per_host: int | None,
    per_group: int | None,
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
    found = fleet_options.inventory_to_visit(given)
    opened = store.open_store(url)
    queue_tables.prepare_queue(opened)
    options = enqueueing.EnqueueOptions(connect_s, per_host, per_group, budget_s)
    try:
        run = enqueueing.enqueue(
            opened, found.members, fleet_options.noted_sources(found, given), options
        )
    except enqueueing.UnfinishedRunError as error:
        click.echo(error.message)
        return 2 if found.is_wrong else 0
    wait = "waits" if run.members == 1 else "wait"
    click.echo(f"Fleet run {run.id}: {units.count(run.members, 'cluster')} {wait} for workers.")
    return 2 if found.is_wrong else 0
