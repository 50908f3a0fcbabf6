"""Sessions, and which of them wait for which locks: shared by several rules."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from pgwatch_wed.facts import LockWait, Session, Snapshot
from pgwatch_wed.findings import Object, Unknown
from pgwatch_wed.postgres import privileges
from pgwatch_wed.units import count, words

IDLE_IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")
RUNNING = ("active", "fastpath function call")


# Sessions


def is_client(session: Session) -> bool:
    """Tell whether it is a client's session, not a background process."""
    return session.backend_type == "client backend"


def is_hidden(session: Session) -> bool:
    """Tell whether our role may see only its application name, role and database."""
    return session.backend_type is None and session.backend_start is None


def is_idle_in_transaction(session: Session) -> bool:
    """Tell whether it is idle in transaction."""
    return session.state in IDLE_IN_TRANSACTION


def holds_back(session: Session) -> bool:
    """Tell whether it has a transaction ID or a snapshot: only then it holds back VACUUM."""
    return session.xid_age_xids is not None or session.xmin_age_xids is not None


def hidden(snapshot: Snapshot) -> list[Unknown]:
    """Return why sessions cannot be judged: those of other roles are hidden, or activity is not tracked."""
    blind = [s for s in snapshot.sessions if is_hidden(s)]
    if blind:
        server = snapshot.server
        why = f"{server.role} may not see the activity of {count(len(blind), 'other session')}"
        return [Unknown(why, privileges.grant_stats(server))]
    if any(s.state == "disabled" for s in snapshot.sessions):
        return [Unknown("track_activities is off", "turn it on: it costs next to nothing")]
    return []


def since(moment: datetime | None, snapshot: Snapshot) -> timedelta | None:
    """Return the time elapsed since a moment, never negative."""
    return None if moment is None else max(snapshot.now - moment, timedelta())


def seconds(length: timedelta | None) -> float | None:
    """Return a length of time in seconds, for evidence."""
    return None if length is None else round(length.total_seconds(), 3)


def label(session: Session) -> str:
    """Name a session so that a later run recognizes the same problem: no PID, no time."""
    who = f"{session.user or '?'}@{session.database or '-'}"
    return f"{who} ({session.application_name})" if session.application_name else who


def objects(sessions: Sequence[Session]) -> list[Object]:
    """Name sessions for findings, with a number if several have the same name."""
    found: list[Object] = []
    taken: Counter[str] = Counter()
    for session in sessions:
        name = label(session)
        taken[name] += 1
        found.append(Object("session", f"{name} #{taken[name]}" if taken[name] > 1 else name))
    return found


def evidence(snapshot: Snapshot, session: Session) -> dict[str, object]:
    """Return what is known about a session."""
    return {
        "pid": session.pid,
        "user": session.user,
        "database": session.database,
        "application_name": session.application_name,
        "client": session.client,
        "state": session.state,
        "state_seconds": seconds(since(session.state_change, snapshot)),
        "transaction_seconds": seconds(since(session.xact_start, snapshot)),
        "query": session.query,
    }


# Which sessions wait for which

PREPARED = 0
"""The PID that PostgreSQL reports for a prepared transaction."""

Participant = int | str
"""A session's PID, or a prepared transaction's GID."""


@dataclass(frozen=True)
class Waits:
    """The graph of waits for heavyweight locks."""

    snapshot: Snapshot

    @cached_property
    def by_pid(self) -> Mapping[int, LockWait]:
        """The wait of each waiting session; that of a parallel worker counts as its leader's."""
        found: dict[int, LockWait] = {}
        for wait in sorted(self.snapshot.lock_waits, key=lambda w: w.pid):
            session = self.snapshot.session_by_pid.get(wait.pid)
            leader = session.leader_pid if session else None
            found.setdefault(leader or wait.pid, wait)
        return found

    @cached_property
    def before(self) -> Mapping[int, tuple[Participant, ...]]:
        """What each waiting session waits for."""
        return {pid: self._before(wait) for pid, wait in self.by_pid.items()}

    def _before(self, wait: LockWait) -> tuple[Participant, ...]:
        found: set[Participant] = {p for p in wait.blocked_by if p not in (PREPARED, wait.pid)}
        if PREPARED in wait.blocked_by:
            found.update(wait.blocked_by_prepared or (self._only_prepared(),))
        return tuple(sorted(found, key=str))

    def _only_prepared(self) -> str:
        gids = [p.gid for p in self.snapshot.prepared_transactions]
        return gids[0] if len(gids) == 1 else "?"

    @cached_property
    def behind(self) -> Mapping[Participant, tuple[int, ...]]:
        """The sessions that wait directly for each."""
        found: dict[Participant, list[int]] = defaultdict(list)
        for pid, blockers in self.before.items():
            for blocker in blockers:
                found[blocker].append(pid)
        return {node: tuple(sorted(pids)) for node, pids in found.items()}

    @cached_property
    def roots(self) -> tuple[Participant, ...]:
        """Those that others wait for and that are not waiting themselves."""
        return tuple(sorted((n for n in self.behind if n not in self.by_pid), key=str))

    def depths(self, root: Participant) -> dict[int, int]:
        """Return all sessions that wait for ``root``, directly (1) or behind others."""
        found: dict[int, int] = {}
        ring: Iterable[int] = self.behind.get(root, ())
        depth = 1
        while ring := [pid for pid in ring if pid not in found and pid != root]:
            found |= dict.fromkeys(ring, depth)
            ring = sorted({p for pid in ring for p in self.behind.get(pid, ())})
            depth += 1
        return found

    def waited(self, pid: int) -> timedelta:
        """Return how long a session has been waiting, as far as it is known."""
        return self.known_wait(pid) or timedelta()

    def known_wait(self, pid: int) -> timedelta | None:
        """Return how long a session has been waiting; before 14, at most since its statement began.

        It is None if the role may not see that. A wait that began this moment may have no start yet.
        """
        begun = self.by_pid[pid].wait_start
        if begun is None and self.snapshot.server.features.has_wait_start():
            return timedelta()
        session = self.snapshot.session_by_pid.get(pid)
        if begun is None and session is not None:
            begun = session.query_start
        return since(begun, self.snapshot)

    def longest_known(self, pids: Iterable[int]) -> timedelta | None:
        """Return the longest of some waits, or None if the length of none is known."""
        known = (self.known_wait(pid) for pid in pids)
        return max((wait for wait in known if wait is not None), default=None)

    @cached_property
    def of_unknown_length(self) -> tuple[int, ...]:
        """The waiting sessions of which it cannot be seen since when."""
        return tuple(pid for pid in self.by_pid if self.known_wait(pid) is None)

    def unseen(self) -> list[Unknown]:
        """Return why waits cannot be judged: since when they last is hidden."""
        if not self.of_unknown_length:
            return []
        server = self.snapshot.server
        number = len(self.of_unknown_length)
        waiting = f"{count(number, 'session')} {'has' if number == 1 else 'have'} been waiting"
        return [
            Unknown(f"{server.role} may not see how long {waiting}", privileges.grant_stats(server))
        ]

    def longest(self, node: Participant) -> timedelta:
        """Return the longest direct or indirect wait for a session or prepared transaction."""
        return max((self.waited(pid) for pid in self.depths(node)), default=timedelta())


def lock_name(mode: str) -> str:
    """Return a lock's mode as the documentation writes it: ``ACCESS EXCLUSIVE``."""
    words = "".join(f" {c}" if c.isupper() else c for c in mode.removesuffix("Lock"))
    return words.strip().upper()


# Wording


def subject(snapshot: Snapshot, node: Participant) -> str:
    """Name a session or prepared transaction at the beginning of a sentence."""
    if isinstance(node, str):
        return f"Prepared transaction {node}"
    session = snapshot.session_by_pid.get(node)
    return f"Session {node} ({label(session)})" if session else f"Session {node}"


def doing(snapshot: Snapshot, node: Participant) -> str:
    """Say what a session or prepared transaction that blocks others is doing."""
    if isinstance(node, str):
        prepared = next((p for p in snapshot.prepared_transactions if p.gid == node), None)
        length = since(prepared.prepared_at, snapshot) if prepared else None
        return f"was prepared {words(length)} ago and does not belong to a session"
    session = snapshot.session_by_pid.get(node)
    if session is None:
        return "is not among the sessions that were read"
    if session.state is None:
        worker = session.backend_type == "autovacuum worker"
        return (
            "is an autovacuum worker" if worker else "is doing something that this role may not see"
        )
    if is_idle_in_transaction(session):
        return f"has been idle in transaction for {words(since(session.state_change, snapshot))}"
    if session.wait_event_type == "Lock":
        return "is itself waiting for a lock"
    if session.state == "idle":
        idle = words(since(session.state_change, snapshot))
        return f"has been idle for {idle}, but keeps a lock until its connection ends"
    return f"has been running its statement for {words(since(session.query_start, snapshot))}"


def held(snapshot: Snapshot, node: Participant) -> list[str]:
    """Name the strong relation locks that a session holds in this database."""
    mine = (k for k in snapshot.relation_locks if k.pid == node and k.is_granted)
    return sorted({f"{lock_name(k.mode)} on {k.relation}" for k in mine})[:50]


def node_objects(snapshot: Snapshot, nodes: Iterable[Participant]) -> dict[Participant, Object]:
    """Name sessions and prepared transactions for findings."""
    nodes = list(nodes)
    sessions = [s for n in nodes if isinstance(n, int) and (s := snapshot.session_by_pid.get(n))]
    named: dict[Participant, Object] = dict(
        zip((s.pid for s in sessions), objects(sessions), strict=True)
    )
    for node in nodes:
        kind = "prepared_transaction" if isinstance(node, str) else "session"
        named.setdefault(node, Object(kind, node if isinstance(node, str) else f"pid {node}"))
    return named


def relations(waits: Waits, pids: Iterable[int]) -> list[Object]:
    """Name the tables that sessions are waiting for."""
    wanted = {w.relation_oid: w.relation for p in pids if (w := waits.by_pid[p]).relation}
    found = (table_object(waits.snapshot, oid, name) for oid, name in wanted.items())
    return sorted(found, key=lambda o: o.label)


def table_object(snapshot: Snapshot, oid: int | None, relation: str | None) -> Object:
    """Name a locked relation; if its name in the lock does not tell its schema, as the table that it is."""
    schema, _, name = (relation or "?").partition(".")
    table = snapshot.table_by_oid.get(oid or 0) if not name or "." in name else None
    if table is not None:
        schema, name = table.schema, table.name
    return Object("table", name, snapshot.server.database, schema, name)


# DDL in the queue

_STRONG = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")


@dataclass(frozen=True, slots=True)
class Queue:
    """A session that waits for a strong lock on a relation, and the sessions behind it."""

    pid: int
    mode: str
    database_oid: int | None
    relation_oid: int
    relation: str | None
    behind: tuple[int, ...]


def ddl_queues(waits: Waits) -> list[Queue]:
    """Return waits for strong table locks with sessions queued behind them, longest queue first."""
    found = []
    for pid, wait in waits.by_pid.items():
        if wait.locktype != "relation" or wait.mode not in _STRONG or wait.relation_oid is None:
            continue
        behind = tuple(
            p
            for p in waits.behind.get(pid, ())
            if waits.by_pid[p].relation_oid == wait.relation_oid
        )
        if behind:
            found.append(
                Queue(pid, wait.mode, wait.database_oid, wait.relation_oid, wait.relation, behind)
            )
    return sorted(found, key=lambda q: (-len(q.behind), q.pid))
