"""Drives a server through the script, and stores a run after each day."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.gather.enrichment import enrich
from pgwatch_wed.gather.wanted import Budget, Wanted
from pgwatch_wed.history import recall, runs
from pgwatch_wed.history.store import Store, open_store
from pgwatch_wed.render import json_v1
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.year.place import Place
from tests.year.script import ADVISED, EVENTS, LAST_DAY, SCHEMA, Ledger
from tests.year.stretch import Calendar, day, stretched

BEGINS = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # a Monday


@dataclass(slots=True)
class Year:
    """A year that has been played: the truth, the history, and the report of each day."""

    place: Place
    store: Store
    url: str
    ledger: Ledger = field(default_factory=Ledger)
    reports: dict[int, Report] = field(default_factory=dict)
    run_ids: dict[int, int] = field(default_factory=dict)
    calendar: Calendar = field(init=False)
    last: int = 0
    has_two_majors: bool = False

    def begin(self) -> None:
        """Create the database, and store the first run."""
        psql(self.place.dsn, SCHEMA)
        self.ledger.work(self.place, 0)
        snapshot = collect(self.place.dsn)
        self.calendar = Calendar(BEGINS, snapshot.now)
        self.keep(0, snapshot)

    def live(self, number: int) -> None:
        """Let a day pass."""
        if number in EVENTS:
            EVENTS[number][1](self.place)
        self.last = number
        self.ledger.work(self.place, number)
        snapshot = collect(self.place.dsn)
        self.calendar.add(snapshot.now, day(BEGINS, number))
        self.keep(number, snapshot)

    def keep(self, number: int, snapshot: Snapshot) -> None:
        """Store a run as the command line does, and what it concludes."""
        seen = stretched(snapshot, self.calendar)
        found = (advised(self.place, seen) if number == ADVISED else seen,)
        with self.store.writing() as connection:
            run, is_new = runs.add(connection, runs.NewRun(found))
        assert is_new
        self.run_ids[number] = run.id
        with self.store.reading() as connection:
            known = recall.recalled(connection, found)
        report = analyse(known, Config())
        with self.store.writing() as connection:
            runs.conclude(connection, run, report, json_v1.render(report, known), known)
        self.reports[number] = report


def advised(place: Place, snapshot: Snapshot) -> Snapshot:
    """Ask the index advisor, which reckons with the stretched time, too."""
    return enrich(place.dsn, snapshot, Wanted(), Budget(120), lambda *_: None)


def played(place: Place, folder: Path, last: int = LAST_DAY) -> Year:
    """Play the year up to a day."""
    url = str(folder / "history.sqlite3")
    year = Year(place, open_store(url), url, has_two_majors=place.has_two_majors)
    year.begin()
    for number in range(1, last + 1):
        year.live(number)
    return year
