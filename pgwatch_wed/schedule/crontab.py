"""The tasks as lines of a crontab."""

import shlex

from pgwatch_wed.errors import UsageError
from pgwatch_wed.schedule.tasks import (
    LOCK_WAIT_S,
    LOCKED,
    Job,
    Timetable,
    head_notes,
    tasks,
)

# Vixie cron and its successors read no longer commands.
_MOST_CHARS = 998


def crontab(plan: Timetable) -> str:
    """Return a crontab; cron mails what is printed, so nothing is printed if all is well."""
    head = [
        "# Written by db-analyze schedule --print cron, for one user's crontab: add it with crontab -e.",
        "# (A file in /etc/cron.d/ needs the name of a user after the fifth field.)",
        "# The password belongs in ~/.pgpass (mode 0600) of that user, never in here.",
        f"# Its user must be able to write to {plan.output}.",
        *_times(plan),
        *(f"# {line}" for line in head_notes(plan)),
        "",
        "SHELL=/bin/sh",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        f"MAILTO={plan.mail}" if plan.mail else "# MAILTO=dba@example.com",
    ]
    if plan.zone:
        head.append(f"CRON_TZ={plan.zone}")
    lines = [line for task in tasks(plan) for line in ("", f"# {task.purpose}", _line(plan, task))]
    return "\n".join((*head, *lines, ""))


def _times(plan: Timetable) -> list[str]:
    if plan.zone:
        return ["# cronie (Red Hat and others) uses CRON_TZ; Debian's cron uses the system's zone."]
    return ["# Times are in the time zone of the system."]


def _line(plan: Timetable, task: Job) -> str:
    words = [task.program or plan.program, *task.args]
    if task.reads_target and plan.target:
        words.append(plan.target)
    locked = ["flock", "-w", str(LOCK_WAIT_S), "-E", str(LOCKED), f"{plan.output}/.lock", *words]
    folder = shlex.quote(plan.output)
    said = shlex.quote(f"db-analyze {task.name}: see {plan.output}; exit status")
    command = f'umask 077; mkdir -p {folder} && {shlex.join(locked)} || echo {said} "$?"'
    return cron_line(task.at.cron, command)


def cron_line(cron: str, command: str) -> str:
    """Return a line of a crontab; raises :class:`UsageError` for what cannot be written in one."""
    if "\\" in command:
        # whether cron removes one before another character differs between its versions
        raise UsageError(
            "a backslash cannot be written in a crontab", "use a service of pg_service.conf"
        )
    # cron ends a command at %, and passes what follows as its input
    text = f"{cron} {command.replace('%', chr(92) + '%')}"
    if len(text) > _MOST_CHARS:
        raise UsageError(
            "the command is too long for a crontab", "use a service of pg_service.conf"
        )
    return text
