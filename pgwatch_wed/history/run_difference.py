"""Two runs side by side: findings, server and settings, schema, workload, sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.history.changes import Change, ChangeKind, SnapshotChanges, What, changes_of
from pgwatch_wed.history.load_changes import database_bytes
from pgwatch_wed.history.successors import matched
from pgwatch_wed.history.workloads import Workloads, workloads

SETTINGS = (
    *(ChangeKind.VERSION, ChangeKind.RESTART, ChangeKind.RECOVERY, ChangeKind.SETTING),
    *(ChangeKind.ROLE_SETTING, ChangeKind.EXTENSION, ChangeKind.DATABASE, ChangeKind.ROLE),
    ChangeKind.SLOT,
)
SCHEMA = (
    *(ChangeKind.TABLE, ChangeKind.COLUMN, ChangeKind.INDEX, ChangeKind.CONSTRAINT),
    *(ChangeKind.SEQUENCE, ChangeKind.STATISTICS),
)
SIZES = (ChangeKind.SIZE, ChangeKind.ROWS, ChangeKind.DEAD_ROWS)
MAINTENANCE = (What.ANALYZED, What.VACUUMED)


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of the two runs."""

    label: str
    taken_at: datetime
    server: str
    version: str
    findings: int


@dataclass(frozen=True, slots=True)
class DatabaseDifference:
    """What differs in one database; sizes in bytes."""

    database: str
    found: SnapshotChanges
    workloads: Workloads
    bytes_before: int
    bytes_after: int

    def of(self, *kinds: ChangeKind) -> tuple[Change, ...]:
        """Return the changes of some kinds; not what was only vacuumed or analyzed."""
        return tuple(c for c in self.found.changes if c.kind in kinds and c.what not in MAINTENANCE)

    def maintained(self, what: What) -> int:
        """Count the tables that were vacuumed or analyzed in between."""
        return sum(c.what is what for c in self.found.changes)


@dataclass(frozen=True, slots=True)
class RunDifference:
    """Two runs. ``report`` is that of the second, compared with the first; ``only`` are databases of one of them."""

    first: RunSide
    second: RunSide
    report: Report
    databases: tuple[DatabaseDifference, ...]
    only: tuple[str, ...]

    @property
    def by_name(self) -> str:
        """Why names were compared, not oids; "" if the servers are the same."""
        return next((d.found.by_name for d in self.databases if d.found.by_name), "")


def run_difference(
    labels: tuple[str, str],
    olds: Sequence[Snapshot],
    news: Sequence[Snapshot],
    reports: tuple[Report, Report],
) -> RunDifference:
    """Compare two runs; the second report has been compared with the first one's findings."""
    pairs = matched(olds, news)
    seen = {id(s) for pair in pairs for s in pair}
    alone = tuple(s.server.database for s in (*olds, *news) if id(s) not in seen)
    return RunDifference(
        _side(labels[0], olds[0], reports[0]),
        _side(labels[1], news[0], reports[1]),
        reports[1],
        tuple(_databases(pairs)),
        alone,
    )


def _databases(pairs: Sequence[tuple[Snapshot, Snapshot]]) -> Iterator[DatabaseDifference]:
    for old, new in pairs:
        yield DatabaseDifference(
            new.server.database,
            changes_of(old, new),
            workloads(old, new),
            database_bytes(old),
            database_bytes(new),
        )


def _side(label: str, snapshot: Snapshot, report: Report) -> RunSide:
    server = snapshot.server
    return RunSide(label, snapshot.now, report.target.label, server.version, len(report.findings))
