"""The tables with the most dead rows, each with series of its own."""

from dataclasses import dataclass, field

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.metric_registry import Readings, registered
from pgwatch_wed.serve.metrics.sticky import StickyTop

_LABELS = "target database schema table"

DEAD = registered(
    "gauge",
    "table_dead_rows",
    _LABELS,
    "table_activity",
    "Dead rows of the 20 tables with the most of them.",
)
LIVE = registered(
    "gauge",
    "table_live_rows",
    _LABELS,
    "table_activity",
    "Rows of the 20 tables with the most dead rows.",
)


@dataclass(slots=True)
class DeadRowTables:
    """Which tables of a target have series."""

    top: StickyTop[int] = field(default_factory=StickyTop)
    _shown: frozenset[int] = frozenset()
    _before: Snapshot | None = None

    def update(self, snapshot: Snapshot, now: float) -> None:
        """Enter a new reading; the same one again changes nothing."""
        if self._before is not None and self._before.table_activity is snapshot.table_activity:
            return
        self._before = snapshot
        dead = {a.oid: float(a.n_dead_tup) for a in snapshot.table_activity}
        self._shown = self.top.update(dead, now)

    def readings(self, seen: SeenFacts) -> Readings:
        """Yield their rows."""
        if not seen.has("tables", "table_activity"):
            return
        for oid in sorted(self._shown):
            table = seen.snapshot.table_by_oid.get(oid)
            activity = seen.snapshot.activity_by_oid.get(oid)
            if table is None or activity is None:
                continue
            labels = (seen.target, seen.snapshot.server.database, table.schema, table.name)
            yield DEAD, labels, activity.n_dead_tup
            yield LIVE, labels, activity.n_live_tup
