"""Narrow series: what a query did between two runs, and sizes and numbers over time.

They are written once, with the run, so that drawing a year decodes no snapshot. Only statements that matter are in
them: what is not, was below the floor in that interval; the snapshots hold everything.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import DeltaError, HistoryError, HistoryPlaceError
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.facts.counting import COUNTERS, RowKey
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.facts.lineage import lineage
from pgwatch_wed.history import measures, months, snapshots, work_rows
from pgwatch_wed.history.schema import (
    databases,
    intervals,
    statement_aliases,
    statement_work,
    statements,
)
from pgwatch_wed.history.snapshots import StoredSnapshot
from pgwatch_wed.history.work_rows import StatementInterval, all_in, one_in
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.sqltext.plan_trees import shape_hash
from pgwatch_wed.sqltext.statement_link import id_keys, statement_keys

_NEEDED = (
    "settings",
    "databases",
    "checkpoints",
    "wal",
    "archiver",
    "slru",
    "statements_info",
    "statements",
    "statement_plans",
    "tables",
    "table_activity",
    "indexes",
    "index_usage",
)
"""What the difference of two snapshots is made of."""

# A statement is in the series of an interval if it took this share of the time, or is among the first
# of one of these orders.
_SHARE = 0.001
_ORDERS: tuple[tuple[str, int], ...] = (
    ("exec_ms", 200),
    ("blocks_read", 50),
    ("temp_blocks", 50),
    ("wal_bytes", 50),
)


@dataclass(frozen=True, slots=True)
class Interval:
    """The time between two runs of a database; ``reason`` says why nothing is known about it.

    ``known_share`` is 0…1 of the statements that were called; ``calls`` and ``exec_ms`` are of all of those.
    """

    began_at: datetime
    ended_at: datetime
    run_id: int
    bond: str
    known_share: float | None
    calls: int
    exec_ms: float
    reason: str


def write(connection: sa.Connection, stored: StoredSnapshot, snapshot: Snapshot) -> None:
    """Write what a new snapshot adds, also if it lies between two others."""
    if snapshot.measured_since is not None:
        return  # a difference already
    earlier = snapshots.before(connection, stored.database_id, stored.taken_at)
    later = snapshots.after(connection, stored.database_id, stored.taken_at)
    difference = None
    if earlier is not None:
        old = _read(connection, earlier)
        difference = _write_interval(connection, old, snapshot, stored, earlier.taken_at)
    measures.write(connection, stored, snapshot, difference)
    if later is not None:
        new = _read(connection, later)
        _forget(connection, later)
        difference = _write_interval(connection, snapshot, new, later, stored.taken_at)
        measures.rewrite_counted(connection, later, difference)


def _read(connection: sa.Connection, stored: StoredSnapshot) -> Snapshot | None:
    """Return a snapshot, or None if it is damaged: that costs its intervals, and not the runs after it."""
    try:
        return snapshots.read(connection, stored, _NEEDED)
    except HistoryPlaceError:
        raise
    except HistoryError:
        return None


_DAMAGED = "what an earlier run has stored is damaged"


def _forget(connection: sa.Connection, stored: StoredSnapshot) -> None:
    """Remove an interval that is about to be divided."""
    connection.execute(
        statement_work.delete().where(
            statement_work.c.cluster_id == stored.cluster_id,
            statement_work.c.database_id == stored.database_id,
            statement_work.c.ended_at == stored.taken_at,
        )
    )
    connection.execute(
        intervals.delete().where(
            intervals.c.database_id == stored.database_id, intervals.c.ended_at == stored.taken_at
        )
    )


def _write_interval(
    connection: sa.Connection,
    old: Snapshot | None,
    new: Snapshot | None,
    stored: StoredSnapshot,
    began_at: datetime,
) -> Snapshot | None:
    values: dict[str, Any] = {
        "database_id": stored.database_id,
        "cluster_id": stored.cluster_id,
        "run_id": stored.run_id,
        "began_at": began_at,
        "ended_at": stored.taken_at,
        "bond": "",
        "known_share": None,
        "calls": 0,
        "exec_ms": 0.0,
        "reason": "",
    }
    difference = None
    try:
        if old is None or new is None:
            raise DeltaError(_DAMAGED)
        values["bond"] = lineage(old, new).bond.name.lower()
        difference = delta(old, new)
        values |= _totals(difference)
    except DeltaError as error:
        values["reason"] = error.message
    connection.execute(intervals.insert().values(**values))
    if difference is not None and not values["reason"]:
        _write_statements(connection, difference, stored)
    return difference


def _totals(difference: Snapshot) -> dict[str, Any]:
    lacking = difference.missing.get("statements")
    if lacking is not None:
        return {"reason": lacking.reason}
    share = next((c for c in difference.delta_coverage if c.fact == "statements"), None)
    known = share.known / share.rows if share is not None and share.rows else None
    top = [s for s in difference.statements if s.is_toplevel]
    return {
        "known_share": known,
        "calls": sum(s.calls for s in top),
        "exec_ms": sum(s.total_exec_ms for s in top),
    }


def _write_statements(
    connection: sa.Connection, difference: Snapshot, stored: StoredSnapshot
) -> None:
    database = str(stored.database_id)
    known = _aliases(connection, stored.database_id)
    keys = statement_keys(difference, database, known)
    counted = _by_key(difference, keys)
    kept = _that_matter(counted)
    if not kept:
        return
    in_series = {row: key for row, key in keys.items() if key in kept}
    by_id = id_keys(difference, database)
    _remember(connection, stored.database_id, known, by_id, in_series)
    months.ensure(connection, ("statement_work",), stored.taken_at)
    ids = _ids(connection, stored, {key: counted[key] for key in kept})
    plans = _plans(difference)
    rows = [
        counted[key].interval(ids[key], plans.get(counted[key].newest.query_id)) for key in kept
    ]
    values = {
        "cluster_id": stored.cluster_id,
        "database_id": stored.database_id,
        "ended_at": stored.taken_at,
        "data": work_rows.written(rows),
    }
    connection.execute(statement_work.insert().values(**values))


def _plans(difference: Snapshot) -> dict[int, str]:
    """Return hashes of the generic plans at the end of the interval, where nothing makes them doubtful."""
    found = {
        p.query_id: shape_hash(p.tree)
        for p in difference.statement_plans
        if not p.refused and not p.doubts
    }
    return {query_id: hashed for query_id, hashed in found.items() if hashed is not None}


@dataclass(slots=True)
class _Sum:
    """The statements of an interval that have the same text."""

    newest: Statement
    began_at: datetime
    ended_at: datetime
    calls: int = 0
    exec_ms: float = 0.0
    raw_ms2: float = 0.0  # the sum of squares, from which that of the deviations follows
    min_ms: float | None = None
    max_ms: float | None = None
    rows: int = 0
    blocks_hit: int = 0
    blocks_read: int = 0
    temp_blocks: int = 0
    wal_bytes: int = 0

    def add(self, s: Statement) -> None:
        """Count one more."""
        self.calls += s.calls
        self.exec_ms += s.total_exec_ms
        self.raw_ms2 += s.calls * (s.stddev_exec_ms**2 + s.mean_exec_ms**2)
        self.min_ms = _extreme(min, self.min_ms, s.min_exec_ms, is_first=self.calls == s.calls)
        self.max_ms = _extreme(max, self.max_ms, s.max_exec_ms, is_first=self.calls == s.calls)
        self.rows += s.rows
        self.blocks_hit += s.shared_blks_hit
        self.blocks_read += s.shared_blks_read
        self.temp_blocks += s.temp_blks_read + s.temp_blks_written
        self.wal_bytes += s.wal_bytes

    def interval(self, statement_id: int, plan_hash: str | None) -> StatementInterval:
        """Return what is kept."""
        mean = self.exec_ms / self.calls
        return StatementInterval(
            statement_id,
            self.began_at,
            self.ended_at,
            self.calls,
            self.exec_ms,
            max(self.raw_ms2 - self.calls * mean**2, 0.0),
            self.min_ms,
            self.max_ms,
            self.rows,
            self.blocks_hit,
            self.blocks_read,
            self.temp_blocks,
            self.wal_bytes,
            plan_hash,
        )


def _extreme(choose: Any, mine: float | None, other: float | None, *, is_first: bool) -> Any:
    if is_first:
        return other
    return None if mine is None or other is None else choose(mine, other)


def _aliases(connection: sa.Connection, database_id: int) -> dict[str, str]:
    """Return the key that each key by query id has had."""
    mine = statement_aliases.c.database_id == database_id
    rows = connection.execute(
        sa.select(statement_aliases.c.id_key, statement_aliases.c.key).where(mine)
    )
    return {row.id_key: row.key for row in rows}


def _remember(
    connection: sa.Connection,
    database_id: int,
    known: Mapping[str, str],
    by_id: Mapping[RowKey, str],
    keys: Mapping[RowKey, str],
) -> None:
    """Remember which query ids have which text, for the statements that ``keys`` holds."""
    learnt = {by_id[row]: key for row, key in keys.items() if key != by_id[row]}
    new = {id_key: key for id_key, key in learnt.items() if known.get(id_key) != key}
    for id_key, key in sorted(new.items()):
        _learn(connection, database_id, id_key, key, is_changed=id_key in known)


def _learn(
    connection: sa.Connection, database_id: int, id_key: str, key: str, *, is_changed: bool
) -> None:
    """Remember the text of a query id; a series that was begun without the text goes on."""
    values = {"database_id": database_id, "id_key": id_key, "key": key}
    if is_changed:
        connection.execute(
            statement_aliases.update()
            .where(
                statement_aliases.c.database_id == database_id,
                statement_aliases.c.id_key == id_key,
            )
            .values(key=key)
        )
        return
    connection.execute(statement_aliases.insert().values(**values))
    mine = statements.c.database_id == database_id
    taken = connection.execute(sa.select(statements.c.id).where(mine, statements.c.key == key))
    if taken.first() is None:
        connection.execute(
            statements.update().where(mine, statements.c.key == id_key).values(key=key)
        )


def _by_key(difference: Snapshot, keys: Mapping[RowKey, str]) -> dict[str, _Sum]:
    """Add up the statements that have the same text: roles, and query ids before and after DDL."""
    assert difference.measured_since is not None
    began = difference.measured_since
    share = next((c for c in difference.delta_coverage if c.fact == "statements"), None)
    if share is not None and share.begins is not None:
        began = max(began, share.begins)
    row_key = COUNTERS["statements"].key_of
    found: dict[str, _Sum] = {}
    for s in difference.statements:
        if not s.calls:
            continue
        key = keys[row_key(s)]
        since = max(began, s.stats_since) if s.stats_since is not None else began
        if key not in found:
            found[key] = _Sum(s, min(since, difference.now), difference.now)
        each = found[key]
        each.add(s)
        each.began_at = min(each.began_at, since)
        if s.calls > each.newest.calls:
            each.newest = s
    return found


def _that_matter(everything: Mapping[str, _Sum]) -> set[str]:
    counted = {key: each for key, each in everything.items() if not _is_ours(each.newest)}
    floor = _SHARE * sum(each.exec_ms for each in counted.values())
    kept = {key for key, each in counted.items() if each.exec_ms >= floor and each.exec_ms > 0}
    for name, most in _ORDERS:
        first = sorted(counted, key=lambda key: (-getattr(counted[key], name), key))[:most]
        kept.update(key for key in first if getattr(counted[key], name) > 0)
    return kept


def _is_ours(statement: Statement) -> bool:
    """Tell whether it is one of this tool's own: what they cost is told elsewhere, and their texts are long."""
    return statement.text is not None and statement_text.is_own(statement.text)


def _ids(
    connection: sa.Connection, stored: StoredSnapshot, wanted: dict[str, _Sum]
) -> dict[str, int]:
    mine = statements.c.database_id == stored.database_id
    query = sa.select(statements).where(mine)
    known = {row.key: row for row in connection.execute(query)}
    new = [
        {
            "database_id": stored.database_id,
            "key": key,
            "query_id": each.newest.query_id,
            "text": each.newest.text,
            "first_seen": each.ended_at,
        }
        for key, each in sorted(wanted.items())
        if key not in known
    ]
    if new:
        connection.execute(statements.insert(), new)
        known = {row.key: row for row in connection.execute(query)}
    for key, each in wanted.items():
        newest: dict[str, Any] = {"query_id": each.newest.query_id}
        if each.newest.text is not None and known[key].text is None:
            newest["text"] = each.newest.text
        if newest != {"query_id": known[key].query_id}:
            mine_alone = statements.c.id == known[key].id
            connection.execute(statements.update().where(mine_alone).values(**newest))
    return {key: int(known[key].id) for key in wanted}


# --- reading ------------------------------------------------------------------------------------


def intervals_of(
    connection: sa.Connection,
    database_id: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Interval, ...]:
    """Return the intervals of a database that end within a time, oldest first."""
    names = [intervals.c[f.name] for f in fields(Interval)]
    query = sa.select(*names).where(
        intervals.c.database_id == database_id, *_within(intervals.c.ended_at, since, until)
    )
    rows = connection.execute(query.order_by(intervals.c.ended_at))
    return tuple(Interval(*row) for row in rows)


def of_statement(
    connection: sa.Connection,
    statement_id: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[StatementInterval, ...]:
    """Return the series of one statement, oldest first."""
    mine = sa.select(statements.c.database_id).where(statements.c.id == statement_id)
    database_id = connection.execute(mine).scalar()
    found = (
        one_in(data, ended_at, statement_id)
        for ended_at, data in _work(connection, database_id, since, until)
    )
    return tuple(row for row in found if row is not None)


def of_all_statements(
    connection: sa.Connection,
    database_id: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[int, tuple[StatementInterval, ...]]:
    """Return the series of all statements of a database by their number, each oldest first."""
    found: dict[int, list[StatementInterval]] = defaultdict(list)
    for ended_at, data in _work(connection, database_id, since, until):
        for row in all_in(data, ended_at):
            found[row.statement_id].append(row)
    return {number: tuple(rows) for number, rows in found.items()}


@dataclass(frozen=True, slots=True)
class KnownStatement:
    """A statement in the history; ``query_id`` is its newest."""

    id: int
    key: str
    query_id: int
    text: str | None
    first_seen: datetime


def known_statements(
    connection: sa.Connection, database_id: int, ids: Iterable[int] | None = None
) -> tuple[KnownStatement, ...]:
    """Return the statements that have been in a series of a database."""
    names = [statements.c[f.name] for f in fields(KnownStatement)]
    query = sa.select(*names).where(statements.c.database_id == database_id)
    wanted = None if ids is None else set(ids)
    rows = (KnownStatement(*row) for row in connection.execute(query.order_by(statements.c.id)))
    return tuple(row for row in rows if wanted is None or row.id in wanted)


def _work(
    connection: sa.Connection,
    database_id: int | None,
    since: datetime | None,
    until: datetime | None,
) -> Iterator[tuple[datetime, bytes]]:
    """Yield what was packed of each interval of a database, oldest first."""
    t = statement_work.c
    cluster_id = sa.select(databases.c.cluster_id).where(databases.c.id == database_id)
    query = sa.select(t.ended_at, t.data).where(
        t.cluster_id == cluster_id.scalar_subquery(),
        t.database_id == database_id,
        *_within(t.ended_at, since, until),
    )
    for row in connection.execute(query.order_by(t.ended_at)):
        yield row.ended_at, row.data


def _within(column: Any, since: datetime | None, until: datetime | None) -> list[Any]:
    conditions = [] if since is None else [column >= since]
    return conditions if until is None else [*conditions, column <= until]
