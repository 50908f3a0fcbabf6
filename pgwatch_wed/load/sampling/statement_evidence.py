"""What the server counted of the statements of a load: why their work took long. Pure; all from the difference of two snapshots."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from pgwatch_wed.facts import Snapshot, Statement, TableActivity
from pgwatch_wed.load.sampling.active_samples import SampledStatement
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind
from pgwatch_wed.sqltext.reading import QualifiedName, read
from pgwatch_wed.sqltext.statement_link import linkable
from pgwatch_wed.sqltext.text import normalise

_MIN_SHARE = 0.1  # of a statement's time
_MANY_ROWS = 1_000  # a scan of fewer costs less than an index would save
_FEW = 0.01  # of the rows read
# Of full-page images, a session that does nothing else writes at most about so much where its machine is busy: each is copied,
# its checksum computed, and written, and sooner or later its page, too.
_IMAGE_BYTES_PER_S = 64e6


@dataclass(frozen=True, slots=True)
class WorkDoubt:
    """Why a statement's work may be needless. ``part``: the share of its time that this touches at most."""

    kind: Kind
    part: float
    concerns: str = ""
    evidence: dict[str, object] = field(default_factory=dict)


def counted_of(statement: SampledStatement, delta: Snapshot) -> list[Statement]:
    """Return the rows that pg_stat_statements has of a sampled statement."""
    ids = frozenset(statement.query_ids)
    rows = [s for s in delta.statements if s.query_id in ids and s.is_toplevel]
    if rows or ids:
        return rows
    return [s for s in delta.statements if s.text and linkable(s.text) == statement.key]


def with_text(statement: SampledStatement, delta: Snapshot) -> SampledStatement:
    """Return a statement with the text that pg_stat_statements has of it, if no session showed it."""
    if statement.text:
        return statement
    texts = (normalise(s.text) for s in counted_of(statement, delta) if s.text)
    return replace(statement, text=next(texts, ""))


def work_doubts(statement: SampledStatement, delta: Snapshot) -> Iterator[WorkDoubt]:
    """Yield what the counters say against a statement's work."""
    rows = counted_of(statement, delta)
    exec_ms = sum(s.total_exec_ms for s in rows)
    if not exec_ms:
        return
    yield from _temp_files(rows, exec_ms, delta)
    yield from _jit(rows, exec_ms)
    yield from _planning(rows, exec_ms)
    yield from _full_page_images(rows, exec_ms, delta)
    yield from _missing_index(statement, rows, delta)


def _temp_files(rows: list[Statement], exec_ms: float, delta: Snapshot) -> Iterator[WorkDoubt]:
    blocks = sum(s.temp_blks_read + s.temp_blks_written for s in rows)
    calls = sum(s.calls for s in rows)
    if not blocks:
        return
    timed = [s.temp_blk_ms for s in rows if s.temp_blk_ms is not None]
    size = delta.server.block_size
    yield WorkDoubt(
        Kind.TEMP_FILES,
        1.0,
        "work_mem",
        {
            "temp_bytes_per_call": round(blocks * size / calls) if calls else None,
            "temp_bytes": blocks * size,
            "temp_io_share_of_execution": round(sum(timed) / exec_ms, 4) if timed else None,
        },
    )


def _jit(rows: list[Statement], exec_ms: float) -> Iterator[WorkDoubt]:
    spent = sum(s.jit_ms or 0.0 for s in rows)
    if spent / exec_ms >= _MIN_SHARE:
        yield WorkDoubt(Kind.JIT, min(spent / exec_ms, 1.0), "jit", {"jit_ms": round(spent, 3)})


def _planning(rows: list[Statement], exec_ms: float) -> Iterator[WorkDoubt]:
    spent = sum(s.total_plan_ms for s in rows)
    part = spent / (spent + exec_ms)
    if part >= _MIN_SHARE:
        yield WorkDoubt(Kind.PLANNING, part, "", {"planning_ms": round(spent, 3)})


def _full_page_images(
    rows: list[Statement], exec_ms: float, delta: Snapshot
) -> Iterator[WorkDoubt]:
    """Yield the first changes of pages, if checkpoints come because of WAL: those that come by time are as they should be."""
    checkpoints = delta.checkpoints[0] if delta.checkpoints else None
    if checkpoints is None or not checkpoints.requested:
        return
    images, written = sum(s.wal_fpi for s in rows), sum(s.wal_bytes for s in rows)
    size = min(images * delta.server.block_size, written)  # wal_compression makes them smaller
    part = size / _IMAGE_BYTES_PER_S / (exec_ms / 1000)
    if size < written / 2 or part < _MIN_SHARE:
        return
    yield WorkDoubt(
        Kind.FULL_PAGE_IMAGES,
        min(part, 1.0),
        "",
        {
            "full_page_images": images,
            "full_page_image_share_of_wal": round(size / written, 4),
            "checkpoints_requested": checkpoints.requested,
        },
    )


def _missing_index(
    statement: SampledStatement, rows: list[Statement], delta: Snapshot
) -> Iterator[WorkDoubt]:
    texts = [s.text for s in rows if s.text] or [statement.text]
    reading = read(texts[0])
    if reading.why_not or not reading.conditions:
        return
    calls = sum(s.calls for s in rows)
    returned = sum(s.rows for s in rows) / calls if calls else 0.0
    for name, activity in _scanned(delta, reading.relations):
        read_each = activity.seq_tup_read / activity.seq_scan
        if read_each < _MANY_ROWS or activity.seq_scan < calls / 2 or not calls:
            continue
        if returned <= read_each * _FEW:
            yield WorkDoubt(
                Kind.MISSING_INDEX,
                1.0,
                name,
                {
                    "sequential_scans": activity.seq_scan,
                    "rows_read_per_scan": round(read_each),
                    "rows_returned_per_call": round(returned, 2),
                },
            )


def _scanned(
    delta: Snapshot, relations: Iterable[QualifiedName]
) -> Iterator[tuple[str, TableActivity]]:
    """Yield the tables of a statement that were scanned; not those that a name without a schema cannot tell apart."""
    named = defaultdict(list)
    for table in delta.tables:
        named[table.name].append(table)
    for relation in dict.fromkeys(relations):
        meant = [t for t in named[relation.name] if relation.schema in (None, t.schema)]
        activity = delta.activity_by_oid.get(meant[0].oid) if len(meant) == 1 else None
        if activity is not None and activity.seq_scan:
            yield f"{meant[0].schema}.{meant[0].name}", activity
