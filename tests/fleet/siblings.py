"""A fleet of siblings in a history: one real snapshot, of which each cluster has its own variation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.rows import HistoryCoverage
from pgwatch_wed.findings import Finding
from pgwatch_wed.fleet import traits, visit_log
from pgwatch_wed.fleet.experiment.evidence import conclusions
from pgwatch_wed.fleet.experiment.experiments import Experiments
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import recall, runs, states, store
from pgwatch_wed.render import json_v1
from pgwatch_wed.rules import all_rules
from tests.shift_rows import statement_shift

SCHEMA = """
create extension if not exists pg_stat_statements;
select pg_stat_statements_reset();
create table orders (id int primary key, customer int, note text);
insert into orders select g, g % 50, 'n' from generate_series(1, 500) g;
create index orders_customer on orders (customer);
analyze orders;
select count(*) from orders where customer = 7;
select note from orders where id = 7;
"""
SLOW = "select count(*) from orders where customer = $1"
OTHER = "select note from orders where id = $1"

# No others, so that a fleet is judged quickly.
_RULES = [r for r in all_rules() if r.id == "query-regression"]

Change = Callable[[int, Snapshot], Snapshot]


def query_id(snapshot: Snapshot, text: str) -> int:
    """Find a statement."""
    return next(s.query_id for s in snapshot.statements if s.text == text)


def judged(snapshot: Snapshot, outcomes: Mapping[str, str]) -> Snapshot:
    """Return a snapshot whose history tells what became of its statements."""
    shifts = []
    for text, outcome in outcomes.items():
        is_slower = outcome == "regressed"
        row = replace(
            statement_shift(query_id(snapshot, text)),
            outcome=outcome,
            is_regressed=is_slower,
            is_server_slower=False,
            server_ratio=1.0,
            current_begins=snapshot.now - timedelta(days=1),
        )
        shifts.append(row if is_slower else replace(row, ratio=1.0, ms_after=row.ms_before))
    coverage = (HistoryCoverage("statement_shifts", 100, snapshot.now - timedelta(days=30)),)
    return replace(snapshot, statement_shifts=tuple(shifts), history_coverage=coverage)


def set_to(snapshot: Snapshot, name: str, value: str) -> Snapshot:
    """Return a snapshot in which a setting was changed in the configuration file."""
    settings = tuple(
        replace(s, setting=value, source="configuration file") if s.name == name else s
        for s in snapshot.settings
    )
    return replace(snapshot, settings=settings)


def of_version(snapshot: Snapshot, version: str) -> Snapshot:
    """Return a snapshot of another release."""
    return replace(snapshot, server=replace(snapshot.server, version=version))


@dataclass
class Siblings:
    """Clusters c0, c1, … of a group in a history."""

    opened: store.Store
    base: Snapshot
    count: int
    tags: Callable[[int], Mapping[str, str]] = lambda n: {"zone": f"z{n % 3}"}
    group: str = "shops"
    unread: frozenset[int] = frozenset()
    advice: Callable[[int, Snapshot], tuple[Finding, ...]] = lambda _n, _own: ()
    # whether the history itself tells what became of statements
    recalls: bool = False
    ids: dict[int, int] = field(default_factory=dict)

    def snapshot(self, n: int, moment: datetime) -> Snapshot:
        """Return what a cluster would tell by itself."""
        server = replace(
            self.base.server,
            system_identifier=str(7_000_000 + n),
            address=f"10.0.0.{n}",
            taken_at=moment,
        )
        return replace(self.base, server=server)

    def visited(self, moment: datetime, change: Change) -> FleetRun:
        """Visit all clusters once."""
        members = [
            Member(f"c{n}", (), group=self.group, tags=self.tags(n)) for n in range(self.count)
        ]
        with self.opened.writing() as connection:
            run = visit_log.begin(connection, members, moment, {})
            for n in range(self.count):
                visit = self._visit(connection, run, n, change(n, self.snapshot(n, moment)))
                assert visit_log.claim(connection, run.id, visit.member, "w", moment)
                assert visit_log.end(connection, visit)
        return run

    def _visit(self, connection: sa.Connection, run: FleetRun, n: int, snapshot: Snapshot) -> Visit:
        bare = Visit(run.id, f"c{n}", worker="w", ended_at=run.began_at, attempts=1)
        if n in self.unread:
            return replace(bare, ending=VisitEnding.UNREACHABLE, reason="timeout")
        stored, _ = runs.add(connection, runs.NewRun((snapshot,)))
        if self.recalls:
            (snapshot,) = recall.recalled(connection, (snapshot,))
        report = analyse((snapshot,), Config(), _RULES)
        report = replace(report, findings=(*report.findings, *self.advice(n, snapshot)))
        document = json_v1.render(report, (snapshot,))
        stored = runs.conclude(connection, stored, report, document, (snapshot,))
        states.follow(connection, stored, (snapshot,))
        self.ids[n] = stored.cluster_id
        return replace(
            bare,
            ending=VisitEnding.DONE,
            cluster_id=stored.cluster_id,
            run_id=stored.id,
            traits=traits.put(connection, traits.of((snapshot,))),
        )

    def taught(self, run: FleetRun) -> Experiments:
        """Return what the fleet teaches."""
        with self.opened.reading() as connection:
            return conclusions(connection, run)


def labels(found: Experiments) -> Sequence[Sequence[str]]:
    """Return what goes with each regression."""
    return [
        [a.label for association in r.associations for a in association.attributes]
        for r in found.regressions
    ]
