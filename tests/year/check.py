"""What the history must hold, held against the script."""

from collections.abc import Mapping

import sqlalchemy as sa

from pgwatch_wed.history import series
from pgwatch_wed.history.series import Interval, KnownStatement, StatementInterval
from pgwatch_wed.sqltext.statement_link import linkable
from tests.year.drive import BEGINS, Year


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
