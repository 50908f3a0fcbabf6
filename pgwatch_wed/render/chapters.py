"""Snapshot → the tables in the report's chapters: column names, how to print them, rows.

A cell is a plain value; the kind of its column determines how the page prints and sorts it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import Index, LockWait, Snapshot, Table
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres.statements import of_users, tooling
from pgwatch_wed.postgres.waits import Participant, Waits
from pgwatch_wed.rules._freeze import LAST_AGE

MAX_ROWS = 50_000
MAX_TEXT = 2_000
_MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a column, and how the column is printed: ``text``, ``code``, ``count``, ``bytes``, ``ms``, ``share`` or ``when``."""

    title: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart of a chapter's table, by column positions; the first column has the names.

    ``kind``: ``bars`` of ``x``, longest first; ``areas`` of ``x`` as a treemap, divided by
    ``parts``; ``dots`` of ``x`` against ``y``, both logarithmic. ``limits`` are lines, with a word on each.
    """

    kind: str
    title: str
    x: int
    y: int | None = None
    parts: tuple[int, ...] = ()
    limits: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """A session or prepared transaction in the tree of lock waits."""

    text: str
    query: str
    waiting: tuple["Branch", ...] = ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """A sortable table of the report, with its charts, and a tree if there is one."""

    id: str
    title: str
    intro: str
    columns: tuple[Heading, ...]
    rows: tuple[tuple[Any, ...], ...]
    left_out: int = 0
    pictures: tuple[Picture, ...] = ()
    missing: str = ""
    tree: tuple[Branch, ...] = ()
    note: str = ""


Maker = Callable[[Snapshot], Chapter]


def chapters(snapshots: Sequence[Snapshot]) -> tuple[Chapter, ...]:
    """Build every chapter from all databases together; that of the record only if there is one."""
    made = tuple(_together([make(s) for s in snapshots]) for make in _MAKERS)
    kept = any(s.advice_record for s in snapshots)
    return (*made, _together([record(s) for s in snapshots])) if kept else made


def _together(parts: list[Chapter]) -> Chapter:
    first = parts[0]
    rows = list(dict.fromkeys(row for part in parts for row in part.rows))
    missing = "; ".join(dict.fromkeys(p.missing for p in parts if p.missing))
    kept = tuple(rows[:MAX_ROWS])
    return Chapter(
        first.id,
        first.title,
        first.intro,
        first.columns,
        kept,
        len(rows) - len(kept),
        first.pictures,
        missing,
        tuple(dict.fromkeys(branch for part in parts for branch in part.tree)),
        " ".join(part.note for part in parts if part.note),
    )


def _chapter(
    snapshot: Snapshot,
    fact: str,
    head: tuple[str, str, str],
    columns: Iterable[Heading],
    rows: Iterable[tuple[Any, ...]],
    *pictures: Picture,
    also: tuple[str, ...] = (),
    tree: tuple[Branch, ...] = (),
    note: str = "",
) -> Chapter:
    """Build a chapter; ``also`` are the other facts that its columns show, unknown where they were not read."""
    return Chapter(
        *head,
        tuple(columns),
        tuple(rows),
        pictures=pictures,
        missing=_not_read(snapshot, (fact, *also)),
        tree=tree,
        note=note,
    )


def _not_read(snapshot: Snapshot, facts: tuple[str, ...]) -> str:
    """Say why facts are absent; which of them, if the chapter shows several."""
    absent: dict[str, list[str]] = {}
    for fact in facts:
        if (why := snapshot.missing.get(fact)) is not None:
            absent.setdefault(f"{why.reason}. {why.mend}".strip(), []).append(fact)
    if len(facts) == 1:
        return next(iter(absent), "")
    named = (f"{', '.join(names).replace('_', ' ')}: {why}" for why, names in absent.items())
    return "; ".join(named)


def statements(s: Snapshot) -> Chapter:
    """Statements by total time."""
    rows = [
        (
            (st.text or "(text not visible)")[:MAX_TEXT],
            round(st.total_exec_ms, 6),
            st.calls,
            round(st.mean_exec_ms, 6),
            st.rows,
            st.shared_blks_read * s.server.block_size,
            st.temp_blks_written * s.server.block_size,
            st.wal_bytes,
            st.user or "",
            s.server.database,
        )
        for st in of_users(s)
    ]
    columns = (
        Heading("statement", "code"),
        Heading("total time", "ms"),
        Heading("calls", "count"),
        Heading("mean", "ms"),
        Heading("rows", "count"),
        Heading("read", "bytes"),
        Heading("temp", "bytes"),
        Heading("WAL", "bytes"),
        Heading("role"),
        Heading("database"),
    )
    head = (
        "workload",
        "Workload",
        "Statements by total execution time, from pg_stat_statements.",
    )
    rows.sort(key=lambda r: -r[1])
    picture = Picture("bars", "Execution time of the ten costliest statements", 1)
    return _chapter(s, "statements", head, columns, rows, picture, note=_without_tools(s))


def _without_tools(s: Snapshot) -> str:
    """Say what is not among the statements."""
    left = tooling(s)
    if not left:
        return ""
    spent = units.duration(sum(st.total_exec_ms for st in left))
    return (
        f"Left out: {units.count(len(left), 'statement')} of this tool, pg_dump, psql, drivers and "
        f"monitoring, which took {spent}."
    )


def tables(s: Snapshot) -> Chapter:
    """Tables by size."""
    rows = [_table_row(s, t) for t in s.tables]
    columns = (
        Heading("table"),
        Heading("size", "bytes"),
        Heading("indexes", "bytes"),
        Heading("live rows", "count"),
        Heading("dead rows", "count"),
        Heading("sequential scans", "count"),
        Heading("index scans", "count"),
        Heading("writes", "count"),
        Heading("HOT share", "share"),
        Heading("last vacuum", "when"),
        Heading("last analyze", "when"),
        Heading("transaction age", "count"),
    )
    head = ("tables", "Tables", "Sizes as of the last VACUUM or ANALYZE.")
    rows.sort(key=lambda r: (-(r[1] or 0), r[0]))
    picture = Picture("areas", "Size of tables and their indexes", 1, parts=(1, 2))
    also = ("table_activity", "indexes")
    return _chapter(s, "tables", head, columns, rows, picture, also=also)


def _table_row(s: Snapshot, t: Table) -> tuple[Any, ...]:
    a = s.activity_by_oid.get(t.oid)
    block = s.server.block_size
    heap = None if _is_unmeasured(t) else (t.pages + (t.toast_pages or 0)) * block
    indexes = None
    if "indexes" not in s.missing:
        indexes = sum(i.pages for i in s.indexes_of[t.oid]) * block
    if a is None:
        rows = t.rows if t.rows >= 0 else None
        return (t.qualified, heap, indexes, rows, *(None,) * 7, t.xid_age_xids)
    hot = a.n_tup_hot_upd / a.n_tup_upd if a.n_tup_upd else None
    return (
        t.qualified,
        heap,
        indexes,
        a.n_live_tup,
        a.n_dead_tup,
        a.seq_scan,
        a.idx_scan,
        a.n_tup_ins + a.n_tup_upd + a.n_tup_del,
        None if hot is None else round(hot, 4),
        _latest(a.last_vacuum, a.last_autovacuum),
        _latest(a.last_analyze, a.last_autoanalyze),
        t.xid_age_xids,
    )


def _is_unmeasured(t: Table) -> bool:
    """Tell whether there was no VACUUM or ANALYZE yet: what the catalog says then is not the size."""
    return t.pages == 0 and t.rows < 0


def indexes(s: Snapshot) -> Chapter:
    """Indexes by size, with their usage."""
    rows = [_index_row(s, i) for i in s.indexes]
    columns = (
        Heading("index"),
        Heading("table"),
        Heading("size", "bytes"),
        Heading("scans", "count"),
        Heading("rows read", "count"),
        Heading("last used", "when"),
        Heading("kind"),
        Heading("columns"),
    )
    head = ("indexes", "Indexes", "Size and usage; only scans on this server are counted.")
    rows.sort(key=lambda r: (-r[2], r[0]))
    picture = Picture("dots", "Size of indexes and number of scans", 3, y=2)
    also = ("index_usage", "tables", "columns")
    return _chapter(s, "indexes", head, columns, rows, picture, also=also)


def _index_row(s: Snapshot, i: Index) -> tuple[Any, ...]:
    usage = s.usage_by_oid.get(i.oid)
    table = s.table_by_oid.get(i.table_oid)
    flags = [
        word
        for word, holds in (
            ("primary key", i.is_primary),
            ("unique", i.is_unique and not i.is_primary),
            ("exclusion", i.is_exclusion),
            ("invalid", not i.is_valid),
            ("partial", i.predicate is not None),
            ("expression", i.expressions is not None),
        )
        if holds
    ]
    return (
        i.qualified,
        table.qualified if table else None,
        i.pages * s.server.block_size,
        usage.idx_scan if usage else None,
        usage.idx_tup_read if usage else None,
        usage.last_idx_scan.isoformat() if usage and usage.last_idx_scan else None,
        ", ".join([i.access_method, *flags]),
        _index_columns(s, i),
    )


def _index_columns(s: Snapshot, i: Index) -> str | None:
    if "columns" in s.missing:
        return None
    return ", ".join(s.column_names(i.table_oid, i.keys)).replace("?", "(expression)")


def freeze(s: Snapshot) -> Chapter:
    """Dead rows and transaction ages, relative to what triggers autovacuum for each table."""
    rows = [_freeze_row(s, t) for t in s.tables if t.xid_age_xids is not None]
    columns = (
        Heading("table"),
        Heading("dead rows", "count"),
        Heading("share of trigger", "share"),
        Heading("transaction age", "count"),
        Heading("share of freeze age", "share"),
        Heading("left until writes stop", "count"),
        Heading("multixact age", "count"),
        Heading("last vacuum", "when"),
    )
    head = (
        "vacuum",
        "Vacuum and freezing",
        "Each table relative to its own trigger and freeze age; autovacuum starts at 100%.",
    )
    rows.sort(key=lambda r: (-(r[4] or 0), r[0]))
    starts = ((1.0, "autovacuum starts"),)
    dead = Picture(
        "bars", "Dead rows relative to each table's autovacuum trigger", 2, limits=starts
    )
    title = "Transaction age on the way to the limit at which the server stops assigning transaction IDs"
    ages = Picture("bars", title, 3, limits=_age_limits(s))
    also = ("table_activity", "settings")
    return _chapter(s, "tables", head, columns, rows[:2000], dead, ages, also=also)


def _age_limits(s: Snapshot) -> tuple[tuple[float, str], ...]:
    forced = s.setting_number("autovacuum_freeze_max_age")
    first = ((forced, "autovacuum is forced"),) if forced is not None else ()
    return (*first, (float(LAST_AGE), "writes stop"))


def _freeze_row(s: Snapshot, t: Table) -> tuple[Any, ...]:
    heap = vac.heap_of(s, t)
    age = max(t.xid_age_xids or 0, t.toast_xid_age_xids or 0)
    dead = None if "table_activity" in s.missing else heap.dead
    trigger = vac.vacuum_trigger(s, heap)
    oldest = vac.freeze_trigger(s, heap, "autovacuum_freeze_max_age")
    return (
        t.qualified,
        dead,
        round(dead / trigger, 4) if trigger and dead is not None else None,
        age,
        round(age / oldest, 4) if oldest else None,
        max(LAST_AGE - age, 0),
        max(t.mxid_age or 0, t.toast_mxid_age or 0),
        heap.last_vacuum.isoformat() if heap.last_vacuum else None,
    )


def sessions(s: Snapshot) -> Chapter:
    """Sessions and lock waits."""
    waits = {w.pid: w for w in s.lock_waits}
    rows = [
        (
            x.pid,
            x.user or "",
            x.application_name or "",
            x.state or x.backend_type or "",
            _age_ms(s, x.xact_start),
            *_waits_of(s, waits.get(x.pid)),
            (x.query or "")[:500],
        )
        for x in s.sessions
        if x.backend_type in (None, "client backend")
    ]
    columns = (
        Heading("pid", "id"),
        Heading("role"),
        Heading("application"),
        Heading("state"),
        Heading("transaction duration", "ms"),
        Heading("blocked by"),
        Heading("lock on"),
        Heading("statement", "code"),
    )
    head = (
        "locks",
        "Sessions and locks",
        "Client sessions, and which of them were waiting for locks.",
    )
    rows.sort(key=lambda r: -(r[4] or 0))
    also = ("lock_waits",)
    return _chapter(s, "sessions", head, columns, rows, also=also, tree=lock_tree(s))


def _waits_of(s: Snapshot, wait: LockWait | None) -> tuple[str | None, str | None]:
    """Return for whom a session waits, and for what."""
    if "lock_waits" in s.missing:
        return None, None
    if wait is None:
        return "", ""
    return ", ".join(map(str, wait.blocked_by)), wait.relation or wait.locktype


def lock_tree(s: Snapshot) -> tuple[Branch, ...]:
    """Build the tree of waits from those that are not waiting themselves; each session stands in it once."""
    waits = Waits(s)
    behind = _placed(waits)
    return tuple(_branch(s, waits, root, behind) for root in waits.roots)


def _placed(waits: Waits) -> Mapping[Participant, list[int]]:
    """Return those behind each session: one that waits for several is behind the last of them in the queue."""
    depth: dict[Participant, int] = dict.fromkeys(waits.roots, 0)
    above: dict[Participant, Participant] = {}
    found: dict[Participant, list[int]] = defaultdict(list)
    # in a queue, the first waits for the fewest
    known = [pid for pid in waits.before if waits.before[pid]]
    left = sorted(known, key=lambda pid: (len(waits.before[pid]), pid))
    while left:
        ready = next((p for p in left if all(b in depth for b in waits.before[p])), None)
        # of a deadlock, not all are placed before
        partly = (p for p in left if any(b in depth for b in waits.before[p]))
        pid = next(partly, None) if ready is None else ready
        if pid is None:
            break
        left.remove(pid)
        last = max((b for b in waits.before[pid] if b in depth), key=lambda b: depth[b])
        if depth[last] >= _MAX_DEPTH:
            last = above[last]
        above[pid], depth[pid] = last, depth[last] + 1
        found[last].append(pid)
    return found


def _branch(
    s: Snapshot, waits: Waits, node: Participant, behind: Mapping[Participant, list[int]]
) -> Branch:
    session = s.session_by_pid.get(node) if isinstance(node, int) else None
    wait = waits.by_pid.get(node) if isinstance(node, int) else None
    words = [str(node) if isinstance(node, int) else f"prepared transaction {node}"]
    if session is not None:
        words += [w for w in (session.user, session.application_name, session.state) if w]
    if wait is not None:
        words.append(f"is waiting for {wait.mode} on {wait.relation or wait.locktype}")
    return Branch(
        ", ".join(words),
        (session.query or "")[:500] if session else "",
        tuple(_branch(s, waits, pid, behind) for pid in sorted(behind.get(node, ()))),
    )


def databases(s: Snapshot) -> Chapter:
    """Databases: cache, temporary files, deadlocks."""
    rows = [
        (
            d.name,
            d.num_backends,
            d.xact_commit,
            d.xact_rollback,
            None if d.blks_read is None else d.blks_read * s.server.block_size,
            _ratio(d.blks_hit, d.blks_read),
            d.temp_bytes,
            d.deadlocks,
            d.xid_age_xids,
        )
        for d in s.databases
    ]
    columns = (
        Heading("database"),
        Heading("sessions", "count"),
        Heading("commits", "count"),
        Heading("rollbacks", "count"),
        Heading("read", "bytes"),
        Heading("cache hits", "share"),
        Heading("temporary files", "bytes"),
        Heading("deadlocks", "count"),
        Heading("transaction age", "count"),
    )
    head = ("cache", "Databases and cache", "A hit ratio means little without the volume.")
    picture = Picture("bars", "Size of temporary files by database", 6)
    return _chapter(s, "databases", head, columns, rows, picture)


def io(s: Snapshot) -> Chapter:
    """I/O by backend type."""
    rows = [
        (
            f"{r.backend_type}, {r.object}, {r.context}",
            r.reads,
            r.read_bytes,
            r.read_ms,
            r.writes,
            r.write_bytes,
            r.write_ms,
            r.hits,
            r.evictions,
        )
        for r in s.io
        if r.reads or r.writes or r.hits or r.extends
    ]
    columns = (
        Heading("backend, object, context"),
        Heading("reads", "count"),
        Heading("read", "bytes"),
        Heading("read time", "ms"),
        Heading("writes", "count"),
        Heading("written", "bytes"),
        Heading("write time", "ms"),
        Heading("hits", "count"),
        Heading("evictions", "count"),
    )
    head = ("io", "I/O", "From pg_stat_io; times require track_io_timing.")
    picture = Picture("bars", "Amount read", 2)
    return _chapter(s, "io", head, columns, rows, picture)


def wal(s: Snapshot) -> Chapter:
    """WAL and checkpoints."""
    rows: list[tuple[Any, ...]] = []
    for c in s.checkpoints:
        rows += [
            ("timed checkpoints", c.timed, None),
            ("requested checkpoints", c.requested, None),
            ("written by checkpoints", None, (c.buffers_checkpoint or 0) * s.server.block_size),
        ]
    for w in s.wal:
        rows += [
            ("WAL written", None, w.wal_bytes),
            ("full-page images", w.full_page_images, None),
            ("WAL buffers full", w.buffers_full, None),
        ]
    for a in s.archiver:
        rows += [
            ("WAL files archived", a.archived_count, None),
            ("failed attempts to archive a WAL file", a.failed_count, None),
        ]
    rows = [row for row in rows if row[1] is not None or row[2] is not None]
    head = ("wal", "WAL and checkpoints", "Each counted since its own statistics reset.")
    columns = (Heading("counter"), Heading("count", "count"), Heading("volume", "bytes"))
    volume = Picture("bars", "Volume of WAL and of checkpoint writes", 2)
    return _chapter(s, "checkpoints", head, columns, rows, volume, also=("wal", "archiver"))


def replication(s: Snapshot) -> Chapter:
    """Standbys and slots."""
    rows: list[tuple[Any, ...]] = [
        (f"standby {r.application_name}", r.state or "", r.replay_lag_bytes, r.replay_lag_ms)
        for r in s.replicas
    ]
    rows += [
        (f"slot {x.name}", "active" if x.is_active else "inactive", x.retained_bytes, None)
        for x in s.slots
    ]
    columns = (
        Heading("standby or slot"),
        Heading("state"),
        Heading("lag", "bytes"),
        Heading("lag in time", "ms"),
    )
    head = ("replication", "Replication", "Standbys and replication slots.")
    return _chapter(s, "replicas", head, columns, rows, also=("slots",))


def settings(s: Snapshot) -> Chapter:
    """List settings that differ from their defaults."""
    rows = [
        (x.name, units.setting(x.setting, x.unit), units.setting(x.boot_val, x.unit), x.source)
        for x in s.settings
        if x.source not in ("default", "override", "client", "session") and x.setting != x.boot_val
    ]
    columns = (
        Heading("setting"),
        Heading("value"),
        Heading("default"),
        Heading("set by"),
    )
    head = ("configuration", "Configuration", "Settings that differ from PostgreSQL's defaults.")
    return _chapter(s, "settings", head, columns, sorted(rows))


def sequences(s: Snapshot) -> Chapter:
    """Sequences, and how much of each is used."""
    rows = [
        (
            f"{q.schema}.{q.name}",
            q.type,
            q.last_value,
            q.max_value if q.increment > 0 else q.min_value,
            _used(q.last_value, q.min_value, q.max_value, q.increment),
        )
        for q in s.sequences
    ]
    columns = (
        Heading("sequence"),
        Heading("type"),
        Heading("last value", "count"),
        Heading("limit", "count"),
        Heading("used", "share"),
    )
    head = ("schema", "Sequences", "How much of each sequence is used.")
    rows.sort(key=lambda r: (-(r[4] or 0), r[0]))
    picture = Picture("bars", "Used share of each sequence", 4, limits=((1.0, "the end"),))
    return _chapter(s, "sequences", head, columns, rows, picture)


def record(s: Snapshot) -> Chapter:
    """List what past advice came to."""
    rows = [
        (
            *(r.rule, r.grade, r.advised, r.applied, r.partly, r.helped, r.no_effect, r.harmed),
            *(r.open, r.predicted_ms_per_day, r.measured_ms_per_day),
        )
        for r in s.advice_record
    ]
    columns = (
        Heading("rule"),
        Heading("grade"),
        Heading("advised", "count"),
        Heading("applied", "count"),
        Heading("only in part", "count"),
        Heading("helped", "count"),
        Heading("no effect", "count"),
        Heading("harmed", "count"),
        Heading("not yet known", "count"),
        Heading("predicted per day", "ms"),
        Heading("measured per day", "ms"),
    )
    head = (
        "record",
        "Record",
        "What the advice of earlier runs came to, by rule and grade, on this server.",
    )
    return _chapter(s, "advice_record", head, columns, rows)


_MAKERS: tuple[Maker, ...] = (
    *(statements, tables, indexes, freeze, sessions),
    *(databases, io, wal, replication, settings, sequences),
)


def _latest(*moments: Any) -> str | None:
    known = [m for m in moments if m is not None]
    return max(known).isoformat() if known else None


def _age_ms(s: Snapshot, since: Any) -> float | None:
    return None if since is None else round((s.now - since).total_seconds() * 1000)


def _ratio(hit: int | None, read: int | None) -> float | None:
    total = (hit or 0) + (read or 0)
    return round((hit or 0) / total, 4) if total else None


def _used(last: int | None, low: int, high: int, step: int) -> float | None:
    if last is None or high <= low:
        return None
    done = last - low if step > 0 else high - last
    return round(done / (high - low), 4)
