"""Series recorded on a server (see :mod:`.record`), and how often intervals held on them."""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.bench.forecasts.holding import Score

FILE = Path(__file__).parent / "recorded.csv"

# Days of history, and days until the limit at the mean pace.
CASES = ((30, 20), (30, 40), (60, 30), (90, 40))
# Histories begin every eleven days, so they overlap: 100 of them are fewer than 100 independent ones.
_APART = 11
_KINDS = {
    "random": "rows of a day without rhythm",
    "bursty": "many rows on few days",
    "weekly": "quiet weekends",
    "purged": "two thirds moved away every 30 days, then VACUUM FULL",
    "loaded": "one bulk load, in the past",
    "reused": "updates, deletes, VACUUM now and then",
    "sequences": "positions of sequences",
    "database": "pg_database_size",
    "wal": "WAL position",
}


def columns() -> dict[str, list[float]]:
    """Return the recorded values by name."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def table() -> Iterator[str]:
    """Yield the lines of the table for recorded series."""
    yield "| recorded | what | " + " | ".join(f"{k} days, {d} ahead" for k, d in CASES) + " |"
    yield "|---|---|" + "---|" * len(CASES)
    series = columns()
    for kind, what in _KINDS.items():
        mine = [values for name, values in series.items() if kind_of(name) == kind]
        scores = [score(mine, *case, is_loaded=kind == "loaded") for case in CASES]
        cells = " | ".join(f"{s.share:.0%} of {s.judged} (±{s.width / 2:.0%})" for s in scores)
        yield f"| {kind} | {what} | {cells} |"


def kind_of(name: str) -> str:
    """Return the kind of a column."""
    return "sequences" if name.endswith("_id_seq") else name.partition("_")[0]


def score(series: list[list[float]], known: int, ahead: int, *, is_loaded: bool) -> Score:
    """Judge forecasts from many days of each series."""
    found = Score()
    for values in series:
        pace = _pace(values)
        load = max(range(1, len(values)), key=lambda i: values[i] - values[i - 1])
        for first in range(0, len(values) - known - 2 * ahead, _APART):
            part = values[first:]
            # nobody can foresee a load; here it is told from the pace only if it has happened
            if is_loaded and not first < load <= first + known:
                continue
            found.add(part, known + 1, part[known] + pace * ahead)
    return found


def _pace(values: list[float]) -> float:
    """Return the mean increment, without the largest if it is a load."""
    increments = sorted(b - a for a, b in pairwise(values))
    usual = increments[:-1] if increments[-1] > 10 * increments[-2] else increments
    return sum(usual) / len(usual)
