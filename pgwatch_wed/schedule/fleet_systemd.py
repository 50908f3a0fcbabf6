"""A fleet's run as systemd services and a timer, in a shell script that writes their files."""

import shlex

from pgwatch_wed.schedule.fleet_plan import FleetPlan
from pgwatch_wed.schedule.systemd import on_calendar, unit_words

_SERVICE = """\
[Unit]
Description=db-analyze, {purpose}
Wants=network-online.target
After=network-online.target

[Service]
{kind}
User={user}
UMask=0077
ExecStart={command}
Nice=10
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
{install}"""
_TIMER = """\
[Unit]
Description=When db-analyze runs: {purpose}

[Timer]
OnCalendar={calendar}
Persistent=true

[Install]
WantedBy=timers.target
"""
_ONCE = "Type=oneshot\nTimeoutStartSec=12h"
# A worker finishes its visits when it is told to stop.
_ALWAYS = "Type=exec\nRestart=always\nRestartSec=10\nTimeoutStopSec=10min"
_WANTED = "\n[Install]\nWantedBy=multi-user.target\n"


def fleet_units(plan: FleetPlan) -> str:
    """Return a shell script that writes the units; nothing is enabled until you do so."""
    plan.one_machine("systemd")
    name, purpose, words = "fleet", "the whole fleet, and its review", plan.run()
    words = (*words, "--quiet", "--output", plan.output)
    enabled = ["db-analyze-fleet.timer"]
    if plan.has_queue:
        name, purpose, words = "fleet-enqueue", "the fleet waits for workers", plan.enqueue()
        enabled = ["db-analyze-fleet-enqueue.timer", "db-analyze-fleet-worker.service"]
    files = [
        _file(f"{name}.service", _service(plan, purpose, words, _ONCE, "")),
        _file(
            f"{name}.timer",
            _TIMER.format(purpose=purpose, calendar=on_calendar(plan.at, plan.zone)),
        ),
    ]
    if plan.has_queue:
        text = _service(plan, "a worker of the fleet", plan.worker("--quiet"), _ALWAYS, _WANTED)
        files.append(_file("fleet-worker.service", text))
    head = [
        "#!/bin/sh",
        "# Written by db-analyze fleet schedule --print systemd. It writes unit files; run it as root, then:",
        "#   systemctl daemon-reload",
        f"#   systemctl enable --now {' '.join(enabled)}",
        *(
            ["# With a queue, the timer is for one machine, and the worker for each."]
            if plan.has_queue
            else []
        ),
        f"# The user {plan.user} must exist; passwords belong in its ~/.pgpass (mode 0600), or where the inventory says.",
        *plan.says_which_clusters(),
        "set -eu",
        'units="${UNITS:-/etc/systemd/system}"',
        f'[ -n "${{UNITS:-}}" ] || install -d -o {plan.user} -m 0750 {shlex.quote(plan.output)}',
    ]
    return "\n".join((*head, *files))


def _service(plan: FleetPlan, purpose: str, words: tuple[str, ...], kind: str, install: str) -> str:
    command = unit_words((plan.program, *words))
    return _SERVICE.format(
        purpose=purpose, kind=kind, user=plan.user, command=command, install=install
    )


def _file(name: str, text: str) -> str:
    return f"cat >\"$units/db-analyze-{name}\" <<'END-OF-UNIT'\n{text}END-OF-UNIT\n"
