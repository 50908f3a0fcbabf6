"""Many sessions wait for one of the small caches (SLRU) at this moment.

## Why it matters
To decide which rows it sees, every session looks up transactions in small caches. A transaction with more than 64
subtransactions (savepoints, exception blocks in PL/pgSQL) does not fit into the shared list of running ones: while it runs,
every snapshot of every session has to look up subtransactions in such a cache, and they all wait for its lock. A server that
was fast a minute ago stands still, on standbys as well. Row locks by several transactions do the same to the multixact caches.

## How sure we are
B: the server itself says what each session waits for, at one moment. C for the culprit: from 16 on the server shows which
transaction has too many subtransactions; before, the oldest one that has written is named as a suspect, grade D.

## Not reported
Fewer than `min_waiting` sessions waiting, or a smaller share than `min_share` of those that are at work: each such wait is
short, and some are normal. Counters of misses over the whole time are judged by `cache-slru`.

## Remedy
End the transaction with the subtransactions; then commit more often in that job, with fewer than 64 savepoints or exception
blocks per transaction. From 17 on, a larger cache helps, which requires a restart.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import sessions as release
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules.cache import slru

NEEDS = ("sessions",)
SCOPE = "cluster"

# What the names of wait events begin with: SubtransSLRU and SubtransBuffer, for example.
_CACHES = {
    "Subtrans": "subtransaction",
    "Xact": "transaction",
    "MultiXactOffset": "multixact_offset",
    "MultiXactMember": "multixact_member",
    "CommitTs": "commit_timestamp",
    "Notify": "notify",
    "Serial": "serializable",
}
_ENDINGS = ("SLRU", "Buffer", "SLRULock")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A few sessions may wait by chance at the same moment.
    min_waiting: int = 3
    # The fraction of the sessions at work that wait for the same cache.
    min_share: float = 0.25
    # From this fraction on, and this many sessions, the server as good as stands still.
    critical_share: float = 0.5
    critical_waiting: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each cache that many sessions wait for."""
    active = [s for s in snapshot.sessions if s.state == "active" and s.wait_event_type != "Lock"]
    waiting = [(s, cache) for s in active if (cache := _cache(s)) is not None]
    for cache, number in Counter(cache for _, cache in waiting).most_common():
        if number >= limits.min_waiting and number >= limits.min_share * len(active):
            pids = sorted(s.pid for s, c in waiting if c == cache)
            events = sorted({s.wait_event or "" for s, c in waiting if c == cache})
            yield _finding(snapshot, cache, (pids, events), len(active), limits)
    yield from locks.hidden(snapshot)


def _cache(session: Session) -> str | None:
    """Return the cache that a session waits for."""
    event = session.wait_event or ""
    if session.wait_event_type != "LWLock":
        return None
    for ending in _ENDINGS:
        if event.endswith(ending) and event.removesuffix(ending) in _CACHES:
            return _CACHES[event.removesuffix(ending)]
    return None


def _finding(
    snapshot: Snapshot,
    cache: str,
    waiting: tuple[list[int], list[str]],
    active: int,
    limits: Limits,
) -> Finding:
    pids, events = waiting
    severe = len(pids) >= limits.critical_waiting and len(pids) >= limits.critical_share * active
    known = _with_subtransactions(snapshot) if cache == "subtransaction" else []
    suspects = known or _oldest(snapshot)
    return Finding(
        object=Object("slru", cache),
        severity=Severity.CRITICAL if severe else Severity.WARNING,
        grade=Grade.B if known else Grade.C,
        title=f"{len(pids):,} of {units.count(active, 'active session')} wait for the {cache} cache "
        f"({', '.join(events)})",
        detail=_detail(snapshot, cache, known, suspects),
        evidence={
            "waiting_pids": pids,
            "active_sessions": active,
            "wait_events": events,
            "suspects": [locks.evidence(snapshot, s) for s in suspects[:5]],
            "open_subtransactions": {
                str(s.pid): s.open_count for s in snapshot.subtransactions if s.open_count
            },
        },
        impact=Impact(risk="every session that reads rows waits for the others"),
        remedy=tuple(_remedies(snapshot, cache, known)),
        caveats=tuple(_caveats(snapshot, cache, known, suspects)),
    )


def _with_subtransactions(snapshot: Snapshot) -> list[Session]:
    """Return the sessions with more subtransactions than fit into shared memory, the oldest transaction first."""
    overflowed = {s.pid for s in snapshot.subtransactions if s.is_overflowed}
    found = [s for s in snapshot.sessions if s.pid in overflowed]
    return sorted(found, key=lambda s: (s.xact_start or snapshot.now, s.pid))


def _oldest(snapshot: Snapshot) -> list[Session]:
    """Return the oldest transaction that has written: only such a one can have subtransactions with an id."""
    found = [
        s
        for s in snapshot.sessions
        if s.xid_age_xids is not None and s.xact_start and locks.is_client(s)
    ]
    return sorted(found, key=lambda s: (s.xact_start or snapshot.now, s.pid))[:1]


def _detail(snapshot: Snapshot, cache: str, known: list[Session], suspects: list[Session]) -> str:
    if known:
        first = known[0]
        age = locks.since(first.xact_start, snapshot)
        length = f" for {units.words(age)}" if age is not None else ""
        others = f", and {units.count(len(known) - 1, 'other session')}" if known[1:] else ""
        return (
            f"Session {first.pid} ({locks.label(first)}) has been in a transaction{length} with more than 64 open "
            f"subtransactions{others}: while it runs, all others have to look them up."
        )
    if cache != "subtransaction":
        what = "Row locks shared by several transactions" if "multixact" in cache else "It"
        return f"{what} may be used by more sessions at a time than the cache has room for."
    if suspects:
        return (
            f"The oldest transaction that has written is that of session {suspects[0].pid} "
            f"({locks.label(suspects[0])}): it may have many savepoints."
        )
    return "No transaction with many subtransactions is running any more."


def _remedies(snapshot: Snapshot, cache: str, known: list[Session]) -> Iterator[Remedy]:
    for session in known[:3]:
        yield release.stop(session)
    setting = snapshot.setting_by_name.get(slru.SETTINGS[cache])
    if setting is not None:
        yield from slru.larger(snapshot, setting.name)


def _caveats(
    snapshot: Snapshot, cache: str, known: list[Session], suspects: list[Session]
) -> Iterator[str]:
    yield "This is one moment: look again. If it recurs, commit that job more often, with fewer savepoints or exception blocks."
    if cache == "subtransaction" and "subtransactions" in snapshot.missing:
        why = snapshot.missing["subtransactions"].reason
        yield f"Which session has the subtransactions is not known: {why}."
    elif cache == "subtransaction" and not known and suspects:
        yield "No session has more subtransactions than fit into shared memory now; they may be on the primary if this is a standby."
    yield from settings.caveats(snapshot.setting_by_name.get(slru.SETTINGS[cache]))
