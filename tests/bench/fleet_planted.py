"""Thirty clusters over three weeks, of which the history itself must tell what was planted: ``python -m tests.bench.fleet_planted [clusters]``.

One real database is read twice, without and with an index; each cluster and day has its own counters of statements and tables, with
noise. A release slows a statement on 8 clusters, a setting another one on 5; an index that all are advised is built on 7, helps on 6, and
slows the writes of one that writes 40 times as much. A second fleet has nothing planted.
"""

import math
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, MeasuredTime, Object, Remedy, Severity
from pgwatch_wed.fleet.experiment.experiments import Experiments
from pgwatch_wed.history import store
from pgwatch_wed.target.collect import collect
from tests.fleet.siblings import Change, Siblings, of_version, query_id, set_to
from tests.psql import psql

SCHEMA = """
create extension if not exists pg_stat_statements;
create table orders (id int primary key, customer int, note text);
insert into orders select g, g % 50, 'n' from generate_series(1, 500) g;
create table calm (id int primary key, a int, b int);
insert into calm select g, g % 10, g % 7 from generate_series(1, 500) g;
create table other (id int primary key, a int);
insert into other select g, g % 10 from generate_series(1, 500) g;
analyze;
select pg_stat_statements_reset();
"""
BY_RELEASE = "select max(a) from other where a > $1"
BY_SETTING = "select sum(a) from other where id < $1"
BY_INDEX = "select count(*) from orders where customer = $1"
WRITE = "update orders set note = $1 where id = $2"
CALM = tuple(
    f"select {what} from calm where {where} = $1"
    for what, where in (("count(*)", "a"), ("sum(b)", "a"), ("min(id)", "b"), ("max(a)", "b"))
)
TEXTS = (BY_RELEASE, BY_SETTING, BY_INDEX, WRITE, *CALM)
DAYS = 20
CHANGED, BUILT, ADVISED = 16, 12, 10
ON_RELEASE, ON_SETTING = range(8), (3, 11, 12, 20, 29)
BUILDERS, HARMED = range(14, 21), 20


@dataclass
class Counters:
    """Of a statement on a cluster since the beginning."""

    calls: int = 0
    ms: float = 0.0
    squares: float = 0.0
    blocks: int = 0

    def count(self, calls: int, ms: float, blocks: float) -> None:
        """Add a day."""
        self.calls += calls
        self.ms += calls * ms
        self.squares += calls * ms**2 * 1.04
        self.blocks += round(calls * blocks)

    def of(self, row: Statement) -> Statement:
        """Return a row with these counters."""
        mean = self.ms / self.calls
        spread = math.sqrt(max(self.squares / self.calls - mean**2, 0.0))
        return replace(
            row,
            calls=self.calls,
            total_exec_ms=self.ms,
            mean_exec_ms=mean,
            stddev_exec_ms=spread,
            min_exec_ms=0.01,
            max_exec_ms=1e5,
            rows=self.calls,
            shared_blks_hit=self.blocks,
            shared_blks_read=0,
        )


@dataclass
class World:
    """What happens on each day; with ``is_planted`` false, only noise does."""

    before: Snapshot
    after: Snapshot
    is_planted: bool
    seed: int = 1
    counters: dict[tuple[int, str], Counters] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)

    def day(self, number: int) -> Change:
        """Return what a day makes of a cluster."""

        def change(n: int, own: Snapshot) -> Snapshot:
            if self.is_planted:
                own = self._planted(n, number, own)
            return self._counted(n, number, own)

        return change

    def _planted(self, n: int, number: int, own: Snapshot) -> Snapshot:
        if number >= CHANGED and n in ON_RELEASE:
            own = of_version(own, "18.9")
        if number >= CHANGED and n in ON_SETTING:
            own = set_to(own, "random_page_cost", "40")
        if number >= BUILT and n in BUILDERS:
            usage = tuple(
                replace(u, idx_scan=u.idx_scan + 500 * number) for u in self.after.index_usage
            )
            indexes, definitions = self.after.indexes, self.after.index_definitions
            own = replace(own, indexes=indexes, index_definitions=definitions, index_usage=usage)
        return own

    def _counted(self, n: int, number: int, own: Snapshot) -> Snapshot:
        dice = random.Random(f"{self.seed} {n} {number}")
        for text in TEXTS:
            factor = self._factor(n, number, text) * math.exp(dice.gauss(0, 0.08))
            calls = round(20_000 * math.exp(dice.gauss(0, 0.2)))
            self.counters.setdefault((n, text), Counters()).count(
                calls, 2 * factor * math.exp(dice.gauss(0, 0.05)), 40 * factor
            )
        rows = round(1000 * math.exp(dice.gauss(0, 0.1)))
        self.written[n] = self.written.get(n, 0) + rows * (40 if n == HARMED else 1)
        return replace(
            own,
            statements=tuple(
                self.counters[n, s.text].of(s) if s.text in TEXTS else s for s in own.statements
            ),
            table_activity=tuple(
                replace(a, n_tup_upd=a.n_tup_upd + self.written[n]) for a in own.table_activity
            ),
        )

    def _factor(self, n: int, number: int, text: str) -> float:
        if not self.is_planted:
            return 1.0
        is_slower = (text == BY_RELEASE and n in ON_RELEASE) or (
            text == BY_SETTING and n in ON_SETTING
        )
        if is_slower and number > CHANGED:
            return 2.5
        if n in BUILDERS and number > BUILT:
            if text == BY_INDEX:
                return 0.2
            if text == WRITE and n == HARMED:
                return 3.0
        return 1.0


def advised(_: int, snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return the advice that all clusters get."""
    identity = query_id(snapshot, BY_INDEX)
    return (
        Finding(
            object=Object("index", "by_customer", snapshot.server.database, "public", "orders"),
            severity=Severity.WARNING,
            grade=Grade.C,
            title="An index would help",
            detail="",
            evidence={"query_ids": [identity]},
            impact=Impact(gain=MeasuredTime(1000.0, 86_400.0, 10_000.0, {identity: 1000.0})),
            remedy=(Remedy("CREATE INDEX by_customer ON public.orders USING btree (customer);"),),
            rule="index-missing",
            area="index",
        ),
    )


def read() -> Iterator[Snapshot]:
    """Yield the database without and with the index."""
    with embedded.start({"shared_preload_libraries": "pg_stat_statements"}) as server:
        psql(server.dsn(), SCHEMA)
        psql(server.dsn(), ";\n".join(t.replace("$1", "'7'").replace("$2", "7") for t in TEXTS))
        yield collect(server.dsn())
        psql(server.dsn(), "create index built_by_hand on orders (customer)")
        yield collect(server.dsn())


def taught(clusters: int, *, is_planted: bool) -> Experiments:
    """Let the days pass; return what the fleet teaches."""
    before, after = read()
    world = World(before, after, is_planted)
    with tempfile.TemporaryDirectory() as folder:
        opened = store.open_store(str(Path(folder) / "history.sqlite3"))
        fleet = Siblings(opened, before, clusters, recalls=True)
        for number in range(DAYS + 1):
            has_advice = is_planted and number >= ADVISED
            fleet.advice = advised if has_advice else lambda _n, _own: ()
            run = fleet.visited(before.now + timedelta(days=number), world.day(number))
        began = time.process_time()
        found = fleet.taught(run)
        print(f"concluded in {time.process_time() - began:.2f} s of the processor")
        opened.close()
    return found


def main(clusters: int) -> None:
    """Print what is told."""
    for is_planted in (True, False):
        print("planted" if is_planted else "nothing planted")
        found = taught(clusters, is_planted=is_planted)
        for regression in found.regressions:
            print(f"- {regression.title}\n  {regression.told}")
        for record in found.records:
            print(f"- {record.told}\n  {record.verdict}")


if __name__ == "__main__":
    main(int((*sys.argv[1:], "30")[0]))
