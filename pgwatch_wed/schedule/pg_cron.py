"""What pg_cron can do, which is SQL: statistics, and a record of the summary of our functions."""

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.schedule.tasks import TimeOfDay, Timetable

_TABLE = "wedsync_performance_history"
_VIEW = "wedsync_performance_summary"


def script(plan: Timetable) -> str:
    """Return a script for psql, connected to the database that has the extension pg_cron."""
    jobs = _jobs(plan)
    return "\n".join(
        (
            "-- Written by db-analyze schedule --print pg_cron, for psql, in the database of the extension pg_cron",
            "-- (cron.database_name), as a role that may ANALYZE the tables. Jobs run as that role.",
            "-- pg_cron runs SQL only: db-analyze itself is scheduled with --print cron, systemd, github or k8s.",
            "-- Times are in GMT, or in cron.timezone (pg_cron 1.5 and later).",
            "-- VACUUM is left to autovacuum, which is throttled and knows which tables need it.",
            "-- If jobs fail to connect: see cron.host and cron.use_background_workers, and ~/.pgpass of the server's user.",
            "-- To undo: " + " ".join(f"SELECT cron.unschedule({literal(n)});" for n, _, _ in jobs),
            f"--          DROP TABLE {_table(plan)};",
            "\\set ON_ERROR_STOP on",
            *_in_database(plan),
            "DO $pgwatch_wed$ BEGIN",
            f"    IF to_regclass({literal(_view(plan))}) IS NULL THEN",
            f"        RAISE EXCEPTION 'the view {_VIEW} is missing; run db-analyze install first';",
            "    END IF;",
            "END $pgwatch_wed$;",
            f"CREATE TABLE IF NOT EXISTS {_table(plan)} AS",
            f"    SELECT now() AS taken_at, s.* FROM {_view(plan)} s WHERE false;",
            f"REVOKE ALL ON {_table(plan)} FROM PUBLIC;",
            f"GRANT SELECT ON {_table(plan)} TO pg_monitor;",
            *_back(plan),
            "BEGIN;",
            *(f"{_schedule(plan, *job)};" for job in jobs),
            "COMMIT;",
            "",
        )
    )


def _table(plan: Timetable) -> str:
    return ident(plan.schema, _TABLE)


def _view(plan: Timetable) -> str:
    return ident(plan.schema, _VIEW)


def _jobs(plan: Timetable) -> tuple[tuple[str, str, str], ...]:
    table = _table(plan)
    of = f" of {plan.database}" if plan.database else ""
    keep = f"interval '{plan.keep_days} days'"
    return (
        (
            f"pgwatch_wed daily summary{of}",
            _cron(plan, 0),
            f"INSERT INTO {table} SELECT now(), s.* FROM {_view(plan)} s",
        ),
        (
            f"pgwatch_wed daily cleanup{of}",
            _cron(plan, 15),
            f"DELETE FROM {table} WHERE taken_at < now() - {keep}",
        ),
        (
            "pgwatch_wed daily job log",
            _cron(plan, 20),
            # those of its own role: row-level security shows no others
            "DELETE FROM cron.job_run_details WHERE end_time < now() - interval '30 days'",
        ),
        (
            f"pgwatch_wed weekly statistics{of}",
            _cron(plan, 45, plan.weekday),
            "ANALYZE (SKIP_LOCKED)",
        ),
    )


def _cron(plan: Timetable, minutes: int, weekday: int | None = None) -> str:
    hour, minute = divmod(min(plan.hour * 60 + plan.minute + minutes, 24 * 60 - 1), 60)
    return TimeOfDay(hour, minute, weekday).cron


def _schedule(plan: Timetable, name: str, when: str, command: str) -> str:
    words = ", ".join(literal(text) for text in (name, when, command))
    if not plan.database or "cron.job_run_details" in command:
        return f"SELECT cron.schedule({words})"
    return f"SELECT cron.schedule_in_database({words}, {literal(plan.database)})"


def _in_database(plan: Timetable) -> tuple[str, ...]:
    """Go to the analyzed database, if it is another one; psql keeps host, port and user."""
    if not plan.database:
        return ()
    name = plan.database.replace('"', '""')
    return ("SELECT current_database() AS cron_database \\gset", f'\\connect "{name}"')


def _back(plan: Timetable) -> tuple[str, ...]:
    return ('\\connect :"cron_database"',) if plan.database else ()
