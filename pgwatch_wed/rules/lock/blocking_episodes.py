"""Who made others wait for locks while sessions were sampled, for how long in all, and how.

## Why it matters
Waits for locks come and go: the moment of a snapshot shows few of them, and after an incident nobody knows who was to blame.
Samples add them up. A transaction that is left open for a second, a hundred times a minute, costs more than one long wait, and
DDL that has to wait makes everybody behind it wait, too.

## How sure we are
B: each look at the server shows who waits for whom (`pg_blocking_pids`) and stands for the time since the look before. Of waits
shorter than the interval only some are seen, and these stand for the others. The longest wait is exact from 14 on, where the
server tells when it began.

## Not reported
- Blocking that was seen in fewer than `min_samples` looks, or took less than `min_blocked` in all, unless a single wait lasted for
  `long_wait`: it comes and goes under any load. So is a deadlock that PostgreSQL has resolved: see `lock-deadlocks`.
- Sessions in the middle of a queue: only the one at its head counts, for which all others wait.
- Waits for advisory locks, and those of CREATE INDEX CONCURRENTLY for old transactions, are info: they wait on purpose.
- What happened in gaps, when the server did not respond or was not sampled.

## Remedy
End transactions before waiting for users or other services; a timeout if some are forgotten for longer than `idle_seconds`. Run DDL with a `lock_timeout`, and
again if it fails. Roll back or commit prepared transactions.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import LockEpisode, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.remedies import sessions as release
from pgwatch_wed.remedies import settings

NEEDS = ("lock_episodes", "sampled_minutes")
SCOPE = "cluster"

_IDLE = "idle_in_transaction_session_timeout"
_SPACE = re.compile(r"\s+")
_AN = {"advisory": "an", "object": "an", "extend": "an"}
_ON_PURPOSE = ("advisory", "virtualxid")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Seen less often, it may be chance, and what the samples stand for is too uncertain.
    min_samples: int = 5
    # The time of all waiting sessions together, and as a fraction of the time sampled.
    min_blocked: timedelta = timedelta(seconds=10)
    min_share: float = 0.01
    # On average, this many sessions were waiting behind it.
    warn_share: float = 0.1
    # A single wait that users have noticed.
    long_wait: timedelta = timedelta(seconds=30)
    # Less says nothing about what usually happens.
    min_sampled: timedelta = timedelta(minutes=1)
    # The suggested idle_in_transaction_session_timeout.
    idle_seconds: int = 60


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each kind of session that made others wait."""
    covered = sum(m.covered_seconds for m in snapshot.sampled_minutes)
    groups: dict[Object, list[LockEpisode]] = defaultdict(list)
    for episode in snapshot.lock_episodes:
        groups[_blocker(episode)].append(episode)
    found = [
        finding
        for blocker, episodes in sorted(groups.items(), key=lambda g: (g[0].kind, g[0].name))
        if (finding := _judged(snapshot, blocker, episodes, covered, limits))
    ]
    yield from found
    if not found:
        yield from _too_little(snapshot, covered, limits)


def _too_little(snapshot: Snapshot, covered: float, limits: Limits) -> Iterator[Unknown]:
    gaps = sum(m.gap_seconds for m in snapshot.sampled_minutes)
    if covered < limits.min_sampled.total_seconds():
        sampled = f"sampled for only {units.words(timedelta(seconds=covered))}"
        reason = f"sessions were {sampled if covered else 'not sampled'}"
        yield Unknown(reason, "use db-analyze collect --samples 1s --for 10m")
    elif gaps > covered:
        lost = units.share(gaps / (gaps + covered))
        reasons = sorted({m.reason for m in snapshot.sampled_minutes if m.reason})
        yield Unknown(f"{lost} of the time could not be sampled: {'; '.join(reasons)}", "run again")


def _blocker(episode: LockEpisode) -> Object:
    """Name a blocker so that a later run recognizes it: no PID, no time."""
    if episode.gid is not None:
        return Object("prepared_transaction", episode.gid)
    if episode.backend_type not in (None, "client backend"):
        return Object("session", f"{episode.backend_type}@{episode.database or '-'}")
    if episode.user is None:
        return Object("session", "ended before it could be seen")
    who = f"{episode.user}@{episode.database or '-'}"
    name = episode.application_name
    return Object("session", f"{who} ({name})" if name else who)


def _judged(
    snapshot: Snapshot,
    blocker: Object,
    episodes: list[LockEpisode],
    covered: float,
    limits: Limits,
) -> Finding | None:
    blocked = sum(e.blocked_seconds for e in episodes)
    longest = max(e.longest_seconds for e in episodes)
    share = blocked / covered if covered else 0.0
    is_long = longest >= limits.long_wait.total_seconds()
    is_much = blocked >= limits.min_blocked.total_seconds() and share >= limits.min_share
    seen = sum(e.samples for e in episodes)
    if not (is_long or (is_much and seen >= limits.min_samples)):
        return None
    on_purpose = all(e.locktype in _ON_PURPOSE for e in episodes)
    is_bad = not on_purpose and (is_long or share >= limits.warn_share)
    return Finding(
        object=blocker,
        severity=Severity.WARNING if is_bad else Severity.INFO,
        grade=Grade.B,
        title=f"{_subject(blocker)} made others wait for locks, {units.words(timedelta(seconds=blocked))} in all",
        detail=_detail(snapshot, episodes, covered),
        evidence=_evidence(snapshot, episodes, covered),
        impact=Impact(risk=f"on average, {units.short(share)} sessions were waiting behind it"),
        remedy=tuple(_remedies(snapshot, episodes, limits)),
        caveats=tuple(_caveats(episodes)),
        related=tuple(_relations(snapshot, episodes)),
    )


def _subject(blocker: Object) -> str:
    kind = "Prepared transaction" if blocker.kind == "prepared_transaction" else "Sessions of"
    return f"{kind} {blocker.name}"


def _seconds(
    episodes: Iterable[LockEpisode], of: Callable[[LockEpisode], Any]
) -> list[tuple[Any, float]]:
    """Add up the blocked seconds by a property, most first."""
    found: dict[Any, float] = defaultdict(float)
    for episode in episodes:
        found[of(episode)] += episode.blocked_seconds
    return sorted(found.items(), key=lambda item: (-item[1], str(item[0])))


def _state(episode: LockEpisode) -> str:
    if episode.gid is not None:
        return "prepared"
    return episode.state or "unknown"


def _is_idle(episode: LockEpisode) -> bool:
    return episode.state in locks.IDLE_IN_TRANSACTION


def _is_queued(episode: LockEpisode) -> bool:
    return episode.queued_mode is not None


def _blocked(episodes: Iterable[LockEpisode]) -> float:
    return sum(e.blocked_seconds for e in episodes)


def _detail(snapshot: Snapshot, episodes: Sequence[LockEpisode], covered: float) -> str:
    total = max(_blocked(episodes), 0.001)
    longest = max(e.longest_seconds for e in episodes)
    most = units.count(max(e.most_blocked for e in episodes), "session")
    sampled, lasted = (units.words(timedelta(seconds=s)) for s in (covered, longest))
    parts = [f"In {sampled} of samples, up to {most} waited at a time, and one for {lasted}."]
    if idle := _blocked(filter(_is_idle, episodes)):
        parts.append(
            f"The blocker was idle in transaction for {units.share(idle / total)} of the blocked time."
        )
    if queued := _blocked(filter(_is_queued, episodes)):
        modes = {locks.lock_name(e.queued_mode) for e in episodes if e.queued_mode}
        parts.append(
            f"{units.share(queued / total)} of the blocked time was spent behind a session that waits itself, for "
            f"{' or '.join(sorted(modes))}."
        )
    (what, mode), seconds = _by_lock(episodes)[0]
    parts.append(f"{units.share(seconds / total)} of the blocked time was for {mode} on {what}.")
    by_query = _by_query(episodes)
    if by_query and (text := _texts(snapshot).get(by_query[0][0])):
        last = "last statement" if idle > total / 2 else "statement"
        parts.append(f"The {last} of the blocker was mostly: {_SPACE.sub(' ', text)[:200]}")
    return " ".join(parts)


def _texts(snapshot: Snapshot) -> dict[int, str]:
    return {s.query_id: s.text for s in snapshot.statements if s.text}


def _by_lock(episodes: Iterable[LockEpisode]) -> list[tuple[Any, float]]:
    return _seconds(episodes, lambda e: (_locked(e), locks.lock_name(e.mode)))


def _locked(episode: LockEpisode) -> str:
    if episode.relation is None or episode.locktype == "relation":
        return episode.relation or f"{_AN.get(episode.locktype, 'a')} {episode.locktype}"
    return f"a row of {episode.relation}"


def _by_query(episodes: Iterable[LockEpisode]) -> list[tuple[Any, float]]:
    return _seconds([e for e in episodes if e.query_id is not None], lambda e: e.query_id)


def _evidence(
    snapshot: Snapshot, episodes: Sequence[LockEpisode], covered: float
) -> dict[str, object]:
    texts = _texts(snapshot)
    return {
        "blocked_seconds": round(_blocked(episodes), 3),
        "sampled_seconds": round(covered, 3),
        "samples": sum(e.samples for e in episodes),
        "longest_wait_seconds": max(e.longest_seconds for e in episodes),
        "most_blocked_sessions": max(e.most_blocked for e in episodes),
        "first_seen": min(e.first_seen for e in episodes).isoformat(),
        "last_seen": max(e.last_seen for e in episodes).isoformat(),
        "by_state": [
            {"state": state, "blocked_seconds": round(seconds, 3)}
            for state, seconds in _seconds(episodes, _state)
        ],
        "by_lock": [
            {"object": what, "mode": mode, "blocked_seconds": round(seconds, 3)}
            for (what, mode), seconds in _by_lock(episodes)[:10]
        ],
        "by_blocking_query": [
            {"query_id": q, "blocked_seconds": round(seconds, 3), "query": texts.get(q)}
            for q, seconds in _by_query(episodes)[:10]
        ],
        "queued_seconds": round(_blocked(filter(_is_queued, episodes)), 3),
    }


def _remedies(
    snapshot: Snapshot, episodes: Sequence[LockEpisode], limits: Limits
) -> Iterator[Remedy]:
    """Mend what took most of the time."""
    gids = {p.gid for p in snapshot.prepared_transactions}
    for gid in sorted({e.gid for e in episodes if e.gid}):
        if gid in gids:
            yield release.rollback_prepared(gid)
    total = _blocked(episodes)
    if _blocked(filter(_is_queued, episodes)) >= total / 2:
        yield Remedy(
            sql="SET lock_timeout = '2s';  -- in the session that runs the DDL; if it fails, run it again",
            lock="none; DDL that cannot have its lock within 2 s fails instead of making others wait",
            undo="RESET lock_timeout;",
        )
    roles = {e.user for e in episodes if e.user and _is_idle(e)}
    # it would not end those that are only idle for a moment
    is_long = any(_is_idle(e) and e.longest_seconds >= limits.idle_seconds for e in episodes)
    if is_long and _blocked(filter(_is_idle, episodes)) >= total / 2 and len(roles) == 1:
        role = roles.pop()
        yield Remedy(
            sql=f"ALTER ROLE {ident(role)} SET {_IDLE} = {literal(f'{limits.idle_seconds}s')};",
            lock="none; takes effect in new sessions",
            undo=settings.undo_role_setting(snapshot, role, _IDLE),
        )


def _caveats(episodes: Sequence[LockEpisode]) -> Iterator[str]:
    if any(map(_is_idle, episodes)):
        yield (
            "Transactions that are idle for moments have to be shortened in the application: commit before "
            "waiting for users or other services. A timeout only ends those that were forgotten."
        )
    if any(e.backend_type == "autovacuum worker" for e in episodes):
        yield (
            "An autovacuum worker is canceled automatically after deadlock_timeout, unless it is preventing "
            "wraparound."
        )
    if all(e.locktype in _ON_PURPOSE for e in episodes):
        yield "Applications wait for such locks on purpose; whether for too long, only they know."


def _relations(snapshot: Snapshot, episodes: Iterable[LockEpisode]) -> list[Object]:
    wanted = {e.relation_oid: e.relation for e in episodes if e.relation}
    found = {locks.table_object(snapshot, oid, name) for oid, name in wanted.items()}
    return sorted(found, key=lambda o: o.label)
