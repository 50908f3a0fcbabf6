"""Samples of sessions → what they did by the minute, and who blocked whom.

A sample stands for the time since the one before. If that is much longer than the interval, the rest is a gap: what
happened in it is unknown. A wait that began before a gap and goes on after it lasted through it, since PostgreSQL
tells since when.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from pgwatch_wed.facts import (
    ActivityMinute,
    LockEpisode,
    LockWait,
    SampledMinute,
    Server,
    Session,
    Snapshot,
)
from pgwatch_wed.postgres.waits import Participant, Waits, ddl_queues

_NO_SAMPLE = "no sample was taken"
_MINUTE = timedelta(minutes=1)
_PAUSE = timedelta(minutes=1)  # an episode that was not seen for so long is over
_MOST_KINDS = 2_000  # kinds of activity in a minute, and episodes of a period
_MOST_BLOCKED_QUERIES = 10


class SampledSession(NamedTuple):
    """A row of ``sql/collect/activity.sql``."""

    pid: int
    leader_pid: int | None
    database: str | None
    user: str | None
    application_name: str | None
    backend_type: str | None
    state: str | None
    wait_event_type: str | None
    wait_event: str | None
    query_id: int | None
    sampled_at: datetime


_Kind = tuple[str | None, str | None, str | None, str | None, str | None, str | None, int | None]


class Sampled(NamedTuple):
    """What was recorded since it was last taken; ``left_out`` kinds of activity or episodes were too many."""

    minutes: tuple[SampledMinute, ...]
    activity: tuple[ActivityMinute, ...]
    episodes: tuple[LockEpisode, ...]
    left_out: int


@dataclass(slots=True)
class _Minute:
    samples: int = 0
    covered: float = 0.0
    gap: float = 0.0
    most_waiting: int = 0
    hidden: int = 0
    reasons: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Episode:
    root: Participant
    head: SampledSession | None
    wait: LockWait
    queued: tuple[str | None, int | None]
    first_seen: datetime
    last_seen: datetime
    blocked: float = 0.0
    samples: int = 0
    longest: float = 0.0
    most: int = 0
    depth: int = 0
    waits: set[tuple[int, datetime | None]] = field(default_factory=set)
    queries: Counter[int] = field(default_factory=Counter)


class _Seen(NamedTuple):
    """When a wait was first and last seen."""

    first: datetime
    last: datetime


@dataclass(slots=True)
class Recorder:
    """Adds up samples of one server, of sessions that are not this tool's."""

    server: Server
    interval: timedelta
    began: datetime
    _last: datetime | None = None
    _minutes: dict[datetime, _Minute] = field(default_factory=dict)
    _kinds: dict[datetime, dict[_Kind, list[float]]] = field(default_factory=dict)
    _open: dict[tuple[object, ...], _Episode] = field(default_factory=dict)
    _closed: list[_Episode] = field(default_factory=list)
    _told: dict[tuple[int, datetime | None], _Seen] = field(default_factory=dict)
    _reason: str = ""

    def activity(
        self, sessions: Iterable[SampledSession], at: datetime, elapsed: timedelta
    ) -> float:
        """Add a sample; return the seconds that it stands for. ``elapsed`` is by our own clock."""
        covered = self._advance(at, elapsed)
        minute = self._minute(at)
        minute.samples += 1
        minute.covered += covered
        kinds = self._kinds.setdefault(_start(at), {})
        hidden = waiting = 0
        for s in sessions:
            if s.wait_event_type == "Activity":  # a background process without work
                continue
            hidden += s.backend_type is None
            waiting += s.wait_event_type == "Lock"
            query_id = None if s.state == "idle" else s.query_id
            kind = (*s[2:4], *s[5:9], query_id)
            counted = kinds.setdefault(kind, [0, 0.0])
            counted[0] += 1
            counted[1] += covered
        minute.hidden = max(minute.hidden, hidden)
        minute.most_waiting = max(minute.most_waiting, waiting)
        return covered

    def failed(self, reason: str) -> None:
        """Remember why the next gap is one."""
        self._reason = self._reason or reason

    def _advance(self, at: datetime, elapsed: timedelta) -> float:
        """Return the covered part of the time since the last sample; the rest is a gap."""
        last = self._last or self.began
        passed = max(at - last, elapsed, timedelta())
        self._last = at
        reason, self._reason = self._reason, ""
        if passed <= 2 * self.interval:
            return passed.total_seconds()
        self._gap(at - passed, at - self.interval, reason)
        return self.interval.total_seconds()

    def _gap(self, begins: datetime, ends: datetime, reason: str) -> None:
        for start in _starts(begins, ends):
            length = min(ends, start + _MINUTE) - max(begins, start)
            minute = self._minute(start)
            minute.gap += length.total_seconds()
            minute.reasons[reason or _NO_SAMPLE] = None

    def _minute(self, at: datetime) -> _Minute:
        return self._minutes.setdefault(_start(at), _Minute())

    def locks(
        self,
        sessions: Sequence[SampledSession],
        lock_waits: tuple[LockWait, ...],
        at: datetime,
        covered: float,
    ) -> None:
        """Add who waited for whom; ``covered`` is what the sample stands for."""
        by_pid = {s.pid: s for s in sessions}
        waits = Waits(
            Snapshot("", self.server, sessions=_sessions(sessions), lock_waits=lock_waits)
        )
        queued = {
            pid: (q.mode, _query(by_pid.get(q.pid))) for q in ddl_queues(waits) for pid in q.behind
        }
        blocked: dict[tuple[object, ...], set[int]] = defaultdict(set)
        seen: dict[tuple[int, datetime | None], _Seen] = {}
        for pid, wait in waits.by_pid.items():
            told = self._told.get((pid, wait.wait_start))
            seconds = _waited(wait, told, at, covered)
            seen[pid, wait.wait_start] = _Seen(told.first if told else at, at)
            lasted = at - (wait.wait_start or seen[pid, wait.wait_start].first)
            roots = roots_of(waits, pid)
            for root, depth in roots.items():
                behind = queued.get(pid, (None, None)) if depth > 1 else (None, None)
                episode = self._episode(root, by_pid, wait, behind, at)
                _add(episode, pid, wait, lasted, depth, seconds / len(roots))
                episode.queries.update(q for q in (_query(by_pid.get(pid)),) if q is not None)
                blocked[_label(episode)].add(pid)
        for episode in self._open.values():
            if episode.last_seen == at:
                episode.most = max(episode.most, len(blocked[_label(episode)]))
        self._told = seen
        self._close(at)

    def nobody_waits(self, at: datetime) -> None:
        """Remember that nobody waits for a lock."""
        self._told = {}
        self._close(at)

    def _episode(
        self,
        root: Participant,
        by_pid: Mapping[int, SampledSession],
        wait: LockWait,
        queued: tuple[str | None, int | None],
        at: datetime,
    ) -> _Episode:
        head = by_pid.get(root) if isinstance(root, int) else None
        who = (*head[2:7], head.query_id) if head else (root,)
        key = (who, wait.database_oid, wait.relation_oid, wait.locktype, wait.mode, queued)
        episode = self._open.get(key)
        if episode is None:
            episode = self._open[key] = _Episode(root, head, wait, queued, at, at)
        episode.root, episode.head, episode.last_seen = root, head, at
        return episode

    def _close(self, at: datetime) -> None:
        for key in [k for k, e in self._open.items() if at - e.last_seen > _PAUSE]:
            self._closed.append(self._open.pop(key))

    def take(self, at: datetime | None = None) -> Sampled:
        """Return what was recorded, and begin anew; until ``at``, if given, there were no more samples."""
        last = self._last or self.began
        if at is not None and at - last > 2 * self.interval:
            reason, self._reason = self._reason, ""
            self._gap(last, at, reason)
            self._last = at
        minutes = tuple(_sampled(start, m) for start, m in sorted(self._minutes.items()))
        activity, episodes = list(self._activities()), [*self._closed, *self._open.values()]
        most = sorted(episodes, key=lambda e: -e.blocked)[:_MOST_KINDS]
        found = tuple(
            sorted((_row(e) for e in most), key=lambda e: (e.first_seen, -e.blocked_seconds))
        )
        left_out = len(episodes) - len(most) + sum(len(k) for k in self._kinds.values())
        self._minutes, self._kinds, self._open, self._closed = {}, {}, {}, []
        return Sampled(minutes, tuple(activity), found, left_out - len(activity))

    def _activities(self) -> Iterator[ActivityMinute]:
        for start, kinds in sorted(self._kinds.items()):
            most = sorted(kinds.items(), key=lambda k: (-k[1][1], -k[1][0], str(k[0])))
            for kind, (samples, seconds) in most[:_MOST_KINDS]:
                yield ActivityMinute(start, *kind, int(samples), round(seconds, 3))


def roots_of(waits: Waits, pid: int) -> dict[Participant, int]:
    """Return who is at the head of the queues in which a session waits, and how far ahead.

    In a deadlock nobody is; then it is those that it waits for directly.
    """
    found: dict[Participant, int] = {}
    seen: set[Participant] = {pid}
    ring: list[Participant] = list(waits.before.get(pid, ()))
    depth = 1
    while ring:
        following: dict[Participant, None] = {}
        for node in ring:
            if node in seen:
                continue
            seen.add(node)
            ahead = waits.before.get(node, ()) if isinstance(node, int) else ()
            if not ahead:
                found.setdefault(node, depth)
            following |= dict.fromkeys(ahead)
        ring = list(following)
        depth += 1
    return found or dict.fromkeys(waits.before.get(pid, ()), 1)


def _label(episode: _Episode) -> tuple[object, ...]:
    """Return what is the same of a kind of blocker, whatever it does and is waited for."""
    return episode.head[2:6] if episode.head else (episode.root,)


def _waited(wait: LockWait, told: _Seen | None, at: datetime, covered: float) -> float:
    """Return what a sample of a wait stands for: also the gap before it, if the wait certainly went on in it.

    Long waits are seen again and again; of short ones, few are seen, and these stand for the others.
    """
    if told is None or wait.wait_start is None:
        return covered
    return max(covered, (at - told.last).total_seconds())


def _add(
    episode: _Episode, pid: int, wait: LockWait, lasted: timedelta, depth: int, seconds: float
) -> None:
    episode.blocked += seconds
    episode.samples += 1
    episode.longest = max(episode.longest, lasted.total_seconds())
    episode.depth = max(episode.depth, depth)
    episode.waits.add((pid, wait.wait_start))


def _query(session: SampledSession | None) -> int | None:
    return session.query_id if session else None


def _start(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _starts(begins: datetime, ends: datetime) -> Iterator[datetime]:
    start = _start(begins)
    while start < ends:
        yield start
        start += _MINUTE


def _sampled(start: datetime, minute: _Minute) -> SampledMinute:
    return SampledMinute(
        minute=start,
        samples=minute.samples,
        covered_seconds=round(minute.covered, 3),
        gap_seconds=round(minute.gap, 3),
        most_waiting=minute.most_waiting,
        hidden_sessions=minute.hidden,
        reason="; ".join(minute.reasons),
    )


def _row(episode: _Episode) -> LockEpisode:
    head, wait = episode.head, episode.wait
    return LockEpisode(
        first_seen=episode.first_seen,
        last_seen=episode.last_seen,
        pid=episode.root if isinstance(episode.root, int) else None,
        database=head.database if head else None,
        user=head.user if head else None,
        application_name=head.application_name if head else None,
        backend_type=head.backend_type if head else None,
        state=head.state if head else None,
        query_id=head.query_id if head else None,
        gid=episode.root if isinstance(episode.root, str) else None,
        database_oid=wait.database_oid,
        relation_oid=wait.relation_oid,
        relation=wait.relation,
        locktype=wait.locktype,
        mode=wait.mode,
        queued_mode=episode.queued[0],
        queued_query_id=episode.queued[1],
        samples=episode.samples,
        blocked_seconds=round(episode.blocked, 3),
        longest_seconds=round(episode.longest, 3),
        waits=len(episode.waits),
        most_blocked=episode.most,
        depth=episode.depth,
        blocked_query_ids=tuple(q for q, _ in episode.queries.most_common(_MOST_BLOCKED_QUERIES)),
    )


def _sessions(sampled: Iterable[SampledSession]) -> tuple[Session, ...]:
    return tuple(
        Session(
            pid=s.pid,
            leader_pid=s.leader_pid,
            database=s.database,
            user=s.user,
            application_name=s.application_name,
            client=None,
            backend_type=s.backend_type,
            state=s.state,
            wait_event_type=s.wait_event_type,
            wait_event=s.wait_event,
            backend_start=None,
            xact_start=None,
            query_start=None,
            state_change=None,
            xid_age_xids=None,
            xmin_age_xids=None,
            query_id=s.query_id,
            query=None,
        )
        for s in sampled
    )
