"""Sessions that wait for a lock, by the one that holds them all up.

## Why it matters
Waiters pile up behind one holder until connections run out. Ending the holder frees all; ending waiters frees none.

## How sure we are
B: the server itself names who waits for whom.

## Not reported
Waits that are over within the moment of looking; waits of background processes for each other. A wait under the
limit is for information: ordinary work waits briefly for rows all the time.

## Remedy
The mildest call that frees the others: cancel a working statement; terminate a session that is idle in its transaction,
which has nothing to cancel; roll back a prepared transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import LockWait, Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("lock_waits", "sessions")
SCOPE = "cluster"

_PREPARED = 0  # pg_blocking_pids() gives 0 for a prepared transaction


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A shorter longest wait is for information: rows are waited for briefly all the time.
    warn_wait: timedelta = timedelta(seconds=5)
    # This many waiters make it critical.
    critical_waiters: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each root of the tree of waits."""
    waits = {w.pid: w for w in snapshot.lock_waits}
    roots = sorted({b for w in waits.values() for b in w.blocked_by} - set(waits))
    for root in roots:
        victims = _below(root, waits)
        yield _finding(snapshot, root, victims, waits, limits)
    covered = {v for root in roots for v in _below(root, waits)}
    for pid in sorted(set(waits) - covered):
        if waits[pid].blocked_by and pid == min(_circle(pid, waits)):
            yield _finding(snapshot, pid, sorted(_circle(pid, waits)), waits, limits)


def _below(root: int, waits: dict[int, LockWait]) -> list[int]:
    """Return everybody who waits for root, directly or behind others."""
    found: list[int] = []
    queue = [root]
    while queue:
        pid = queue.pop(0)
        for victim in sorted(w.pid for w in waits.values() if pid in w.blocked_by):
            if victim not in found and victim != root:
                found.append(victim)
                queue.append(victim)
    return found


def _circle(pid: int, waits: dict[int, LockWait]) -> set[int]:
    return {pid, *_below(pid, waits)}


def _finding(
    snapshot: Snapshot, root: int, victims: list[int], waits: dict[int, LockWait], limits: Limits
) -> Finding:
    session = snapshot.session_by_pid.get(root)
    waited = max((_waited(snapshot, waits[v]) for v in victims if v in waits), default=0.0)
    severity = Severity.INFO
    if waited >= limits.warn_wait.total_seconds():
        severity = Severity.WARNING
    if len(victims) >= limits.critical_waiters:
        severity = Severity.CRITICAL
    return Finding(
        object=_object(root, session),
        related=tuple(ss.object_of(s) for v in victims if (s := snapshot.session_by_pid.get(v))),
        severity=severity,
        grade=Grade.B,
        title=f"{_name(root, session)} holds up {len(victims)} session{'s' * (len(victims) != 1)}",
        detail=_doing(root, session),
        evidence={
            "pid": root,
            "waiters": len(victims),
            "longest_wait_seconds": round(waited, 1),
            "relations": sorted({r for v in victims if v in waits and (r := waits[v].relation)}),
            "tree": _tree(snapshot, root, waits),
            **(ss.evidence(snapshot, session) if session else {}),
        },
        impact=Impact(risk=f"{len(victims)} sessions wait, the longest for {waited:.0f} s"),
        remedy=_remedy(snapshot, root, session),
        caveats=_caveats(session),
    )


def _object(root: int, session: Session | None) -> Object:
    if session is not None:
        return ss.object_of(session)
    return Object("prepared transaction" if root == _PREPARED else "session", _name(root, None))


def _name(root: int, session: Session | None) -> str:
    if session is not None:
        return ss.object_of(session).name
    return "a prepared transaction" if root == _PREPARED else f"pid {root}"


def _waited(snapshot: Snapshot, wait: LockWait) -> float:
    session = snapshot.session_by_pid.get(wait.pid)
    since = wait.wait_start or (session.query_start if session else None)
    return ss.seconds_since(snapshot, since) or 0.0


def _doing(root: int, session: Session | None) -> str:
    if root == _PREPARED:
        return "A prepared transaction was neither committed nor rolled back; see lock-prepared-transaction."
    if session is None:
        return "The holder is gone or may not be seen by this role."
    if ss.is_idle_in_transaction(session):
        return "It is idle inside an open transaction: its client forgot it, or is busy elsewhere."
    if session.backend_type != "client backend":
        return f"It is a background process ({session.backend_type})."
    return "It runs a statement."


def _tree(snapshot: Snapshot, root: int, waits: dict[int, LockWait]) -> list[str]:
    """Return the tree as indented lines: pid, mode, relation, time waited."""
    lines: list[str] = []
    seen = {root}

    def walk(pid: int, depth: int) -> None:
        for wait in sorted(waits.values(), key=lambda w: w.pid):
            if wait.pid in seen or pid not in wait.blocked_by:
                continue
            # a waiter behind several is shown behind the last of the queue
            if any(b in waits and b not in seen for b in wait.blocked_by):
                continue
            seen.add(wait.pid)
            what = wait.relation or wait.locktype
            waited = _waited(snapshot, wait)
            lines.append(f"{'  ' * depth}{wait.pid} waits {waited:.0f} s for {wait.mode} on {what}")
            walk(wait.pid, depth + 1)

    walk(root, 0)
    lines += [
        f"{w.pid} waits for {w.mode} on {w.relation or w.locktype}"
        for w in sorted(waits.values(), key=lambda w: w.pid)
        if w.pid not in seen and w.pid in _below(root, waits)
    ]
    return lines


def _remedy(snapshot: Snapshot, root: int, session: Session | None) -> tuple[Remedy, ...]:
    if session is not None and session.backend_type == "client backend":
        return (ss.end(session),)
    if session is not None and session.backend_type == "autovacuum worker":
        wraps = any(v.pid == root and v.is_wraparound for v in snapshot.vacuums)
        return () if wraps else (ss.end(session),)
    return ()


def _caveats(session: Session | None) -> tuple[str, ...]:
    if session is not None and ss.is_idle_in_transaction(session):
        return ("Terminating it rolls its transaction back; its client must cope with that.",)
    return ()
