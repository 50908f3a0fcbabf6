"""Options of the commands that read a server."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_GATHERING = (
    click.option(
        "--standby",
        "standbys",
        multiple=True,
        metavar="TARGET",
        help="A standby of TARGET; index scans on it are counted, too (repeatable).",
    ),
    click.option("--all-databases", is_flag=True, help="Read all databases of the server."),
    click.option(
        "--budget",
        "budget_s",
        type=click.FloatRange(min=1),
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="Time limit for the whole run; the report lists what was left out.",
    ),
    click.option(
        "--exact-bloat",
        type=click.IntRange(min=1),
        is_flag=False,
        flag_value=20,
        metavar="[N]",
        help="Measure the N largest relations with pgstattuple, which reads all of them. [default: 20]",
    ),
    click.option(
        "--advise/--no-advise",
        default=True,
        show_default=True,
        help="Search for missing indexes in a lab without data (see `db-analyze indexes`).",
    ),
    click.option("--no-progress", is_flag=True, help="Do not show progress."),
)


def gathering(command: F) -> F:
    """Add the options."""
    for option in reversed(_GATHERING):
        command = option(command)
    return command
