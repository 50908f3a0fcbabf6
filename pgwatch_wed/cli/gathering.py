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
        help="A standby of TARGET, whose index use counts too (repeatable).",
    ),
    click.option("--all-databases", is_flag=True, help="Read every database of the server."),
    click.option(
        "--budget",
        "budget_s",
        type=click.FloatRange(min=1),
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="The time for the whole run; what did not fit is said in the report.",
    ),
    click.option(
        "--exact-bloat",
        type=click.IntRange(min=1),
        is_flag=False,
        flag_value=20,
        metavar="[N]",
        help="Measure the N largest relations with pgstattuple, which reads them. [default: 20]",
    ),
    click.option(
        "--advise/--no-advise",
        default=True,
        show_default=True,
        help="Look for missing indexes in a lab without data (see `db-analyze indexes`).",
    ),
    click.option("--no-progress", is_flag=True, help="Show no progress."),
)


def gathering(command: F) -> F:
    """Add them."""
    for option in reversed(_GATHERING):
        command = option(command)
    return command
