"""The statements that are the users' own, and how much of the load they and the findings cover."""

from collections.abc import Iterable, Sequence

from pgwatch_wed import statement_text
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Coverage, Finding

MS_PER_DAY = 86_400_000.0


def statements(snapshot: Snapshot) -> tuple[Statement, ...]:
    """Return the top-level statements of users: no tool's, no catalog reader's.

    Statements whose text is hidden stay: their cost is real even if nobody may read them.
    """
    return tuple(s for s in snapshot.statements if s.is_toplevel and not is_tooling(s))


def is_tooling(statement: Statement) -> bool:
    """Tell whether a statement is ours or reads nothing but catalogs."""
    text = statement.text
    return text is not None and (statement_text.is_own(text) or statement_text.is_monitoring(text))


def per_day(snapshot: Snapshot, amount: float, statement: Statement | None = None) -> float | None:
    """Spread an amount since the counters began over a day; None where their beginning is unknown.

    A window under an hour is too short to say anything about a day.
    """
    begins = (statement.stats_since if statement else None) or snapshot.statements_window.begins
    if begins is None:
        return None
    seconds = (snapshot.now - begins).total_seconds()
    return amount * 86_400 / seconds if seconds >= 3600 else None


def coverage(snapshots: Sequence[Snapshot], findings: Iterable[Finding]) -> Coverage:
    """Say how much of the measured execution time can be read, and how much the findings explain."""
    total = sum(i.total_exec_ms_database for s in snapshots for i in s.statements_info)
    tooling = sum(
        st.total_exec_ms
        for s in snapshots
        for st in s.statements
        if st.is_toplevel and is_tooling(st)
    )
    load = total - tooling
    visible = sum(
        st.total_exec_ms for s in snapshots for st in statements(s) if st.text is not None
    )
    named = {q for f in findings for q in f.evidence.get("query_ids", ())}
    explained = sum(
        st.total_exec_ms for s in snapshots for st in statements(s) if st.query_id in named
    )
    infos = [i for s in snapshots[:1] for i in s.statements_info]
    return Coverage(
        explained_share=_share(explained, load),
        visible_share=_share(visible, load),
        hidden_statements=sum(i.hidden_entries for i in infos),
        evictions_per_hour=_evictions(snapshots[0]),
    )


def _share(part: float, whole: float) -> float | None:
    return round(min(part / whole, 1.0), 4) if whole > 0 else None


def _evictions(snapshot: Snapshot) -> float | None:
    """Return evicted entries an hour; each dealloc drops 5 % of the table, ten at the least."""
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    length = snapshot.statements_window.length
    if info is None or info.dealloc is None or not length or not info.max_entries:
        return None
    dropped = info.dealloc * max(10, info.max_entries * 0.05)
    return round(dropped / max(length.total_seconds() / 3600, 1e-3), 2)
