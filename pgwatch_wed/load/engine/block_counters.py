"""What the server counted while a block ran.

Sessions report their counters late, at the latest when they end. So the counters are read before the sessions of a
block begin and after all have ended, and cover warm-up, connecting, and every transaction that ran.
"""

import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgwatch_wed import assets
from pgwatch_wed.facts.features import Features
from pgwatch_wed.load.load_model import BlockWork

_STEP_S = 0.05
_COLLECTOR_S = 0.6  # what an older server's collector may still hold back
_ENDING_S = 10.0


@dataclass(frozen=True, slots=True)
class BlockCounters:
    """Totals of a server at a moment."""

    values: dict[str, int | None]

    def work_until(
        self, after: "BlockCounters", transactions: int, cpu_ms: float | None
    ) -> BlockWork | None:
        """Return what was done since; None if the counters were reset in between."""
        change = {
            name: None if (then := after.values[name]) is None or value is None else then - value
            for name, value in self.values.items()
        }
        # a table that was dropped takes its own with it
        upkeep = max(change.pop("upkeep") or 0, 0)
        if any(value is not None and value < 0 for value in change.values()):
            return None
        return BlockWork(
            transactions=transactions,
            blocks_hit=change["blks_hit"],
            blocks_read=change["blks_read"],
            rows_changed=change["rows_changed"],
            temp_bytes=change["temp_bytes"],
            wal_records=change["wal_records"],
            wal_bytes=change["wal_bytes"],
            wal_full_page_images=change["wal_fpi"],
            upkeep=upkeep,
            cpu_ms=cpu_ms,
        )


def read_counters(session: psycopg.Connection[Any]) -> BlockCounters:
    """Read the counters of the session's database."""
    features = Features.of(session.info.server_version)
    name = "block_counters" if _counts_wal(session) else "block_counters_without_wal"
    if not features.has_consistent_statistics():
        time.sleep(_COLLECTOR_S)
    with session.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_text(name))
        row = cursor.fetchone()
    return BlockCounters({n: None if v is None else int(v) for n, v in (row or {}).items()})


def _counts_wal(session: psycopg.Connection[Any]) -> bool:
    row = session.execute("select to_regclass('pg_catalog.pg_stat_wal') is not null").fetchone()
    return bool(row and row[0])


def end_sessions(session: psycopg.Connection[Any], name: str) -> bool:
    """End the sessions of an application name; return whether all are gone.

    A pooler keeps its sessions open when pgbench has ended, and opens others when it needs them.
    """
    end = time.monotonic() + _ENDING_S
    while time.monotonic() < end:
        if not terminate(session, name):
            return True
        time.sleep(_STEP_S)
    return False


def terminate(session: psycopg.Connection[Any], name: str) -> int:
    """Ask the sessions of an application name to end; return how many there were."""
    row = session.execute(_text("end_block_sessions"), {"name": name}).fetchone()
    return int(row[0]) if row else 0


def _text(name: str) -> str:
    return assets.text("sql", "load", f"{name}.sql")
