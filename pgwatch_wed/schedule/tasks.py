"""What is to run, and when; how it is written is up to the module of each scheduler."""

import re
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.errors import UsageError

_USER = re.compile(r"[A-Za-z_][\w.-]*\Z", re.ASCII)
QUARTERS = (1, 4, 7, 10)
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# The status that says that the lock was not free, as in sysexits.h: try again later.
LOCKED = 75
LOCK_WAIT_S = 3600

_NOT_SCHEDULED = (
    "security scans of the application, and restoring a backup, which only you can rehearse.",
)
_STATUS = (
    "Exit status: 0 nothing to do; 1 findings at or above --fail-on; 2 usage error; 3 could not connect or",
    f"read; {LOCKED} the previous task has not ended within an hour.",
)


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """When a task runs: every day, on one day of the week, or on the first of some months."""

    hour: int
    minute: int
    weekday: int | None = None  # 0 is Sunday, as in crontab
    months: tuple[int, ...] | None = None  # empty for all of them

    @property
    def cron(self) -> str:
        """The five fields of crontab; never both days, which crontab would combine with OR."""
        day = "*" if self.months is None else "1"
        month = ",".join(map(str, self.months or ())) or "*"
        weekday = "*" if self.weekday is None else str(self.weekday)
        return f"{self.minute} {self.hour} {day} {month} {weekday}"


@dataclass(frozen=True, slots=True)
class Job:
    """A line of the guide: a command of ours, or one of the system's if ``program`` is given."""

    name: str
    purpose: str
    at: TimeOfDay
    args: tuple[str, ...]
    reads_target: bool = True
    program: str = ""

    @property
    def is_own_run(self) -> bool:
        """Tell whether it needs nothing of earlier runs and files: a runner that is thrown away can do it."""
        return self.reads_target or self.program == "psql" or self.args[0] == "stress"


@dataclass(frozen=True, slots=True)
class Timetable:
    """What the user wants: for which target, where reports go, and when the first task begins.

    ``target`` is printed as it was typed; ``conninfo`` is the same for libpq's own programs.
    """

    target: str
    conninfo: str
    output: str = "/var/lib/db-analyze"
    program: str = "db-analyze"
    hour: int = 4
    minute: int = 17
    weekday: int = 0
    zone: str = ""
    fail_on: str = "critical"
    keep_days: int = 400
    mail: str = ""
    user: str = "db-analyze"
    image: str = ""
    database: str = ""
    schema: str = "public"
    updates_statistics: bool = False
    tests_load: bool = False

    def __post_init__(self) -> None:
        names = ("target", "output", "program", "mail", "user", "image", "database", "schema")
        check_words(self, names)


def check_words(plan: Any, names: tuple[str, ...]) -> None:
    """Raise :class:`UsageError` for what no scheduler can be given; a plan has ``user`` and ``output``."""
    for name in names:
        if not getattr(plan, name).isprintable():
            raise UsageError(f"{name}: a line break or control character cannot be scheduled")
    if not _USER.match(plan.user):
        raise UsageError(f"{plan.user!r} is not the name of a system user")
    if not plan.output.startswith("/"):
        raise UsageError(f"{plan.output} is not an absolute path", "schedulers have no directory")


def head_notes(plan: Timetable) -> tuple[str, ...]:
    """Return what an exit status means, and what is not scheduled."""
    of_load = ("Status 1 of a load test: an objective failed.",) if plan.tests_load else ()
    load = "" if plan.tests_load else "load tests (see --with-load), "
    left_out = (
        f"Not in here, because they do not concern the database's statistics: {load}log rotation,"
    )
    return (*_STATUS, *of_load, left_out, *_NOT_SCHEDULED)


def tasks(plan: Timetable) -> tuple[Job, ...]:
    """Return the tasks for a program on a machine, in the order in which they run."""
    found = (
        Job(
            "daily-health",
            "daily: locks, connections, vacuum and statistics, WAL and replication, integrity",
            _at(plan, 0),
            _run(plan, "daily", "lock,connection,vacuum,wal,integrity"),
        ),
        Job(
            "daily-cleanup",
            f"daily: remove reports older than {plan.keep_days} days",
            _at(plan, 25),
            (*(plan.output, "-type", "f"), *_ours(plan), "-mtime", f"+{plan.keep_days}", "-delete"),
            reads_target=False,
            program="find",
        ),
        Job(
            "weekly-review",
            "weekly: index usage, cache, queries",
            _at(plan, 30, weekday=plan.weekday),
            _run(plan, "weekly", "index,cache,query"),
        ),
        Job(
            "weekly-statistics",
            "weekly: update the statistics of all tables",
            _at(plan, 45, weekday=plan.weekday),
            (
                *("--no-psqlrc", "--no-password", "--quiet", "--dbname", plan.conninfo),
                *("--command", "ANALYZE (SKIP_LOCKED)"),
            ),
            reads_target=False,
            program="psql",
        ),
        Job(
            "monthly-report",
            "monthly: the whole analysis, with index advice",
            _at(plan, 60, months=()),
            _run(plan, "monthly", ""),
        ),
        Job(
            "monthly-baseline",
            "monthly: what later runs can be compared with (--baseline monthly)",
            _at(plan, 80, months=()),
            ("baseline", "set", "monthly", *_history(plan)),
            reads_target=False,
        ),
        Job(
            "quarterly-audit",
            "quarterly: configuration, schema, integrity, and what could not be judged",
            _at(plan, 120, months=QUARTERS),
            _run(plan, "quarterly", "config,schema,integrity,coverage"),
        ),
        Job(
            "quarterly-privileges",
            "quarterly: what the role of the analysis may read",
            _at(plan, 135, months=QUARTERS),
            ("check",),
        ),
        Job(
            "quarterly-record",
            "quarterly: what past recommendations, forecasts and regressions came to",
            _at(plan, 150, months=QUARTERS),
            ("record", *_history(plan)),
            reads_target=False,
        ),
        *(_load(plan) if plan.tests_load else ()),
    )
    return tuple(t for t in found if t.program != "psql" or plan.updates_statistics)


def _load(plan: Timetable) -> tuple[Job, ...]:
    """Return load tests on an embedded server; TARGET never gets load that nobody watches."""
    told = ("--fail-on", "slo", "--quiet", "--output", f"{plan.output}/load")
    return (
        Job(
            "daily-load",
            "daily: a light load test, on an embedded server",
            _at(plan, 160),
            ("stress", "--profile", "ci", *told),
            reads_target=False,
        ),
        Job(
            "weekly-load",
            "weekly: a heavy load test, on an embedded server",
            _at(plan, 175, weekday=plan.weekday),
            ("stress", "--profile", "heavy", *told),
            reads_target=False,
        ),
    )


def _ours(plan: Timetable) -> tuple[str, str]:
    return ("-name", "*report-[0-9]*" if plan.tests_load else "analysis-report-*")


def _at(
    plan: Timetable,
    minutes: int,
    weekday: int | None = None,
    months: tuple[int, ...] | None = None,
) -> TimeOfDay:
    """Return the time of the first task plus some minutes, on the same day."""
    begun = plan.hour * 60 + plan.minute
    hour, minute = divmod(min(begun + minutes, 24 * 60 - 1), 60)
    return TimeOfDay(hour, minute, weekday, months)


def _run(plan: Timetable, folder: str, only: str) -> tuple[str, ...]:
    chosen = ("--only", only, "--no-advise") if only else ()
    output = f"{plan.output}/{folder}"
    told = ("--quiet", "--fail-on", plan.fail_on, "--output", output)
    return ("run", *chosen, *told, *_history(plan))


def _history(plan: Timetable) -> tuple[str, str]:
    return ("--history", f"{plan.output}/history.sqlite3")
