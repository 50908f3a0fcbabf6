"""What the rules about statements share: names, evidence, and how far the load can be seen."""

import re
from typing import Any

from pgwatch_wed import workload
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Object, Unknown

_SPACE = re.compile(r"\s+")


def object_of(snapshot: Snapshot, statement: Statement) -> Object:
    """Name a statement by its query id: the text is in the evidence."""
    return Object("statement", str(statement.query_id), database=snapshot.server.database)


def short(statement: Statement, length: int = 60) -> str:
    """Return the beginning of the text on one line."""
    if statement.text is None:
        return f"statement {statement.query_id}"
    text = _SPACE.sub(" ", statement.text).strip()
    return text if len(text) <= length else text[: length - 1] + "…"


def evidence(snapshot: Snapshot, statement: Statement) -> dict[str, Any]:
    """Return what every finding about a statement carries, how far the load can be seen included."""
    coverage = workload.coverage([snapshot], ())
    return {
        "query_ids": [statement.query_id],
        "query": statement.text,
        "user": statement.user,
        "calls": statement.calls,
        "total_exec_ms": round(statement.total_exec_ms, 3),
        "mean_exec_ms": round(statement.mean_exec_ms, 3),
        "rows": statement.rows,
        "load_visible_share": coverage.visible_share,
        "evictions_per_hour": coverage.evictions_per_hour,
    }


def load_ms(snapshot: Snapshot) -> float:
    """Return the time of the users' own statements, all together."""
    return sum(s.total_exec_ms for s in workload.statements(snapshot))


def share(snapshot: Snapshot, statement: Statement) -> float:
    """Return a statement's part of the users' load."""
    total = load_ms(snapshot)
    return statement.total_exec_ms / total if total > 0 else 0.0


def nothing_counted(snapshot: Snapshot) -> Unknown | None:
    """Return why there is no load to judge, if there is none."""
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    if info is not None and info.track == "none":
        return Unknown("pg_stat_statements.track is none", "SET pg_stat_statements.track = top")
    return None
