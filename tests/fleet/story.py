"""A fleet over several runs in a history: one real snapshot, of which each cluster has its own variation, judged by a few rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet import traits, visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import runs, states, store
from pgwatch_wed.render import json_v1
from pgwatch_wed.rules import all_rules

SHOP = """
create table orders (id int primary key, customer int, note text);
insert into orders select g, g % 50, 'n' from generate_series(1, 500) g;
create index orders_customer on orders (customer);
create index orders_copy on orders (customer);
alter table orders set (autovacuum_enabled = off);
analyze orders;
"""
MONDAY = datetime(2026, 3, 2, 3, tzinfo=UTC)
DAY = timedelta(days=1)
COPY = "orders_copy"

# Some of each kind, so that a fleet is judged quickly.
_NAMES = ("index-duplicate", "vacuum-disabled", "config-version", "config-logging", "query-waits")
_RULES = [r for r in all_rules() if r.id in _NAMES]

Change = Callable[[Snapshot], Snapshot]


def as_is(snapshot: Snapshot) -> Snapshot:
    """Change nothing."""
    return snapshot


def without_index(name: str) -> Change:
    """Return a change: an index is not there."""

    def change(snapshot: Snapshot) -> Snapshot:
        gone = {i.oid for i in snapshot.indexes if i.name == name}
        assert gone
        return replace(
            snapshot,
            indexes=tuple(i for i in snapshot.indexes if i.oid not in gone),
            index_usage=tuple(u for u in snapshot.index_usage if u.oid not in gone),
        )

    return change


@dataclass
class Story:
    """Visits of clusters, told one run after another."""

    opened: store.Store
    base: Snapshot
    groups: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def run(
        self,
        moment: datetime,
        members: Mapping[str, Change | VisitEnding | None],
        settings: Mapping[str, object] | None = None,
        **details: Mapping[str, object],
    ) -> FleetRun:
        """Visit members: each is read with a change, or ends otherwise, or (None) still waits.

        ``details`` are further fields of a visit, by member.
        """
        listed = [
            Member(name, (), group=self.groups.get(name, "shops"), tags=self.tags)
            for name in members
        ]
        with self.opened.writing() as connection:
            begun = visit_log.begin(connection, listed, moment, settings or {})
            for name, what in members.items():
                if what is None:
                    continue
                bare = Visit(begun.id, name, worker="w", ended_at=moment, attempts=1)
                visit = (
                    replace(bare, ending=what, reason="no answer within 10 s")
                    if isinstance(what, VisitEnding)
                    else self._read(connection, bare, what(self._snapshot(name, moment)))
                )
                assert visit_log.claim(connection, begun.id, name, "w", moment)
                assert visit_log.end(connection, replace(visit, **details.get(name, {})))  # type: ignore[arg-type]
        return begun

    def _snapshot(self, name: str, moment: datetime) -> Snapshot:
        number = sum(ord(c) * 31**n for n, c in enumerate(name))
        server = replace(
            self.base.server,
            system_identifier=str(7_000_000_000 + number),
            address=f"10.0.0.{number % 200}",
            taken_at=moment,
        )
        return replace(self.base, server=server)

    def _read(self, connection: sa.Connection, bare: Visit, snapshot: Snapshot) -> Visit:
        stored, _ = runs.add(connection, runs.NewRun((snapshot,)))
        report = analyse((snapshot,), Config(), _RULES, target=bare.member)
        document = json_v1.render(report, (snapshot,))
        stored = runs.conclude(connection, stored, report, document, (snapshot,))
        states.follow(connection, stored, (snapshot,))
        return replace(
            bare,
            ending=VisitEnding.DONE,
            label=f"{bare.member}.example.com",
            cluster_id=stored.cluster_id,
            run_id=stored.id,
            traits=traits.put(connection, traits.of((snapshot,))),
        )
