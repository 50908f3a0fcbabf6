"""db-analyze fleet list: who belongs to the fleet, and what was left out."""

import json
import sys
from typing import Any

import click

from pgwatch_wed.cli import fleet_options
from pgwatch_wed.fleet import listed
from pgwatch_wed.fleet.members import Inventory
from pgwatch_wed.render.characters import in_json


@click.command("list")
@fleet_options.with_inventory
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)
@click.option(
    "--forget",
    "forgets",
    is_flag=True,
    help="Forget the last good lists of these sources: an empty one is right.",
)
def command(form: str, forgets: bool, **given: Any) -> int:
    """List the clusters of an inventory, what each source gave, and what was left out and why.

    No server is asked. The status is 2 if a source failed or an entry cannot be used.
    """
    found: Inventory = fleet_options.inventory_of(forgets=forgets, **given)
    if form == "json":
        click.echo(in_json(json.dumps(listed.document(found), ensure_ascii=False, indent=2)))
    else:
        click.echo(listed.text(found))
    if form == "json" or not sys.stdout.isatty():  # else a terminal would show each line twice
        fleet_options.say_what_is_wrong(found)
    return 2 if found.is_wrong else 0
