"""The users' own statements, and how much of the load they and the findings cover."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Coverage, Finding
from pgwatch_wed.sqltext import text as statement_text

_HOUR_S = 3600


@derived
def of_users(snapshot: Snapshot) -> tuple[Statement, ...]:
    """Return the top-level statements of users, one per query ID, without those of monitoring tools.

    The costliest come first.

    Statements run by several roles are added up; ``user`` is then the role that spends the most time on
    it. Statements whose text is hidden are included: their cost is real. Statements inside functions are
    not, since the time of their callers includes theirs.
    """
    by_id: dict[int, list[Statement]] = defaultdict(list)
    for s in _without_tools(snapshot):
        if s.is_toplevel:
            by_id[s.query_id].append(s)
    found = map(_together, by_id.values())
    return tuple(sorted(found, key=lambda s: (-s.total_exec_ms, s.query_id)))


@derived
def queries(snapshot: Snapshot) -> tuple[Statement, ...]:
    """Return those of :func:`of_users` that read or write rows, or whose text is hidden."""
    return tuple(
        s for s in of_users(snapshot) if s.text is None or not statement_text.is_utility(s.text)
    )


@derived
def by_role(snapshot: Snapshot) -> Mapping[int, tuple[Statement, ...]]:
    """Map each query ID of :func:`of_users` to its counters for each role, which are not added up."""
    found: dict[int, tuple[Statement, ...]] = {}
    for s in _without_tools(snapshot):
        if s.is_toplevel:
            found[s.query_id] = (*found.get(s.query_id, ()), s)
    return found


def readable(snapshot: Snapshot) -> Iterator[tuple[Statement, str]]:
    """Yield users' statements with known texts, including nested ones, separately for each role."""
    for s in _without_tools(snapshot):
        if s.text is not None:
            yield s, s.text


@derived
def _without_tools(snapshot: Snapshot) -> tuple[Statement, ...]:
    recorded = snapshot.statements
    own = _own_relations(snapshot) if recorded else frozenset()
    return tuple(s for s in recorded if not _is_tooling(s, own))


def tooling(snapshot: Snapshot) -> tuple[Statement, ...]:
    """Return the top-level statements of this tool, pg_dump, psql, drivers and other monitors."""
    users = set(map(id, _without_tools(snapshot)))
    return tuple(s for s in snapshot.statements if s.is_toplevel and id(s) not in users)


def _is_tooling(statement: Statement, own: frozenset[str]) -> bool:
    """Tell whether a statement is ours or reads nothing but catalogs.

    A user's table that is named like a catalog is recognized as such.
    """
    text = statement.text
    if text is None:
        return False
    if statement_text.is_own(text):
        return True
    return statement_text.is_monitoring(text) and not (own & statement_text.unqualified(text))


def _own_relations(snapshot: Snapshot) -> frozenset[str]:
    """Name the users' tables whose names look like PostgreSQL's own."""
    return frozenset(
        t.name for t in snapshot.tables if t.name.startswith("pg_") and not t.is_in_extension
    )


_SUMMED = (
    *("calls", "plans", "total_plan_ms", "total_exec_ms", "rows", "shared_blks_hit"),
    *("shared_blks_read", "shared_blks_dirtied", "shared_blks_written", "local_blks_hit"),
    *("local_blks_read", "temp_blks_read", "temp_blks_written", "blk_read_ms", "blk_write_ms"),
    *("temp_blk_ms", "wal_records", "wal_fpi", "wal_bytes", "jit_functions", "jit_ms"),
    *("parallel_workers_to_launch", "parallel_workers_launched"),
    *("generic_plan_calls", "custom_plan_calls"),
)


def _together(same: list[Statement]) -> Statement:
    """Add up the counters of one statement for several roles."""
    if len(same) == 1:
        return same[0]
    first = max(same, key=lambda s: (s.total_exec_ms, -s.user_oid))
    sums: dict[str, Any] = {name: _sum(getattr(s, name) for s in same) for name in _SUMMED}
    calls = max(sum(s.calls for s in same), 1)
    mean = sum(s.total_exec_ms for s in same) / calls
    square = sum(s.calls * (s.stddev_exec_ms**2 + s.mean_exec_ms**2) for s in same) / calls
    began = [s.stats_since for s in same if s.stats_since is not None]
    texts = sorted(s.text for s in same if s.text is not None)
    together: Statement = replace(
        first,
        **sums,
        text=first.text if first.text is not None else next(iter(texts), None),
        min_exec_ms=_extreme(min, [s.min_exec_ms for s in same]),
        max_exec_ms=_extreme(max, [s.max_exec_ms for s in same]),
        mean_exec_ms=mean,
        stddev_exec_ms=math.sqrt(max(square - mean**2, 0.0)),
        stats_since=min(began) if len(began) == len(same) else None,
    )
    return together


def _extreme(which: Callable[[list[float]], float], values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return which(known) if known and len(known) == len(values) else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if known else None


def users(snapshot: Snapshot, query_id: int) -> tuple[str, ...]:
    """Name the roles that run a statement, the one that spends the most time on it first."""
    same = [s for s in snapshot.statements if s.query_id == query_id and s.user is not None]
    same.sort(key=lambda s: (-s.total_exec_ms, s.user or ""))
    return tuple(dict.fromkeys(s.user or "" for s in same))


def window_seconds(snapshot: Snapshot, statement: Statement | None = None) -> float | None:
    """Return how long a statement's counters have run; None if that is unknown."""
    begins = (statement.stats_since if statement else None) or snapshot.statements_window.begins
    return None if begins is None else max((snapshot.now - begins).total_seconds(), 0.0)


def coverage(snapshots: Sequence[Snapshot], findings: Iterable[Finding]) -> Coverage:
    """Return how much of the measured execution time is visible, and how much the findings explain."""
    total = sum(i.total_exec_ms_database for s in snapshots for i in s.statements_info)
    tooling = sum(_tooling_ms(s) for s in snapshots)
    load = total - tooling
    visible = sum(st.total_exec_ms for s in snapshots for st in of_users(s) if st.text is not None)
    named = {q for f in findings if _says_why(f) for q in f.evidence.get("query_ids", ())}
    explained = sum(
        st.total_exec_ms for s in snapshots for st in of_users(s) if st.query_id in named
    )
    infos = [i for s in snapshots[:1] for i in s.statements_info]
    return Coverage(
        explained_share=_share(explained, load),
        visible_share=_share(visible, load),
        hidden_statements=sum(i.hidden_entries for i in infos),
        evictions_per_hour=_evictions(snapshots[0]),
    )


def _says_why(finding: Finding) -> bool:
    """Tell whether a finding says more about its statements than what they cost."""
    impact = finding.impact
    return impact.cost is None or bool(finding.remedy or impact.risk)


def _tooling_ms(snapshot: Snapshot) -> float:
    return sum(s.total_exec_ms for s in tooling(snapshot))


def _share(part: float, whole: float) -> float | None:
    return round(min(part / whole, 1.0), 4) if whole > 0 else None


def _evictions(snapshot: Snapshot) -> float | None:
    """Return evicted entries per hour; None if the window is shorter than that, which proves no rate."""
    seconds = window_seconds(snapshot)
    dropped = evicted(snapshot)
    if dropped is None or seconds is None or (dropped and seconds < _HOUR_S):
        return None
    return round(dropped * _HOUR_S / max(seconds, _HOUR_S), 2)


def evicted(snapshot: Snapshot) -> float | None:
    """Return about how many entries were evicted; each dealloc discards 5% of the entries, but at least ten."""
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    if info is None or info.dealloc is None or not info.max_entries:
        return None
    return info.dealloc * max(10.0, info.max_entries * 0.05)
