"""Why: the dated timeline of what changed around a statement or a table, and what did not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from statistics import median

import sqlalchemy as sa

from pgwatch_wed import units
from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import advice, predictions, series, snapshots
from pgwatch_wed.history.about import AboutTables
from pgwatch_wed.history.advice_facts import row_of
from pgwatch_wed.history.change import Change, ChangeKind, What
from pgwatch_wed.history.changes import changes_of
from pgwatch_wed.history.snapshots import StoredSnapshot
from pgwatch_wed.history.subject import Topic
from pgwatch_wed.history.told import line
from pgwatch_wed.history.waypoints import MOST, waypoints
from pgwatch_wed.history.work_rows import StatementInterval

_EVERYWHERE = frozenset(
    {
        ChangeKind.VERSION,
        ChangeKind.RESTART,
        ChangeKind.RECOVERY,
        ChangeKind.SETTING,
        ChangeKind.ROLE_SETTING,
        ChangeKind.EXTENSION,
    }
)
_OF_TABLES = (
    *(ChangeKind.TABLE, ChangeKind.COLUMN, ChangeKind.INDEX, ChangeKind.CONSTRAINT),
    *(ChangeKind.STATISTICS, ChangeKind.SIZE, ChangeKind.ROWS, ChangeKind.DEAD_ROWS),
)
# A step of a statement's mean time that is worth a line, compared with up to so many intervals before.
_STEP = 1.5
_BEFORE = 6
_LEAST_CALLS = 5


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that happened; ``began_at`` is the last time at which it had not, if only that is known."""

    at: datetime
    kind: str
    text: str
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened around a topic, oldest first, what stayed as it was, and what is not known."""

    label: str
    database_id: int
    begins: datetime | None
    ends: datetime | None
    runs: int
    events: tuple[TimelineEvent, ...]
    unchanged: tuple[str, ...]
    not_known: tuple[str, ...]
    work: tuple[StatementInterval, ...] = ()


def timeline(
    connection: sa.Connection, topic: Topic, since: datetime | None = None, most: int = MOST
) -> Timeline:
    """Return what happened around a statement or table; of more than ``most`` runs, some are compared."""
    stored = snapshots.of_database(connection, topic.database_id, since)
    looked = _Looked(topic)
    work: tuple[StatementInterval, ...] = ()
    if topic.statement is not None:
        work = series.of_statement(connection, topic.statement.id, since)
        looked.events.extend(_steps(work))
    steps = [event.at for event in looked.events]
    chosen = waypoints(connection, topic.database_id, stored, steps, most)
    looked.at(connection, stored, chosen)
    looked.events.extend(_gaps(connection, topic, since))
    looked.events.extend(_advice(connection, topic, looked.tables, since))
    looked.events.extend(_predictions(connection, topic, since))
    return Timeline(
        topic.label,
        topic.database_id,
        stored[0].taken_at if stored else None,
        stored[-1].taken_at if stored else None,
        len(stored),
        tuple(sorted(looked.events, key=lambda e: (e.at, e.kind, e.text))),
        looked.unchanged() if len(stored) > 1 else (),
        tuple(dict.fromkeys(looked.not_known)),
        work,
    )


class _Looked:
    """What was found by comparing each run with the one before."""

    def __init__(self, topic: Topic) -> None:
        self.tables = set(topic.tables)
        self.events: list[TimelineEvent] = []
        self.not_known: list[str] = []
        self._names: set[str] = set()
        self._changed: set[str] = set()
        self._lacking: set[str] = set()

    def at(
        self,
        connection: sa.Connection,
        stored: Sequence[StoredSnapshot],
        chosen: Sequence[StoredSnapshot],
    ) -> None:
        """Compare runs, each with the one before."""
        reader = AboutTables(connection, self.tables)
        previous: StoredSnapshot | None = None
        old: Snapshot | None = None
        for each in chosen:
            try:
                new = reader.read(each)
            except HistoryError as error:
                when = f"{each.taken_at:%Y-%m-%d %H:%M}"
                self.not_known.append(f"the run of {when}: {error.message}")
                continue
            if previous is not None and old is not None:
                self.compare(*_comparable(connection, (previous, old), (each, new)))
            previous, old = each, new
        if len(chosen) < len(stored):
            self.not_known.append(_some(len(chosen), len(stored)))

    def compare(self, old: Snapshot, new: Snapshot) -> None:
        """Add what changed from one run to the next."""
        found = changes_of(old, new)
        self._names.update(t.qualified for t in old.tables if t.oid in self.tables)
        if found.by_name:
            self.not_known.append(f"{old.now:%Y-%m-%d %H:%M} to {new.now:%H:%M}: {found.by_name}")
        self._lacking.update(found.not_compared)
        for change in found.changes:
            if change.what is What.RECREATED and change.kind is ChangeKind.TABLE:
                self._follow(change)
            if not self._concerns(change, old, new):
                continue
            self._changed.add(_group(change))
            began = None if change.at is not None else old.now
            at = change.at or new.now
            self.events.append(TimelineEvent(at, change.kind.value, told(change), began))

    def _follow(self, change: Change) -> None:
        """Go on with a table that was created again under its name."""
        if change.before in self._names and change.oid is not None:
            self.tables.add(change.oid)

    def _concerns(self, change: Change, old: Snapshot, new: Snapshot) -> bool:
        if change.kind in _EVERYWHERE:
            return True
        if change.kind not in _OF_TABLES:
            return False
        if change.oid in self.tables:
            return True
        for snapshot in (new, old):
            index = snapshot.index_by_oid.get(change.oid or 0)
            if index is not None:
                return index.table_oid in self.tables
        return False

    def unchanged(self) -> tuple[str, ...]:
        """Return what could be compared, and did not change."""
        lacking = self._lacking
        known = {
            "server version": not lacking,
            "settings": "settings" not in lacking and "role_settings" not in lacking,
            "restarts": True,
        }
        if self.tables:
            known |= {
                "columns and options of its tables": not {"tables", "columns"} & lacking,
                "indexes of its tables": "indexes" not in lacking,
                "constraints of its tables": "constraints" not in lacking,
                "size and rows of its tables": "tables" not in lacking,
                "ANALYZE and VACUUM of its tables": "table_activity" not in lacking,
            }
        return tuple(
            name for name, is_known in known.items() if is_known and name not in self._changed
        )


_Read = tuple[StoredSnapshot, Snapshot]


def _comparable(connection: sa.Connection, old: _Read, new: _Read) -> tuple[Snapshot, Snapshot]:
    """Return two snapshots; after an upgrade, all tables tell whether it is the same database."""
    if old[1].server.system_identifier == new[1].server.system_identifier:
        return old[1], new[1]
    one, other = (
        replace(read, tables=snapshots.read(connection, stored, ("tables",)).tables)
        for stored, read in (old, new)
    )
    return one, other


def _some(chosen: int, stored: int) -> str:
    return (
        f"of {stored:,} runs, {chosen:,} were compared: those around changes of structure and settings, restarts "
        "and steps of the statement, and others at equal distances; of what happened several times in between, such as "
        "ANALYZE, only the last is told"
    )


_GROUPS = {
    ChangeKind.VERSION: "server version",
    ChangeKind.RESTART: "restarts",
    ChangeKind.RECOVERY: "restarts",
    ChangeKind.SETTING: "settings",
    ChangeKind.ROLE_SETTING: "settings",
    ChangeKind.TABLE: "columns and options of its tables",
    ChangeKind.COLUMN: "columns and options of its tables",
    ChangeKind.INDEX: "indexes of its tables",
    ChangeKind.CONSTRAINT: "constraints of its tables",
    ChangeKind.SIZE: "size and rows of its tables",
    ChangeKind.ROWS: "size and rows of its tables",
    ChangeKind.DEAD_ROWS: "size and rows of its tables",
}


def _group(change: Change) -> str:
    if change.what in (What.ANALYZED, What.VACUUMED):
        return "ANALYZE and VACUUM of its tables"
    return _GROUPS.get(change.kind, "")


def told(change: Change) -> str:
    """Return a change in words."""
    name, aspect = change.object.label, f" {change.aspect}" if change.aspect else ""
    if change.kind is ChangeKind.COLUMN:
        name = f"{change.object.table}.{change.object.name}"
    before, after = _value(change, change.before), _value(change, change.after)
    match change.what:
        case What.ALTERED | What.GREW | What.SHRANK:
            return f"{name}{aspect} {_verb(change)}: {before} → {after}"
        case What.RENAMED:
            return f"{before} renamed to {after}"
        case What.CREATED | What.DROPPED:
            definition = after if change.what is What.CREATED else before
            extra = f": {definition}" if definition not in ("none", name) else ""
            return f"{name} {change.what.value}{extra}"
        case What.RESTARTED:
            return "the server was restarted"
        case What.CRASHED:
            return f"the server {after}; its counters began anew"
    return f"{name}{aspect} {change.what.value}"


def _verb(change: Change) -> str:
    words = {ChangeKind.ROWS: "rows", ChangeKind.DEAD_ROWS: "dead rows", ChangeKind.SIZE: "size"}
    if change.kind in words:
        return words[change.kind]
    return "changed"


def _value(change: Change, value: str | int | float | None) -> str:
    if value is None or value == "":
        return "none" if value is None else "empty"
    if isinstance(value, int | float) and change.kind is ChangeKind.SIZE:
        return units.size(value)
    return f"{value:,}" if isinstance(value, int | float) else str(value)


# --- beside the snapshots -------------------------------------------------------------------------


def _steps(work: Sequence[StatementInterval]) -> Iterator[TimelineEvent]:
    """Yield where a call's time or blocks differ from those of the intervals before."""
    known = [w for w in work if w.calls >= _LEAST_CALLS]
    hashes = [w for w in work if w.plan_hash]
    for one, other in pairwise(hashes):
        if one.plan_hash != other.plan_hash:
            yield TimelineEvent(other.ended_at, "plan", "its generic plan changed", one.ended_at)
    for n, now in enumerate(known):
        before = known[max(n - _BEFORE, 0) : n]
        if len(before) < 2:
            continue
        was = median(w.mean_ms for w in before)
        if was > 0 and not was / _STEP < now.mean_ms < was * _STEP:
            blocks = median(w.blocks / w.calls for w in before)
            rows = median(w.rows / w.calls for w in before)
            yield TimelineEvent(
                now.ended_at,
                "query",
                f"a call took {units.duration(now.mean_ms)} instead of {units.duration(was)}; blocks a call "
                f"{_compared(blocks, now.blocks / now.calls)}, rows a call {_compared(rows, now.rows / now.calls)}",
                now.began_at,
            )


def _compared(was: float, now: float) -> str:
    if max(was, now) == 0 or abs(now - was) <= 0.1 * max(was, now):
        return f"the same ({units.short(now)})"
    return f"{units.short(was)} → {units.short(now)}"


def _gaps(
    connection: sa.Connection, topic: Topic, since: datetime | None
) -> Iterator[TimelineEvent]:
    for span in series.intervals_of(connection, topic.database_id, since):
        if span.reason:
            text = f"nothing is known of statements: {span.reason}"
            yield TimelineEvent(span.ended_at, "gap", text, span.began_at)


def _advice(
    connection: sa.Connection, topic: Topic, tables: Iterable[int], since: datetime | None
) -> Iterator[TimelineEvent]:
    wanted = set(tables)
    for own in advice.listed(connection, database_id=topic.database_id):
        about = {s.known.get("table_oid") for s in own.structures}
        is_about = bool(about & wanted) or (
            topic.statement is not None and topic.statement.key in own.predicted["keys"]
        )
        if not is_about:
            continue
        if since is None or own.advised_at >= since:
            text = (
                f"{own.rule} advised (grade {own.grade}): {own.predicted.get('title', own.label)}"
            )
            yield TimelineEvent(own.advised_at, "advice", text)
        if own.state_at > own.advised_at and (since is None or own.state_at >= since):
            text = f"advice of {own.rule} for {own.label}: {line(row_of(own)).told}"
            yield TimelineEvent(own.state_at, "advice", text, own.absent_at)


def _predictions(
    connection: sa.Connection, topic: Topic, since: datetime | None
) -> Iterator[TimelineEvent]:
    key = topic.statement.key if topic.statement else None
    query_id = topic.statement.query_id if topic.statement else None
    for made in predictions.of_kind(connection):
        if made.database_id != topic.database_id or (since and made.made_at < since):
            continue
        subject = made.subject
        is_query = key is not None and (
            subject.get("statement") == key or subject.get("query_id") == query_id
        )
        if is_query or subject.get("table") in topic.tables:
            ending = f", {made.outcome}" if made.outcome else ""
            yield TimelineEvent(made.made_at, made.kind, f"{made.rule} predicted{ending}")
