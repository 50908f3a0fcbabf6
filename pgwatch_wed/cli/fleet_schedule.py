"""db-analyze fleet schedule: a fleet run a day, written for a scheduler."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from psycopg import conninfo as libpq
from psycopg import errors as psycopg_errors

from pgwatch_wed import paths
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.schedule import SECRETS, check_zone, program_path, time_of_day
from pgwatch_wed.errors import UsageError, redact
from pgwatch_wed.schedule import fleet_crontab, fleet_github, fleet_kubernetes, fleet_systemd
from pgwatch_wed.schedule.fleet_plan import FleetPlan

_FORMS: dict[str, Callable[[FleetPlan], str]] = {
    "k8s": fleet_kubernetes.fleet_manifests,
    "systemd": fleet_systemd.fleet_units,
    "cron": fleet_crontab.fleet_crontab,
    "github": fleet_github.fleet_workflow,
}
# Here inventory and history are secrets of the scheduler.
_FROM_SECRET = ("github", "k8s")


@click.command("schedule")
@click.option(
    "--print", "form", type=click.Choice(tuple(_FORMS)), required=True, help="For which scheduler."
)
@click.option(
    "--at",
    default="02:17",
    show_default=True,
    metavar="HH:MM",
    help="When the run of a day begins.",
)
@click.option("--time-zone", "zone", default="", metavar="ZONE", help="For example Europe/Berlin.")
@click.option(
    "--machines",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="How many pods or jobs share the fleet: a shard each, or workers with --queue; for k8s and github.",
)
@click.option(
    "--queue",
    "has_queue",
    is_flag=True,
    help="Enqueue the run and start workers (extra fleet) instead of running it; not for github.",
)
@click.option(
    "--config",
    type=FilePath(dir_okay=False, readable=False),
    default="",
    metavar="FILE",
    help="The configuration file, with history and [fleet] inventory.",
)
@click.option("--inventory", "sources", multiple=True, metavar="SOURCE", help="Which clusters.")
@click.option("--history", default="", metavar="URL", help="Where runs are kept; never a password.")
@click.option(
    "--output",
    "-o",
    type=FilePath(file_okay=False),
    default="/var/lib/db-analyze",
    show_default=True,
    help="The directory for reports.",
)
@click.option("--user", default="db-analyze", show_default=True, help="The user of systemd units.")
@click.option("--image", default="", help="The image of Kubernetes pods, with pgwatch-wed in it.")
@click.option("--program", default="", metavar="PATH", help="db-analyze, if not found here.")
def command(form: str, at: str, zone: str, config: str, **given: Any) -> int:
    """Print a fleet run a day for a scheduler; nothing is installed.

    For k8s and github, the configuration file and the inventory are secrets. Airflow, Dagster and others call
    `db-analyze fleet run --shard I/N`.
    """
    begun = time_of_day(at)
    check_zone(zone)
    _check_places(form, config, given["sources"], given["history"])
    plan = FleetPlan(
        config=str(Path(config).absolute()) if config else "",
        hour=begun.hour,
        minute=begun.minute,
        zone=zone,
        **{
            **given,
            "sources": tuple(map(_from_anywhere, given["sources"])),
            "history": _from_anywhere(given["history"]),
            "program": given["program"] or program_path(),
        },
    )
    click.echo(_FORMS[form](plan), nl=False)
    return 0


def _from_anywhere(place: str) -> str:
    """Return a place so that a scheduler, which begins in another directory, finds the file that is meant here."""
    kind, colon, value = place.partition(":")
    for before, path in (("", place), (kind + colon, value)):
        if path and paths.exists(Path(path)):
            found = str(Path(path).absolute())
            return before + (shlex.quote(found) if before == "exec:" else found)
    return place


def _check_places(form: str, config: str, sources: tuple[str, ...], history: str) -> None:
    """Refuse what a scheduler must not or cannot be told."""
    if form in _FROM_SECRET and (config or sources or history):
        raise UsageError(
            f"with --print {form}, configuration and inventory are a secret",
            "omit --config, --inventory and --history",
        )
    for text in (history, *sources):
        if redact(text) != text or _has_secret(text):
            raise UsageError(
                "a password must not be written in a schedule",
                "put it into ~/.pgpass, or history and inventory into a configuration file (--config)",
            )


def _has_secret(text: str) -> bool:
    try:
        parts = libpq.conninfo_to_dict(text)
    except psycopg_errors.Error:
        return False
    return any(parts.get(name) for name in SECRETS)
