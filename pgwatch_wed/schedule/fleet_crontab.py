"""A fleet's run as lines of a crontab."""

import shlex

from pgwatch_wed.schedule.crontab import cron_line
from pgwatch_wed.schedule.fleet_plan import FleetPlan
from pgwatch_wed.schedule.tasks import LOCK_WAIT_S, LOCKED

_ONE = ("-w", str(LOCK_WAIT_S), "-E", str(LOCKED))


def fleet_crontab(plan: FleetPlan) -> str:
    """Return a crontab; cron mails what is printed, so nothing is printed if all is well."""
    plan.one_machine("cron")
    head = [
        "# Written by db-analyze fleet schedule --print cron, for one user's crontab: add it with crontab -e.",
        "# Passwords belong in ~/.pgpass (mode 0600) of that user, or where the inventory says, never in here.",
        f"# Its user must be able to write to {plan.output}.",
        *plan.says_which_clusters(),
        "",
        "SHELL=/bin/sh",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "# MAILTO=dba@example.com",
        *([f"CRON_TZ={plan.zone}"] if plan.zone else []),
        "",
    ]
    return "\n".join((*head, *_lines(plan), ""))


def _lines(plan: FleetPlan) -> list[str]:
    if not plan.has_queue:
        words = plan.run("--quiet", "--output", plan.output)
        return [
            "# The whole fleet, and its review",
            _line(plan, plan.at.cron, _ONE, ".lock", words),
        ]
    return [
        "# On one machine: the clusters wait for workers",
        _line(plan, plan.at.cron, _ONE, ".lock", plan.enqueue(), is_silent=True),
        "",
        "# On each machine: a worker, if none is running and a cluster waits",
        _line(
            plan,
            "*/5 * * * *",
            ("-n", "-E", "0"),
            ".worker",
            plan.worker("--quiet", "--until-done"),
        ),
    ]


def _line(
    plan: FleetPlan,
    cron: str,
    lock: tuple[str, ...],
    file: str,
    words: tuple[str, ...],
    *,
    is_silent: bool = False,
) -> str:
    command = shlex.join(["flock", *lock, f"{plan.output}/{file}", plan.program, *words])
    silent = " >/dev/null" if is_silent else ""
    reports = f" see {plan.output};" if plan.output in words else ""
    said = shlex.quote(f"db-analyze {' '.join(words[:2])}:{reports} exit status")
    folder = shlex.quote(plan.output)
    return cron_line(cron, f'umask 077; mkdir -p {folder} && {command}{silent} || echo {said} "$?"')
