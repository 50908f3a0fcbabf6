"""When autovacuum processes a table, and what it would find there: shared by several rules.

The arithmetic is PostgreSQL's own (relation_needs_vacanalyze): storage parameters take precedence over
settings; the TOAST table uses its own parameters or, if it has none at all, those of its table.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed.facts import Column, Snapshot, Table, TableActivity
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Unknown
from pgwatch_wed.postgres import heap as bloat
from pgwatch_wed.units import count

# What a row takes in addition to its columns: header and line pointer.
ROW_OVERHEAD_BYTES = 28
# The planner's guess for the width of a variable-length column without statistics.
VARYING_BYTES = 32


@dataclass(frozen=True, slots=True)
class Heap:
    """What autovacuum processes separately: a table, or its TOAST table."""

    table: Table
    is_toast: bool
    options: tuple[str, ...]
    pages: int
    rows: float
    live: int
    dead: int
    last_vacuum: datetime | None
    # When autovacuum last had a reason to check it, or it was vacuumed manually.
    last_visit: datetime | None = None
    # Rows inserted since its pages were counted.
    inserted: int = 0
    # The server's counts contradict each other: ``dead`` is 0 and meaningless.
    is_doubtful: bool = False

    @property
    def label(self) -> str:
        """Name it for a reader."""
        return (
            f"the TOAST table of {self.table.qualified}" if self.is_toast else self.table.qualified
        )

    def option(self, name: str) -> str | None:
        """Return a storage parameter that applies to it, or None."""
        if not self.options:
            return None
        found = dict(option.partition("=")[::2] for option in self.options)
        return found.get(name)


@derived
def _known_heaps(_snapshot: Snapshot) -> dict[int, Heap]:
    """Return the heaps that were asked for: a dozen rules ask for each of ten thousand tables."""
    return {}


@derived
def _known_toasts(_snapshot: Snapshot) -> dict[int, Heap]:
    return {}


def heap_of(snapshot: Snapshot, table: Table) -> Heap:
    """Return a table without its TOAST table."""
    known = _known_heaps(snapshot)
    found = known.get(table.oid)
    if found is None or found.table is not table:  # a rule may ask about a changed copy
        found = known[table.oid] = _heap_of(snapshot, table)
    return found


def _heap_of(snapshot: Snapshot, table: Table) -> Heap:
    a = snapshot.activity_by_oid.get(table.oid)
    doubtful = a is not None and is_doubtful(snapshot, table, a)
    return Heap(
        table=table,
        is_toast=False,
        options=table.options,
        pages=table.pages,
        rows=table.rows,
        live=a.n_live_tup if a else 0,
        dead=_dead_rows(snapshot, table, a) if a and not doubtful else 0,
        last_vacuum=_latest(a.last_vacuum, a.last_autovacuum) if a else None,
        last_visit=_latest(a.last_vacuum, a.last_autovacuum, a.last_autoanalyze) if a else None,
        inserted=_inserted(snapshot, table, a) if a else 0,
        is_doubtful=doubtful,
    )


def is_doubtful(snapshot: Snapshot, table: Table, a: TableActivity) -> bool:
    """Tell whether a table's dead rows may have been counted after VACUUM had already removed them.

    A session reports its counts up to a second late, even after its own VACUUM.
    """
    vacuumed = _latest(a.last_vacuum, a.last_autovacuum)
    if vacuumed is None or table.rows <= 0 or not a.n_dead_tup:
        return False
    return _contradicts(table, a, vacuumed) or _may_be_gone(snapshot, table, a, vacuumed)


def _contradicts(table: Table, a: TableActivity, vacuumed: datetime) -> bool:
    """Tell whether more rows have died since the rows were counted than there were."""
    balance = a.n_tup_ins - a.n_tup_del
    if abs(balance - table.rows) <= 0.01 * table.rows:
        # as many rows as were left over when they were counted: nothing was deleted since
        return a.n_live_tup < 0.9 * table.rows
    there = table.rows + (a.n_ins_since_vacuum or 0) + a.n_tup_upd
    analyzed = last_analyze(a)
    deleted_since = a.n_mod_since_analyze if analyzed and analyzed >= vacuumed else 0
    return a.n_live_tup == 0 and a.n_dead_tup > there and deleted_since > there


def _may_be_gone(snapshot: Snapshot, table: Table, a: TableActivity, vacuumed: datetime) -> bool:
    """Tell whether a very recent VACUUM left free space for all rows that are counted as dead."""
    if _vacuumed_once(snapshot, a) or snapshot.now - vacuumed > timedelta(minutes=1):
        return False
    room = bloat.estimate(snapshot, table) if _was_clean(table) else None
    if room is None or room.likely <= 0:
        return False
    return table.rows * (room.pages / room.likely - 1) >= 0.8 * a.n_dead_tup


def _vacuumed_once(snapshot: Snapshot, a: TableActivity) -> bool:
    return a.vacuum_count + a.autovacuum_count == 1 and counts_all(snapshot)


def _was_clean(table: Table) -> bool:
    """Tell whether it had no dead rows when its pages were counted: all were visible to all transactions."""
    return table.rows > 0 and table.all_visible_pages >= 0.9 * table.pages


def _inserted(snapshot: Snapshot, table: Table, a: TableActivity) -> int:
    """Return the most rows that can have been inserted since the table's pages were counted."""
    since = min(a.n_mod_since_analyze, a.n_ins_since_vacuum or a.n_mod_since_analyze)
    if counts_all(snapshot) and table.rows > 0:
        since = min(since, int(a.n_tup_ins - table.rows))
    return max(since, 0)


def _dead_rows(snapshot: Snapshot, table: Table, a: TableActivity) -> int:
    """Return a table's dead rows, except for those counted after VACUUM had already removed them.

    A session reports its counts up to a second late, even after its own VACUUM. If a table has been
    vacuumed once, the free space in its file shows how many dead rows that VACUUM removed: of all rows
    that ever died, only the others can be dead now. Pages that were all-visible when they were counted
    had free space, but no dead rows.
    """
    if not (a.n_dead_tup and _vacuumed_once(snapshot, a) and _was_clean(table)):
        return a.n_dead_tup
    room = bloat.estimate(snapshot, table)
    if room is None or room.likely <= 0:
        return a.n_dead_tup
    removed = table.rows * max(room.pages / room.likely - 1, 0.0)
    left = max(a.n_tup_upd + a.n_tup_del - int(removed), 0)
    # the estimate is only good enough to tell that most of them are gone, not that a few are
    return left if left < a.n_dead_tup / 2 else a.n_dead_tup


def changed_rows(snapshot: Snapshot, table: Table) -> int:
    """Return the rows changed since ANALYZE, except for those that it must have seen.

    A session reports its counts up to a second late, even after its own ANALYZE. But the rows that
    ANALYZE counted were inserted before it.
    """
    a = snapshot.activity_by_oid.get(table.oid)
    if a is None:
        return 0
    times = a.analyze_count + a.autoanalyze_count
    if not times or table.rows <= 0 or a.n_tup_ins < table.rows:
        return a.n_mod_since_analyze
    ever = a.n_tup_ins + a.n_tup_upd + a.n_tup_del
    most = max(int(ever - table.rows), 0)
    if times == 1 and table.rows == a.n_tup_ins - a.n_tup_del:
        most = min(most, a.n_tup_upd)  # it has seen every insert and delete so far
        dead = _dead_rows(snapshot, table, a)
        vacuumed, analysed = _latest(a.last_vacuum, a.last_autovacuum), last_analyze(a)
        if dead < a.n_dead_tup and vacuumed and analysed and vacuumed <= analysed:
            most = min(most, dead)  # and the updates whose dead rows were already gone
    return min(a.n_mod_since_analyze, most)


def counts_all(snapshot: Snapshot) -> bool:
    """Tell whether the counters have run since the database was created."""
    born, begins = snapshot.server.database_created_at, snapshot.window.begins
    return born is not None and begins is not None and born >= begins - timedelta(minutes=10)


def toast_of(snapshot: Snapshot, table: Table) -> Heap | None:
    """Return a table's TOAST table; None if it has none."""
    if table.toast_oid is None:
        return None
    known = _known_toasts(snapshot)
    found = known.get(table.oid)
    if found is None or found.table is not table:
        found = known[table.oid] = _toast_of(snapshot, table)
    return found


def _toast_of(snapshot: Snapshot, table: Table) -> Heap:
    a = snapshot.activity_by_oid.get(table.oid)
    return Heap(
        table=table,
        is_toast=True,
        options=table.toast_options or table.options,
        pages=table.toast_pages or 0,
        rows=table.toast_rows if table.toast_rows is not None else -1.0,
        live=(a.toast_n_live_tup or 0) if a else 0,
        dead=(a.toast_n_dead_tup or 0) if a else 0,
        last_vacuum=_latest(a.toast_last_vacuum, a.toast_last_autovacuum) if a else None,
        last_visit=_latest(a.toast_last_vacuum, a.toast_last_autovacuum) if a else None,
    )


def heaps(snapshot: Snapshot, table: Table) -> tuple[Heap, ...]:
    """Return a table and its TOAST table, if they have storage."""
    if table.kind == "p":
        return ()
    toast = toast_of(snapshot, table)
    return (heap_of(snapshot, table), *([toast] if toast else []))


def vacuumable(snapshot: Snapshot) -> Iterator[Table]:
    """Yield the tables and materialized views that autovacuum considers."""
    return (t for t in snapshot.tables if t.kind in ("r", "m"))


# Whether it runs at all


def is_false(value: str | None) -> bool:
    """Tell whether a boolean storage parameter, which is stored as it was typed, is false."""
    word = (value or "").strip().lower()
    if not word:
        return False
    return word == "0" or (word != "o" and any(w.startswith(word) for w in ("false", "no", "off")))


def is_disabled(heap: Heap) -> bool:
    """Tell whether a storage parameter disables autovacuum, except to prevent wraparound."""
    return is_false(heap.option("autovacuum_enabled"))


def is_off(snapshot: Snapshot) -> bool:
    """Tell whether autovacuum is off for the whole server, or without effect since nothing is counted."""
    return False in (snapshot.setting_on("autovacuum"), snapshot.setting_on("track_counts"))


def comes(snapshot: Snapshot, heap: Heap) -> bool:
    """Tell whether autovacuum runs once the heap's trigger is exceeded."""
    return not is_off(snapshot) and not is_disabled(heap)


def had_time(snapshot: Snapshot, heap: Heap, last_visit: datetime | None, naptimes: float) -> bool:
    """Tell whether autovacuum should have processed a heap by now, if it has been due since its last visit.

    A heap past its trigger is not overdue: autovacuum looks at each database once per
    autovacuum_naptime. One naptime is enough if all workers are busy, none if autovacuum does not run.
    """
    return not comes(snapshot, heap) or waited(snapshot, last_visit, naptimes)


def waited(snapshot: Snapshot, last_visit: datetime | None, naptimes: float) -> bool:
    """Tell whether several naptimes have passed since autovacuum's last visit."""
    begins = _latest(last_visit or snapshot.window.begins, snapshot.server.started_at)
    nap = timedelta(milliseconds=snapshot.setting_number("autovacuum_naptime") or 60_000)
    patience = nap * (min(naptimes, 1.0) if are_workers_busy(snapshot) else naptimes)
    return begins is None or snapshot.now - begins >= patience


def are_workers_busy(snapshot: Snapshot) -> bool:
    """Tell whether no autovacuum worker is free."""
    most = snapshot.setting_number("autovacuum_max_workers")
    workers = sum(s.backend_type == "autovacuum worker" for s in snapshot.sessions)
    return most is not None and workers >= max(most, 1)


def is_being_vacuumed(snapshot: Snapshot, heap: Heap) -> bool:
    """Tell whether it is being vacuumed."""
    oid = heap.table.toast_oid if heap.is_toast else heap.table.oid
    mine = (v for v in snapshot.vacuums if v.relation_oid == oid)
    return any(v.database in (None, snapshot.server.database) for v in mine)


# When it runs


def vacuum_trigger(snapshot: Snapshot, heap: Heap) -> float | None:
    """Return how many dead rows trigger autovacuum; None if settings are unknown."""
    base = _setting(snapshot, heap, "autovacuum_vacuum_threshold")
    scale = _setting(snapshot, heap, "autovacuum_vacuum_scale_factor")
    if base is None or scale is None:
        return None
    trigger = base + scale * max(heap.rows, 0.0)
    cap = _setting(snapshot, heap, "autovacuum_vacuum_max_threshold", unset=-2)
    return min(trigger, cap) if cap is not None and cap >= 0 else trigger


def insert_trigger(snapshot: Snapshot, heap: Heap) -> float | None:
    """Return how many inserted rows trigger autovacuum; None if inserts never do."""
    base = _setting(snapshot, heap, "autovacuum_vacuum_insert_threshold", unset=-2)
    scale = _setting(snapshot, heap, "autovacuum_vacuum_insert_scale_factor")
    if base is None or scale is None or base < 0:
        return None
    return base + scale * max(heap.rows, 0.0) * _unfrozen_share(heap)


def _unfrozen_share(heap: Heap) -> float:
    """Return the fraction of pages that are not frozen: since 18, only these count."""
    frozen = heap.table.all_frozen_pages
    if heap.is_toast or frozen is None or heap.pages <= 0:
        return 1.0
    return 1 - min(max(frozen, 0), heap.pages) / heap.pages


def analyze_trigger(snapshot: Snapshot, heap: Heap) -> float | None:
    """Return how many changed rows trigger autoanalyze; None if settings are unknown."""
    base = _setting(snapshot, heap, "autovacuum_analyze_threshold")
    scale = _setting(snapshot, heap, "autovacuum_analyze_scale_factor")
    if base is None or scale is None:
        return None
    return base + scale * max(heap.rows, 0.0)


def freeze_trigger(snapshot: Snapshot, heap: Heap, name: str) -> float | None:
    """Return the age at which autovacuum freezes; a storage parameter can only lower the setting.

    ``name`` is ``autovacuum_freeze_max_age`` or ``autovacuum_multixact_freeze_max_age``.
    """
    setting = snapshot.setting_number(name)
    own = _number(heap.option(name))
    if setting is None or own is None or own < 0:
        return setting
    return min(setting, own)


def _setting(snapshot: Snapshot, heap: Heap, name: str, unset: float = -1) -> float | None:
    """Return a storage parameter unless it is ``unset``, else the setting of the same name."""
    own = _number(heap.option(name)) if heap.options else None
    return own if own is not None and own > unset else snapshot.setting_number(name)


def _number(text: str | None) -> float | None:
    try:
        found = None if text is None else float(text)
    except ValueError:
        return None
    return found if found is None or abs(found) < float("inf") else None


# What it would find


def row_bytes(snapshot: Snapshot, heap: Heap) -> float:
    """Estimate the size of a row on disk from its columns."""
    if heap.is_toast:
        return 2000.0
    columns = snapshot.columns_of[heap.table.oid]
    return ROW_OVERHEAD_BYTES + sum(_column_bytes(snapshot, c) for c in columns)


def _column_bytes(snapshot: Snapshot, column: Column) -> float:
    found = snapshot.statistics_by_key.get((column.table_oid, column.attnum))
    if column.length > 0:
        return column.length
    return found.avg_width * (1 - found.null_fraction) if found else VARYING_BYTES


def dead_bytes(snapshot: Snapshot, heap: Heap) -> int:
    """Estimate the size of the dead rows, which is never more than that of the file."""
    return min(size_bytes(snapshot, heap), int(heap.dead * row_bytes(snapshot, heap)))


def size_bytes(snapshot: Snapshot, heap: Heap) -> int:
    """Return a heap's size: its pages when they were last counted, and the rows inserted since.

    Dead rows do not add to it: pruning reuses the space of a row that was updated. If its pages have
    never been counted, its rows are all that is known.
    """
    known = heap.pages * snapshot.server.block_size
    rows = max(heap.rows, 0.0) + heap.inserted if known else heap.live + heap.dead
    return max(known, int(rows * min(row_bytes(snapshot, heap), 2000.0)))


def _latest(*moments: datetime | None) -> datetime | None:
    return max((m for m in moments if m is not None), default=None)


def last_analyze(activity: TableActivity) -> datetime | None:
    """Return when a table was last analyzed, manually or by autovacuum."""
    return _latest(activity.last_analyze, activity.last_autoanalyze)


# What young counters miss


def forgotten(
    snapshot: Snapshot, window: timedelta, tables: Iterable[Table], what: str
) -> Iterator[Unknown]:
    """Yield why not all dead or changed rows are counted: a reset or crash discarded the counters.

    VACUUM and ANALYZE count again; a database younger than its counters has lost none.
    """
    length, begins = snapshot.window.length, snapshot.window.begins
    if not window or begins is None or length is None or length >= window:
        return
    if counts_all(snapshot):
        return
    blind = [
        t for t in tables if t.kind in ("r", "m") and t.pages > 8 and not _recounted(snapshot, t)
    ]
    if blind:
        yield Unknown(
            f"{what} of {count(len(blind), 'table')} have been counted only since {begins:%Y-%m-%d %H:%M}",
            "run ANALYZE, which counts them again, or accept the shorter period with --window 0",
        )


def unsure(tables: Sequence[Table], what: str, command: str) -> Iterator[Unknown]:
    """Yield that the counts of tables contradict each other."""
    if tables:
        names = ", ".join(sorted(t.qualified for t in tables)[:5])
        yield Unknown(
            f"the server's counts of {what} contradict each other for {count(len(tables), 'table')} "
            f"({names}): the session that ran {command} counted its changes afterward",
            f"run {command} again in another session, which counts them correctly",
        )


def _recounted(snapshot: Snapshot, table: Table) -> bool:
    a = snapshot.activity_by_oid.get(table.oid)
    moments = (a.last_vacuum, a.last_autovacuum, a.last_analyze, a.last_autoanalyze) if a else ()
    return any(moments)


# Remedies
