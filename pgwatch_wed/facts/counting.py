"""Which fields of a fact are counters: only they can be subtracted, everything else is as it is now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

RowKey = tuple[Any, ...]
Row = TypeVar("Row", bound=Any)


@dataclass(frozen=True, slots=True)
class Counters:
    """The fields that identify a row, and those that only grow until they are reset.

    ``sums`` are those of the fields that add up several objects, and fall when one is dropped.
    """

    key: tuple[str, ...]
    fields: tuple[str, ...]
    sums: frozenset[str] = frozenset()

    def key_of(self, row: Any) -> RowKey:
        """Return what identifies a row in both snapshots."""
        return tuple(getattr(row, name) for name in self.key)

    def by_key(self, rows: tuple[Any, ...]) -> dict[RowKey, Any]:
        """Return the rows by what identifies them."""
        return {self.key_of(row): row for row in rows}

    def fell(self, old: Any, new: Any) -> bool:
        """Tell whether any counter is lower than it was: the row has begun anew."""
        return any(b < a for a, b in self._pairs(old, new))

    def counted(self, row: Any) -> bool:
        """Tell whether anything was counted."""
        return any(getattr(row, name) for name in self.fields)

    def subtract(self, old: Row, new: Row) -> Row:
        """Return the new row with what was counted in between; what one of them lacks is unknown."""
        return replace(new, **{name: self._difference(old, new, name) for name in self.fields})

    def without(self, row: Row) -> Row:
        """Return the row with its counters unknown."""
        return replace(row, **dict.fromkeys(self.fields))

    @staticmethod
    def _difference(old: Any, new: Any, name: str) -> Any:
        before, after = getattr(old, name), getattr(new, name)
        return None if before is None or after is None else max(after - before, 0)

    def _pairs(self, old: Any, new: Any) -> list[tuple[float, float]]:
        own = (name for name in self.fields if name not in self.sums)
        pairs = ((getattr(old, name), getattr(new, name)) for name in own)
        return [(a, b) for a, b in pairs if a is not None and b is not None]


COUNTERS: Mapping[str, Counters] = {
    "databases": Counters(
        ("oid",),
        (
            *(
                "xact_commit",
                "xact_rollback",
                "blks_read",
                "blks_hit",
                "blk_read_ms",
                "blk_write_ms",
            ),
            *("tup_returned", "tup_fetched", "tup_inserted", "tup_updated", "tup_deleted"),
            *("conflicts", "temp_files", "temp_bytes", "deadlocks", "checksum_failures"),
            *("session_ms", "active_ms", "idle_in_transaction_ms"),
            *("sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed"),
        ),
    ),
    "checkpoints": Counters(
        (),
        (
            *("timed", "requested", "write_ms", "sync_ms", "buffers_checkpoint", "buffers_clean"),
            *("maxwritten_clean", "buffers_backend", "buffers_backend_fsync", "buffers_alloc"),
        ),
    ),
    "wal": Counters((), ("records", "full_page_images", "wal_bytes", "buffers_full")),
    "slot_spills": Counters(
        ("slot_name",),
        (
            *("spill_txns", "spill_count", "spill_bytes", "stream_txns", "stream_bytes"),
            *("total_txns", "total_bytes"),
        ),
    ),
    "archiver": Counters((), ("archived_count", "failed_count")),
    "slru": Counters(("name",), ("blks_zeroed", "blks_hit", "blks_read", "blks_written")),
    "io": Counters(
        ("backend_type", "object", "context"),
        (
            *("reads", "read_bytes", "read_ms", "writes", "write_bytes", "write_ms"),
            *("extends", "hits", "evictions", "reuses", "fsyncs"),
        ),
    ),
    "table_activity": Counters(
        ("oid",),
        (
            *("seq_scan", "seq_tup_read", "idx_scan", "idx_tup_fetch"),
            *("n_tup_ins", "n_tup_upd", "n_tup_del", "n_tup_hot_upd", "n_tup_newpage_upd"),
            *("vacuum_count", "autovacuum_count", "analyze_count", "autoanalyze_count"),
            *("total_autovacuum_ms", "heap_blks_read", "heap_blks_hit", "idx_blks_read"),
            *(
                "idx_blks_hit",
                "toast_blks_read",
                "toast_blks_hit",
                "tidx_blks_read",
                "tidx_blks_hit",
            ),
        ),
        frozenset(
            (
                *("idx_scan", "idx_tup_fetch", "idx_blks_read", "idx_blks_hit"),
                *("toast_blks_read", "toast_blks_hit", "tidx_blks_read", "tidx_blks_hit"),
            )
        ),
    ),
    "index_usage": Counters(
        ("oid",), ("idx_scan", "idx_tup_read", "idx_tup_fetch", "blks_read", "blks_hit")
    ),
    "statements": Counters(
        ("user_oid", "query_id", "is_toplevel"),
        (
            *("calls", "plans", "total_plan_ms", "total_exec_ms", "rows"),
            *("shared_blks_hit", "shared_blks_read", "shared_blks_dirtied", "shared_blks_written"),
            *("local_blks_hit", "local_blks_read", "temp_blks_read", "temp_blks_written"),
            *("blk_read_ms", "blk_write_ms", "temp_blk_ms", "wal_records", "wal_fpi", "wal_bytes"),
            *("jit_functions", "jit_ms", "parallel_workers_to_launch", "parallel_workers_launched"),
            *("generic_plan_calls", "custom_plan_calls"),
        ),
    ),
}
"""The counters of each fact that has any."""
