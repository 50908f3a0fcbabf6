"""What the whole server counted during a load, as evidence for causes."""

from collections.abc import Mapping

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind

_CLIENT = "client backend"


def server_evidence(delta: Snapshot | None) -> Mapping[Kind, Mapping[str, object]]:
    """Return, for kinds of causes, what the counters of the interval say; what is unknown is left out."""
    if delta is None:
        return {}
    found: dict[Kind, dict[str, object]] = {}
    if delta.wal:
        wal = delta.wal[0]
        numbers = {"wal_records": wal.records, "wal_bytes": wal.wal_bytes}
        found[Kind.FLUSH] = {**numbers, **_commits(delta)}
        found[Kind.WAL_INSERT] = {**numbers, "wal_buffers_full": wal.buffers_full}
    if delta.checkpoints:
        row = delta.checkpoints[0]
        pages = delta.wal[0].full_page_images if delta.wal else None
        found[Kind.CHECKPOINT] = {
            "checkpoints_requested": row.requested,
            "checkpoints_timed": row.timed,
            "full_page_images": pages,
        }
    database = delta.database
    if database is not None:
        found[Kind.TEMP_FILES] = {"temp_files": database.temp_files}
        found[Kind.ROW_LOCK] = {"deadlocks": database.deadlocks, **_dead(delta)}
        found[Kind.IO_READ] = {"blocks_read": database.blks_read, "blocks_hit": database.blks_hit}
        found[Kind.CONNECTIONS] = {"sessions": database.sessions, **_commits(delta)}
    found.setdefault(Kind.IO_READ, {}).update(_client_io(delta, "reads", "read_ms"))
    found[Kind.IO_WRITE] = _client_io(delta, "writes", "write_ms")
    return {
        kind: {name: value for name, value in row.items() if value is not None}
        for kind, row in found.items()
    }


def _commits(delta: Snapshot) -> dict[str, object]:
    return {"transactions": delta.database.xact_commit if delta.database else None}


def _dead(delta: Snapshot) -> dict[str, object]:
    updated = sum(a.n_tup_upd for a in delta.table_activity)
    hot = sum(a.n_tup_hot_upd for a in delta.table_activity)
    dead = sum(a.n_dead_tup for a in delta.table_activity)
    return {"rows_updated": updated, "hot_updates": hot, "dead_rows": dead}


def _client_io(delta: Snapshot, *names: str) -> dict[str, object]:
    rows = [r for r in delta.io if r.backend_type == _CLIENT and r.object == "relation"]
    found: dict[str, object] = {}
    for name in names:
        values = [v for r in rows if (v := getattr(r, name)) is not None]
        if values:
            found[f"client_{name}"] = round(sum(values), 3)
    return found
