"""db-analyze fleet import: what clusters that may not be reached have written themselves."""

import json
from pathlib import Path
from typing import Any

import click

from pgwatch_wed import config, units
from pgwatch_wed.cli import fleet_options
from pgwatch_wed.cli.history import settings_evaluate
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.errors import UsageError
from pgwatch_wed.fleet import bundles
from pgwatch_wed.fleet.members import Inventory
from pgwatch_wed.history import archive, store
from pgwatch_wed.render.characters import in_json, visible_line


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="DIR…", type=FilePath(path_type=Path))
@fleet_options.with_inventory
@click.option(
    "--history", "url", metavar="URL", help="Where runs are kept. [default: the user's own]"
)
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)
def command(paths: tuple[Path, ...], url: str | None, form: str, **given: Any) -> int:
    """Take snapshot files of clusters that may not be reached (`collect -o`): in any order, twice without effect.

    Whose they are is told by earlier visits, else by the name of a folder or the beginning of the file's name, which
    is that of a cluster in the inventory, else by the address. They count in the newest fleet run that has not
    read the cluster itself.
    """
    found = _inventory(given)
    settings = config.load(given["config_file"])
    opened = store.open_store(url or settings.history)
    done = archive.Imported()
    attached: list[str] = []
    unknown: list[str] = []
    awaited: set[str] = set()
    for path, read in archive.located_groups(paths, done):
        run = archive.add(opened, read, settings_evaluate(settings), done)
        if run is None:
            continue
        with opened.writing() as connection:
            member = bundles.member_of(connection, run, read[0], path, found.members)
            if member is None:
                unknown.append(f"{path}: no cluster of the inventory; it is kept as {run.label}")
            elif bundles.attach(connection, member, run, read):
                attached.append(member.name)
            elif bundles.is_awaited(connection, member):
                awaited.add(member.name)
    archive.finish(opened, done)
    fleet_options.say_what_is_wrong(found)
    waits = [
        f"{name}: its visit has yet to end; if that does not read it, import the file again"
        for name in sorted(awaited)
    ]
    for line in (*done.refused, *unknown, *waits):
        click.echo(f"warning: {visible_line(line)}", err=True)
    document = {
        "added": done.added,
        "known": done.known,
        "refused": list(done.refused),
        "clusters": sorted(set(attached)),
        "unknown": unknown,
        "awaited": sorted(awaited),
    }
    text = (
        f"Added {units.count(done.added, 'run')}; {done.known} known, {len(done.refused)} refused."
        f" {units.count(len(set(attached)), 'cluster')} of the fleet brought up to date."
    )
    click.echo(
        in_json(json.dumps(document, ensure_ascii=False, indent=2)) if form == "json" else text
    )
    if done.refused:
        return 3
    return 2 if found.is_wrong else 0


def _inventory(given: dict[str, Any]) -> Inventory:
    """Return the members; without any inventory, earlier visits tell whose files they are."""
    try:
        return fleet_options.inventory_of(**given)
    except UsageError:
        if given["sources"]:
            raise
        return Inventory(())
