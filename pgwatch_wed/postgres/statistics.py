"""What is known about the planner statistics of tables."""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import privileges


class State(Enum):
    """Whether a table has ever been analyzed."""

    NEVER = "never"
    ANALYSED = "analysed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Statistics:
    """The planner's statistics, as far as the role may see them."""

    snapshot: Snapshot

    @cached_property
    def _present(self) -> set[tuple[int, bool]]:
        return {(s.table_oid, s.is_inherited) for s in self.snapshot.column_statistics}

    @cached_property
    def is_complete(self) -> bool:
        """Whether the role can see all tables' statistics, so that their absence proves something."""
        missing = self.snapshot.missing
        sees = privileges.reads_all_statistics(self.snapshot.server)
        cut = "column_statistics:left-out" in missing
        return sees and not cut and "column_statistics" not in missing

    def state(self, table: Table, *, with_children: bool = False) -> State:
        """Tell whether a table has statistics on its own rows, or on those of all its children.

        Counters are lost at a reset; statistics are not, but may be hidden. From 14 on, reltuples = -1
        means that no VACUUM, ANALYZE or index build has counted the rows.
        """
        if (table.oid, with_children) in self._present:
            return State.ANALYSED
        tells = self.snapshot.server.features.has_uncounted_rows()
        never_counted = tells and table.rows < 0
        if never_counted:
            return State.NEVER
        if not (with_children and table.kind == "r") and self._was_analysed(table):
            return State.ANALYSED
        return State.NEVER if self.is_complete else State.UNKNOWN

    def _was_analysed(self, table: Table) -> bool:
        a = self.snapshot.activity_by_oid.get(table.oid)
        return a is not None and bool(vac.last_analyze(a) or a.analyze_count or a.autoanalyze_count)
