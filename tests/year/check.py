"""What the history must hold, held against the script."""

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import sqlalchemy as sa
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.findings import ForecastLine
from pgwatch_wed.history import series
from pgwatch_wed.history.series import Interval, KnownStatement
from pgwatch_wed.history.work_rows import StatementInterval
from pgwatch_wed.sqltext.statement_link import linkable
from tests.year.drive import BEGINS, Year
from tests.year.script import ROWS_A_DAY, ROWS_AT_FIRST, day_of


def database_of(connection: sa.Connection, year: Year) -> int:
    """Return the number of the year's database in its history."""
    query = sa.text("select min(database_id) from snapshots where run_id = :run")
    found = connection.execute(query, {"run": year.run_ids[0]}).scalar_one()
    return int(found)


def intervals(year: Year) -> Mapping[int, Interval]:
    """Return the intervals by the day on which they end."""
    with year.store.reading() as connection:
        rows = series.intervals_of(connection, database_of(connection, year))
    return {(row.ended_at - BEGINS).days: row for row in rows}


def of_statement(year: Year, text: str) -> Mapping[int, StatementInterval]:
    """Return the series of a statement by the day on which its intervals end."""
    with year.store.reading() as connection:
        mine = database_of(connection, year)
        (known,) = [s for s in series.known_statements(connection, mine) if is_of(s, text)]
        rows = series.of_statement(connection, known.id)
    return {(row.ended_at - BEGINS).days: row for row in rows}


def is_of(known: KnownStatement, text: str) -> bool:
    """Tell whether a statement is one of the script's."""
    return known.text is not None and linkable(known.text) == linkable(text.format(1))


def wrong_calls(year: Year, text: str) -> dict[int, tuple[int | None, int]]:
    """Return the days on which the history has other calls than were made: (history, truth)."""
    found = of_statement(year, text)
    truth = {n: calls[text] for n, calls in year.ledger.calls.items() if n > 0}
    told = {n: found[n].calls if n in found else None for n in truth}
    return {n: (told[n], truth[n]) for n in truth if told[n] != truth[n]}


TOLD: Mapping[str, tuple[str, str]] = {
    "clean restart": ("restart", "the server was restarted"),
    "crash of one backend": ("restart", "ended all sessions since one of them had crashed"),
    "immediate stop": ("restart", "after a crash or an immediate stop"),
    "deploy": ("index", "public.orders_customer dropped"),
    "useless index": ("index", "public.orders_note created"),
    "good index": ("index", "public.orders_by_customer created"),
    "upgrade": ("version", "PostgreSQL changed: 15"),
}
"""What the timeline of a table must tell of an event: its kind, and a part of the text."""


def wrong_timeline(year: Year) -> list[str]:
    """Return what the timeline of a table tells that did not happen, and what it does not tell."""
    found = CliRunner().invoke(
        cli, ["why", "orders", "--history", year.url, "--format", "json"], catch_exceptions=False
    )
    events = json.loads(found.stdout)["events"]
    kinds = {kind for kind, _ in TOLD.values()}
    told = {(_day(e["at"]), e["kind"]): str(e["text"]) for e in events if e["kind"] in kinds}
    true = {
        (day_of(name), kind): text
        for name, (kind, text) in TOLD.items()
        if day_of(name) <= year.last and (name != "upgrade" or year.has_two_majors)
    }
    if year.has_two_majors and year.last >= day_of("upgrade"):
        # a new server was started
        told.pop((day_of("upgrade"), "restart"), None)
    return [
        f"day {key[0]}: {told.get(key, 'nothing')}, but true is: {true.get(key, 'nothing')}"
        for key in sorted(told.keys() | true.keys())
        if true.get(key, "nothing") not in told.get(key, "")
    ]


CHANGED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "DDL": (("re-created", "public.events"), ("created", "public.log_1")),
    "deploy": (("dropped", "public.orders_customer"),),
    "useless index": (("created", "public.orders_note"),),
    "good index": (("created", "public.orders_by_customer"),),
    "harmful index": (("created", "public.accounts_balance"),),
}
"""What the difference of two runs must tell of the schema."""


def wrong_difference(year: Year, first: int, last: int) -> list[str]:
    """Return what the difference of the runs of two days tells that did not happen, and what it does not tell."""
    days = (str(year.run_ids[n]) for n in (first, last))
    found = CliRunner().invoke(
        cli, ["diff", *days, "--history", year.url, "--format", "json"], catch_exceptions=False
    )
    (database,) = json.loads(found.stdout)["databases"]
    told = {(c["what"], _named(c["object"])) for c in database["schema"]}
    true = {c for event, all_ in CHANGED.items() if first < day_of(event) <= last for c in all_}
    return [f"{change} is told or true alone" for change in told ^ true]


def _named(label: str) -> str:
    return label.rpartition(" ")[2]


LEAST_DAYS = 30
# A crash may skip so many positions of a sequence.
_SKIPPED = 3 * 33


def wrong_forecasts(year: Year) -> list[str]:
    """Return forecasts that are told too early, or that do not agree with the rows that the script inserts."""
    wrong = []
    for day, report in year.reports.items():
        for line in report.forecasts:
            is_told = line.pace is not None
            if is_told != (day + 1 >= LEAST_DAYS) and line.kind in ("sequence", "wal"):
                wrong.append(f"day {day}: {line.label}: {line.pace} {line.reason}")
            if line.kind == "sequence" and not _is_true(year, day, line):
                wrong.append(f"day {day}: {line.label}: {line.value}, pace {line.pace}")
    return wrong


def _is_true(year: Year, day: int, line: ForecastLine) -> bool:
    """Tell whether a forecast of the sequence begins at the true position, and goes on at the true pace."""
    rows = [round(ROWS_A_DAY * year.ledger.busy(n)) for n in range(day + 1)]
    is_there = 0 <= line.value - ROWS_AT_FIRST - sum(rows) <= _SKIPPED
    if line.pace is None:
        return is_there
    mean = sum(rows) / len(rows)
    return is_there and line.pace[0] <= 1.1 * mean and line.pace[2] >= 0.9 * mean


def outcomes(year: Year, rule: str) -> list[tuple[str, str | None]]:
    """Return whether advice of a rule was applied, and what it did."""
    query = sa.text("select state, outcome from advice where rule = :rule")
    with year.store.reading() as connection:
        rows = connection.execute(query, {"rule": rule}).all()
    return [(str(row.state), row.outcome) for row in rows]


def _day(at: str) -> int:
    """Return the day whose run was the first to see what happened at a time."""
    return math.ceil((datetime.fromisoformat(at) - BEGINS) / timedelta(days=1))
