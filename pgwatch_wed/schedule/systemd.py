"""The tasks as systemd services and timers, in a shell script that writes their files."""

import shlex
from collections.abc import Iterable

from pgwatch_wed.schedule.tasks import (
    DAYS,
    LOCK_WAIT_S,
    LOCKED,
    Job,
    TimeOfDay,
    Timetable,
    head_notes,
    tasks,
)

_SERVICE = """\
[Unit]
Description=db-analyze, {purpose}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
UMask=0077
ExecStart={command}
TimeoutStartSec=2h
Nice=10
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
"""
_TIMER = """\
[Unit]
Description=When db-analyze runs: {purpose}

[Timer]
OnCalendar={calendar}
Persistent=true

[Install]
WantedBy=timers.target
"""


def units(plan: Timetable) -> str:
    """Return a shell script that writes the units; nothing is enabled until you do so."""
    wanted = tasks(plan)
    timers = " ".join(f"db-analyze-{task.name}.timer" for task in wanted)
    head = [
        "#!/bin/sh",
        "# Written by db-analyze schedule --print systemd. It writes unit files; run it as root, then:",
        "#   systemctl daemon-reload",
        f"#   systemctl enable --now {timers}",
        f"# The user {plan.user} must exist; its password for the server belongs in its ~/.pgpass (mode 0600).",
        "# A task with exit status 1 or more is a failed unit: systemctl --failed lists it, OnFailure= can tell you.",
        *(f"# {line}" for line in head_notes(plan)),
        "set -eu",
        'units="${UNITS:-/etc/systemd/system}"',
        f'[ -n "${{UNITS:-}}" ] || install -d -o {plan.user} -m 0750 {shlex.quote(plan.output)}',
    ]
    return "\n".join((*head, *(_files(plan, task) for task in wanted)))


def _files(plan: Timetable, task: Job) -> str:
    purpose = _plain(task.purpose)
    service = _SERVICE.format(
        purpose=purpose,
        user=plan.user,
        command=_command(plan, task),
    )
    timer = _TIMER.format(purpose=purpose, calendar=on_calendar(task.at, plan.zone))
    return "".join(
        f"cat >\"$units/db-analyze-{task.name}.{kind}\" <<'END-OF-UNIT'\n{text}END-OF-UNIT\n"
        for kind, text in (("service", service), ("timer", timer))
    )


def _command(plan: Timetable, task: Job) -> str:
    words = [f"/usr/bin/{task.program}" if task.program else plan.program, *task.args]
    if task.reads_target and plan.target:
        words.append(plan.target)
    lock = ("/usr/bin/flock", "-w", str(LOCK_WAIT_S), "-E", str(LOCKED), f"{plan.output}/.lock")
    return unit_words((*lock, *words))


def unit_words(words: Iterable[str]) -> str:
    """Return the words of ExecStart."""
    return " ".join(map(_word, words))


def _word(text: str) -> str:
    r"""Quote a word of ExecStart, in which ``%``, ``$`` and ``\`` have meanings."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.replace("%", "%%").replace("$", "$$")


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def on_calendar(at: TimeOfDay, zone: str) -> str:
    """Return a time as OnCalendar has it."""
    day = "" if at.weekday is None else f"{DAYS[at.weekday].title()} "
    months = "*" if not at.months else ",".join(f"{month:02}" for month in at.months)
    date = f"*-{months}-{'*' if at.months is None else '01'}"
    return f"{day}{date} {at.hour:02}:{at.minute:02}:00 {zone}".strip()
