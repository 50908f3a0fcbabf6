"""db-analyze schedule: the guide's daily to quarterly tasks, written for a scheduler."""

import shutil
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from psycopg import conninfo as libpq

from pgwatch_wed.cli.options import FAIL_ON, FilePath
from pgwatch_wed.errors import UsageError
from pgwatch_wed.schedule import crontab, github, kubernetes, pg_cron, systemd
from pgwatch_wed.schedule.tasks import DAYS, Timetable
from pgwatch_wed.target import connect

_FORMS: dict[str, Callable[[Timetable], str]] = {
    "cron": crontab.crontab,
    "systemd": systemd.units,
    "pg_cron": pg_cron.script,
    "github": github.workflow,
    "k8s": kubernetes.cron_jobs,
}
# Here the target is a secret of the scheduler.
_FROM_SECRET = ("github", "k8s")
SECRETS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key")


@click.command()
@click.argument("target", required=False)
@click.option(
    "--print",
    "form",
    type=click.Choice(tuple(_FORMS)),
    required=True,
    help="For which scheduler.",
)
@click.option(
    "--at",
    "at",
    default="04:17",
    show_default=True,
    metavar="HH:MM",
    help="When the first task of a day begins; the others follow within 3 hours.",
)
@click.option(
    "--weekday", type=click.Choice(DAYS), default="sun", show_default=True, help="For weekly tasks."
)
@click.option("--time-zone", "zone", default="", metavar="ZONE", help="For example Europe/Berlin.")
@click.option(
    "--output",
    "-o",
    type=FilePath(file_okay=False, path_type=Path),
    default=Path("/var/lib/db-analyze"),
    show_default=True,
    help="The directory for reports and the history.",
)
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    default="critical",
    show_default=True,
    help="A task fails (status 1) if there is a finding of this severity or worse.",
)
@click.option(
    "--keep",
    "keep_days",
    type=click.IntRange(min=1),
    default=400,
    show_default=True,
    metavar="DAYS",
    help="Remove older reports.",
)
@click.option(
    "--with-analyze",
    "updates_statistics",
    is_flag=True,
    help="Also ANALYZE all tables weekly: the role must own them, or have MAINTAIN. pg_cron always does.",
)
@click.option(
    "--with-load",
    "tests_load",
    is_flag=True,
    help="Also a light load test daily and a heavy one weekly, on an embedded server; not for pg_cron.",
)
@click.option("--mail", default="", metavar="ADDRESS", help="To whom cron mails failures.")
@click.option("--user", default="db-analyze", show_default=True, help="The user of systemd units.")
@click.option(
    "--schema",
    default="public",
    show_default=True,
    metavar="NAME",
    help="Where db-analyze install put its objects, for pg_cron.",
)
@click.option("--image", default="", help="The image of Kubernetes jobs, with pgwatch-wed in it.")
@click.option("--program", default="", metavar="PATH", help="db-analyze, if not found here.")
def schedule(
    target: str | None, form: str, at: str, weekday: str, zone: str, output: Path, **given: Any
) -> None:
    """Print the daily to quarterly tasks for a scheduler; nothing is installed.

    TARGET is a service name or a connection string without a password; the default is the service
    pgwatch_wed. For github and k8s, the target is a secret.
    """
    begun = time_of_day(at)
    check_zone(zone)
    text, conninfo, database = _target(target, form)
    plan = Timetable(
        target=text,
        conninfo=conninfo,
        database=database,
        output=str(output),
        hour=begun.hour,
        minute=begun.minute,
        weekday=DAYS.index(weekday),
        zone=zone,
        **{**given, "program": given["program"] or program_path()},
    )
    click.echo(_FORMS[form](plan), nl=False)


def time_of_day(text: str) -> datetime:
    """Read HH:MM."""
    try:
        return datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - a time of day, whatever the zone
    except ValueError:
        raise UsageError(f"{text!r} is not a time", "use --at HH:MM, for example 04:17") from None


def check_zone(zone: str) -> None:
    """Refuse a time zone that is none."""
    try:
        known = not zone or zoneinfo.ZoneInfo(zone).key == zone
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = False
    if not known:
        raise UsageError(f"{zone!r} is not a time zone", "use a name such as Europe/Berlin or UTC")


def _target(target: str | None, form: str) -> tuple[str, str, str]:
    """Return the target as typed, as a conninfo, and its database; never with a secret."""
    if form in _FROM_SECRET:
        if target:
            raise UsageError(
                f"with --print {form} the target is the secret DATABASE_URL", "omit TARGET"
            )
        return "", "", ""
    text = target or ("" if form == "pg_cron" else "pgwatch_wed")
    conninfo = connect.resolve(text) if text else ""
    parts = libpq.conninfo_to_dict(conninfo)
    if secret := next((name for name in SECRETS if parts.get(name)), None):
        raise UsageError(
            f"a {secret} must not be written in a schedule",
            "put it into ~/.pgpass or pg_service.conf, and omit it here",
        )
    return text, conninfo, str(parts.get("dbname") or "")


def program_path() -> str:
    """Return where db-analyze is."""
    found = shutil.which("db-analyze")
    return str(Path(found).absolute()) if found else "/usr/local/bin/db-analyze"
