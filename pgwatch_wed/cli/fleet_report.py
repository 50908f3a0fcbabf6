"""db-analyze fleet report: one review of many clusters, from the history alone."""

from typing import Any

import click

from pgwatch_wed import config
from pgwatch_wed.cli.fleet_delivery import deliver, review_output, reviewing
from pgwatch_wed.history import store


@click.command()
@click.option(
    "--run", "fleet_run_id", type=int, metavar="N", help="A fleet run. [default: the last]"
)
@reviewing
@click.option(
    "--history", "url", metavar="URL", help="Where runs are kept. [default: the user's own]"
)
def command(fleet_run_id: int | None, url: str | None, **given: Any) -> int:
    """Review all clusters: what to do where, what changed, who was not read, what differs.

    No server is needed but that of the history: everything comes from the last fleet run and those before it.
    """
    output = review_output(given)
    with store.unchanged(url or config.load(None).history) as opened:
        return deliver(opened, output, fleet_run_id)
