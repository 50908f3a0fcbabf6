"""Options of the commands that visit clusters themselves: `fleet run` and `fleet worker`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from pgwatch_wed.cli import fleet_options
from pgwatch_wed.config import Config
from pgwatch_wed.fleet.visiting import VisitOptions

F = TypeVar("F", bound=Callable[..., Any])

_VISITS = (
    click.option(
        "--cluster-budget",
        "cluster_budget_s",
        type=click.FloatRange(min=1),
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="Time limit for each cluster whose inventory names none.",
    ),
    fleet_options.connect_timeout,
    click.option(
        "--attempts",
        type=click.IntRange(min=1),
        default=3,
        show_default=True,
        metavar="N",
        help="How often a cluster is tried if what fails may pass; a refused password is never tried again.",
    ),
    click.option(
        "--advise/--no-advise",
        default=False,
        show_default=True,
        help="Also search for missing indexes, in a lab for each cluster.",
    ),
)


def with_visits(command: F) -> F:
    """Add the options that say how a cluster is visited; :func:`visit_options` reads them."""
    for option in reversed(_VISITS):
        command = option(command)
    return command


def visit_options(given: Mapping[str, Any], settings: Config) -> VisitOptions:
    """Return how clusters are to be visited."""
    return VisitOptions(
        settings=settings,
        budget_s=given["cluster_budget_s"],
        connect_s=given["connect_s"],
        attempts=given["attempts"],
        advise=given["advise"],
    )
