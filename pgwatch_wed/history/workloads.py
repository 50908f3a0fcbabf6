"""The statements of two windows side by side. It shows numbers and judges none: two windows prove nothing about time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.facts.statement_sum import summed
from pgwatch_wed.history.pairing import paired
from pgwatch_wed.history.successors import in_new_names
from pgwatch_wed.postgres import statements as load
from pgwatch_wed.sqltext.statement_link import statement_keys

_SHOWN = 20
_MIN_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class StatementSide:
    """A statement in one window."""

    calls: int
    mean_ms: float
    share: float
    blocks_per_call: float


@dataclass(frozen=True, slots=True)
class StatementPair:
    """A statement in both windows; None in one in which it was not seen."""

    text: str
    before: StatementSide | None
    after: StatementSide | None


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """The time that a window covers, and its whole measured load."""

    begins: datetime | None
    ends: datetime
    total_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class Workloads:
    """Two windows, the costliest statements of both, and what limits the comparison."""

    before: LoadWindow
    after: LoadWindow
    pairs: tuple[StatementPair, ...]
    left_out: int
    missing: str = ""


def workloads(old: Snapshot, new: Snapshot) -> Workloads:
    """Compare what was counted up to the first snapshot with what was counted after it.

    If nothing tells the latter, with what the second snapshot counted.
    """
    after = _since(old, new)
    lacking = {
        s.missing["statements"].reason for s in (old, new, after) if "statements" in s.missing
    }
    mine, theirs = _by_key(_with_new_names(old, new)), _by_key(after)
    totals = _total(load.of_users(old)), _total(load.of_users(after))
    pairs = [
        StatementPair(
            (theirs.get(key) or mine[key]).text or "(text not visible)",
            _side(mine.get(key), totals[0]),
            _side(theirs.get(key), totals[1]),
        )
        for key in mine.keys() | theirs.keys()
    ]
    pairs.sort(key=lambda p: (-_largest_share(p), p.text))
    shown = [p for p in pairs[:_SHOWN] if _largest_share(p) >= _MIN_SHARE]
    return Workloads(
        _window(old),
        _window(after),
        tuple(shown),
        len(pairs) - len(shown),
        "; ".join(sorted(lacking)),
    )


def _since(old: Snapshot, new: Snapshot) -> Snapshot:
    if new.measured_since is not None:
        return new
    try:
        return delta(old, new)
    except DeltaError:
        return new


def _by_key(snapshot: Snapshot) -> dict[str, Statement]:
    keys = statement_keys(snapshot, "")
    found: dict[str, list[Statement]] = {}
    for s in load.queries(snapshot):
        if s.calls:
            key = keys.get(COUNTERS["statements"].key_of(s), str(s.query_id))
            found.setdefault(key, []).append(s)
    return {key: summed(rows) for key, rows in found.items()}


def _total(rows: Iterable[Statement]) -> float:
    return sum(s.total_exec_ms for s in rows)


def _side(s: Statement | None, total: float) -> StatementSide | None:
    if s is None:
        return None
    blocks = s.shared_blks_hit + s.shared_blks_read
    return StatementSide(
        s.calls,
        s.total_exec_ms / s.calls,
        s.total_exec_ms / total if total else 0.0,
        blocks / s.calls,
    )


def _with_new_names(old: Snapshot, new: Snapshot) -> Snapshot:
    """Call tables in statements as they are called now, so that a rename does not make them others."""
    renamed = in_new_names(paired(old, new))
    rows = (s if s.text is None else replace(s, text=renamed(s.text)) for s in old.statements)
    return replace(old, statements=tuple(rows))


def _largest_share(pair: StatementPair) -> float:
    return max(side.share for side in (pair.before, pair.after) if side is not None)


def _window(snapshot: Snapshot) -> LoadWindow:
    rows = load.of_users(snapshot)
    window = snapshot.statements_window
    return LoadWindow(window.begins, window.ends, _total(rows), sum(s.calls for s in rows))
