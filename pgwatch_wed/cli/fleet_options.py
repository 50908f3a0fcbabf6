"""Options that the commands of `fleet` share, and the inventory that they name."""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import click

from pgwatch_wed import units
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.fleet import fleet_settings, inventory, listed
from pgwatch_wed.fleet.members import Inventory, Member

F = TypeVar("F", bound=Callable[..., Any])

_INVENTORY = (
    click.option(
        "--inventory",
        "sources",
        multiple=True,
        metavar="SOURCE",
        help="Which clusters: a file, a program that prints JSON, `-`, or KIND:PLACE such as patroni:http://db1:8008 "
        "(repeatable). [default: inventory in [fleet] of the configuration, else pg_service.conf]",
    ),
    click.option(
        "--member",
        "names",
        multiple=True,
        metavar="GLOB",
        help="Only clusters of this name (repeatable).",
    ),
    click.option(
        "--group", "groups", multiple=True, metavar="GLOB", help="Only these groups (repeatable)."
    ),
    click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="KEY=GLOB",
        help="Only clusters with this tag (repeatable: all must fit).",
    ),
    click.option(
        "--inventory-timeout",
        "inventory_timeout_s",
        type=click.FloatRange(min=0.1),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="How long a source may take to answer.",
    ),
    click.option(
        "--config",
        "config_file",
        type=FilePath(dir_okay=False, readable=False, path_type=Path),
        help="The configuration file. [default: ./pgwatch_wed.toml, or pyproject.toml]",
    ),
)

connect_timeout = click.option(
    "--connect-timeout",
    "connect_s",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="How long a server may take to accept a connection.",
)
run_budget = click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Time limit for the whole run; what did not have its turn is over budget. [default: no limit]",
)
queue_history = click.option(
    "--history",
    "history_url",
    metavar="URL",
    help="The PostgreSQL server that has the history and the queue: postgresql://… [default: history of the configuration]",
)
_OF_INVENTORY = ("sources", "names", "groups", "tags", "inventory_timeout_s", "config_file")


def with_inventory(command: F) -> F:
    """Add the options that say which clusters; :func:`inventory_of` takes them as keywords."""
    for option in reversed(_INVENTORY):
        command = option(command)
    return command


def inventory_of(
    *,
    sources: tuple[str, ...],
    names: tuple[str, ...],
    groups: tuple[str, ...],
    tags: tuple[str, ...],
    inventory_timeout_s: float,
    config_file: Path | None,
    forgets: bool = False,
) -> Inventory:
    """Read the inventory; a command whose inventory ``is_wrong`` does the rest and exits with status 2."""
    wanted_tags = _tags(tags)
    chosen, folder = sources, Path()
    if not sources:
        chosen, folder = fleet_settings.sources(config_file)
    if not chosen:
        raise UsageError(
            "no inventory: neither --inventory, nor [fleet] in the configuration, nor pg_service.conf",
            "db-analyze fleet list --inventory FILE; docs/fleet.md has an example",
        )
    return inventory.read(
        chosen,
        folder=folder,
        timeout_s=inventory_timeout_s,
        selects=lambda member: _is_selected(member, names, groups, wanted_tags),
        forgets=forgets,
    )


def say_what_is_wrong(found: Inventory) -> None:
    """Print a line on standard error for each source that failed, and for each entry that cannot be used."""
    for line in _what_is_wrong(found):
        click.echo(f"db-analyze: {line}", err=True)


def _count_what_is_wrong(found: Inventory) -> None:
    """Say how much that is, without names."""
    many = sum(1 for _ in _what_is_wrong(found))
    if many:
        of = units.count(many, "part")
        click.echo(
            f"db-analyze: {of} of the inventory cannot be used: see db-analyze fleet list", err=True
        )


def _what_is_wrong(found: Inventory) -> Iterator[str]:
    failed = (listed.source_line(source) for source in found.sources if source.failure)
    wrong = (listed.left_out_line(entry) for entry in found.left_out if entry.is_wrong)
    yield from failed
    yield from wrong


def noted_sources(found: Inventory, given: Mapping[str, Any]) -> list[str]:
    """Say where the members of a run come from: the sources, and what was selected of them.

    Runs of which both are the same are of the same fleet, whatever its sources include or give by then.
    """
    selected = [
        f"--{option} {glob}"
        for option, globs in (("member", "names"), ("group", "groups"), ("tag", "tags"))
        for glob in sorted(given[globs])
    ]
    return [*found.asked, *selected]


def inventory_to_visit(given: Mapping[str, Any], *, hides_names: bool = False) -> Inventory:
    """Read the inventory that a command's options name, and say what is wrong with it, or only how much.

    Raises :class:`Error` if there is nobody to visit, :class:`UsageError` if that is the inventory's fault.
    """
    found = inventory_of(**{name: given[name] for name in _OF_INVENTORY})
    (_count_what_is_wrong if hides_names else say_what_is_wrong)(found)
    if not found.members:
        raise (UsageError if found.is_wrong else Error)(
            "the inventory has no cluster to visit", "db-analyze fleet list shows what it has"
        )
    return found


def _tags(given: tuple[str, ...]) -> dict[str, str]:
    for text in given:
        if not text.partition("=")[1]:
            raise UsageError(f"--tag {text}: write KEY=VALUE")
    return {key: value for key, _, value in (text.partition("=") for text in given)}


def _is_selected(
    member: Member, names: tuple[str, ...], groups: tuple[str, ...], tags: Mapping[str, str]
) -> bool:
    return (
        (not names or any(fnmatchcase(member.name, glob) for glob in names))
        and (not groups or any(fnmatchcase(member.group, glob) for glob in groups))
        and all(key in member.tags and fnmatchcase(member.tags[key], tags[key]) for key in tags)
    )
