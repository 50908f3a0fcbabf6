"""What differs in what a database holds and does: sizes, rows, statistics, statements. Only what matters is told."""

from collections.abc import Iterator

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.findings import Object
from pgwatch_wed.history.change import Change, ChangeKind, What
from pgwatch_wed.history.pairing import Pairing
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import statements as load
from pgwatch_wed.sqltext.statement_link import statement_keys

# A size matters if it changed by this much, and by this share of what it was.
MIN_BYTES = 10 << 20
MIN_SHARE = 0.1
# Estimated rows, and dead ones.
MIN_ROWS = 1000
# A statement that appeared or vanished matters from this share of the measured time on.
MIN_LOAD = 0.01


def load_changes(pairing: Pairing) -> Iterator[Change]:
    """Yield what differs in sizes, rows, statistics and statements."""
    yield from _sizes(pairing)
    yield from _rows(pairing)
    yield from _maintenance(pairing)
    yield from _statements(pairing)


# --- sizes ----------------------------------------------------------------------------------------


def _sizes(pairing: Pairing) -> Iterator[Change]:
    if not pairing.has("tables", "indexes"):
        return
    old, new = pairing.old, pairing.new
    if pairing.was_whole("tables") and pairing.is_whole("tables"):
        name = Object("database", new.server.database, new.server.database)
        yield from _size(name, database_bytes(old), database_bytes(new), None)
    for was, now in pairing.tables.items():
        table = new.table_by_oid[now]
        sizes = table_bytes(old, old.table_by_oid[was]), table_bytes(new, table)
        yield from _size(ix.table_object(new, table), *sizes, now)
    for was, now in pairing.indexes.items():
        index = new.index_by_oid[now]
        sizes = index_bytes(old, old.index_by_oid[was]), index_bytes(new, index)
        yield from _size(ix.object_of(new, index), *sizes, now)


def _size(name: Object, before: int, after: int, oid: int | None) -> Iterator[Change]:
    if matters(before, after, MIN_BYTES):
        what = What.GREW if after > before else What.SHRANK
        yield Change(ChangeKind.SIZE, what, name, before, after, oid)


def matters(before: float, after: float, least: float) -> bool:
    """Tell whether a difference is large enough, by itself and as a share of what it was."""
    return abs(after - before) >= max(least, MIN_SHARE * before)


def table_bytes(snapshot: Snapshot, table: Table) -> int:
    """Return the size of a table with its TOAST table, without indexes."""
    return (table.pages + (table.toast_pages or 0)) * snapshot.server.block_size


def index_bytes(snapshot: Snapshot, index: Index) -> int:
    """Return the size of an index."""
    return index.pages * snapshot.server.block_size


def database_bytes(snapshot: Snapshot) -> int:
    """Return the size of all tables and indexes."""
    tables = sum(t.pages + (t.toast_pages or 0) for t in snapshot.tables)
    return (tables + sum(i.pages for i in snapshot.indexes)) * snapshot.server.block_size


# --- rows -----------------------------------------------------------------------------------------


def _rows(pairing: Pairing) -> Iterator[Change]:
    old, new = pairing.old, pairing.new
    if not pairing.has("tables"):
        return
    for was, now in pairing.tables.items():
        table = new.table_by_oid[now]
        before, after = old.table_by_oid[was].rows, table.rows
        name = ix.table_object(new, table)
        # 0 may mean that it was never analyzed (before 14); the size tells of an empty table
        if min(before, after) > 0 and matters(before, after, MIN_ROWS):
            what = What.GREW if after > before else What.SHRANK
            yield Change(ChangeKind.ROWS, what, name, round(before), round(after), now)
        if pairing.has("table_activity"):
            yield from _dead_rows(pairing, was, table, name)


def _dead_rows(pairing: Pairing, was: int, table: Table, name: Object) -> Iterator[Change]:
    a, b = pairing.old.activity_by_oid.get(was), pairing.new.activity_by_oid.get(table.oid)
    if a is None or b is None or pairing.is_counted_anew or COUNTERS["table_activity"].fell(a, b):
        return
    least = max(MIN_ROWS, MIN_SHARE * max(table.rows, b.n_live_tup))
    if abs(b.n_dead_tup - a.n_dead_tup) >= least:
        what = What.GREW if b.n_dead_tup > a.n_dead_tup else What.SHRANK
        yield Change(ChangeKind.DEAD_ROWS, what, name, a.n_dead_tup, b.n_dead_tup, table.oid)


def _maintenance(pairing: Pairing) -> Iterator[Change]:
    """Yield which tables were analyzed and vacuumed in between."""
    if pairing.by_name or not pairing.has("tables", "table_activity"):
        return
    since, new = pairing.old.now, pairing.new
    for activity in new.table_activity:
        table = new.table_by_oid.get(activity.oid)
        if table is None:
            continue
        name = ix.table_object(new, table)
        dates = {
            What.ANALYZED: (activity.last_analyze, activity.last_autoanalyze),
            What.VACUUMED: (activity.last_vacuum, activity.last_autovacuum),
        }
        for what, moments in dates.items():
            last = max((m for m in moments if m is not None), default=None)
            if last is not None and last > since:
                yield Change(ChangeKind.TABLE, what, name, None, None, table.oid, at=last)


# --- statements -----------------------------------------------------------------------------------


def _statements(pairing: Pairing) -> Iterator[Change]:
    """Yield statements that make up a part of the load of one snapshot and are not in the other."""
    if not pairing.has("statements"):
        return
    old, new = pairing.old, pairing.new
    if pairing.was_whole("statements"):
        yield from _unmatched(pairing, new, old, What.APPEARED)
    if pairing.is_whole("statements"):
        yield from _unmatched(pairing, old, new, What.VANISHED)


def _unmatched(pairing: Pairing, here: Snapshot, there: Snapshot, what: What) -> Iterator[Change]:
    ids = {s.query_id for s in there.statements} if pairing.is_same_server else set()
    known = set(statement_keys(there, "").values())
    keys = statement_keys(here, "")
    mine = load.of_users(here)
    total = sum(s.total_exec_ms for s in mine)
    for s in mine:
        if s.text is None or s.query_id in ids or keys.get(_key_of(s)) in known:
            continue
        if s.total_exec_ms >= MIN_LOAD * total:
            name = Object("statement", str(s.query_id), here.server.database)
            values = (None, s.text) if what is What.APPEARED else (s.text, None)
            yield Change(ChangeKind.STATEMENT, what, name, *values)


_key_of = COUNTERS["statements"].key_of
