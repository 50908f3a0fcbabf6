"""What is going on at this moment, and what to do once, from a snapshot and what a few rules say of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Cause, LockWait, Missing, PreparedTransaction, Session, Snapshot
from pgwatch_wed.facts.server_moment import ServerMoment, WalDirectory
from pgwatch_wed.findings import Finding, Remedy, Report, RuleVerdict, Severity
from pgwatch_wed.postgres import horizon, privileges
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.rules import Rule, rule
from pgwatch_wed.rules._freeze import LAST_AGE
from pgwatch_wed.rules.connection import usage

# What their remedies end is ended once; the first that names a session is the one that says most about it.
_ENDING = (
    *("lock-ddl-queue", "lock-prepared-transaction", "lock-blocked", "lock-idle-in-transaction"),
    "lock-long-transaction",
)
_STATES = (
    *(
        "vacuum-horizon",
        "connection-usage",
        "lock-table-pressure",
        "replication-lag",
        "replication-slot-retention",
    ),
    *("replication-slot-inactive", "wal-archive-failing", "vacuum-wraparound", "vacuum-multixact"),
)
# They say less without them, but nothing wrong; of sessions, the view itself tells what is hidden.
_NOT_NEEDED = ("sessions", "tables", "table_activity")
# Shorter waits come and go, and those on purpose are no more than information.
LONG_WAIT_S = 5.0
_MONITOR = "pg_monitor"
_ON_PURPOSE = "Sessions may wait on purpose, for an advisory lock or for old transactions to end: first ask whose they are."
_DEEPEST = 20
_MOST_RUNNING = 10
_MOST_HOLDERS = 3
_MOST_DATABASES = 3


class _AtAGlance(Rule):
    """A rule that judges a moment, in which no table was read."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The facts without which it cannot say anything."""
        return tuple(n for n in self.module.NEEDS if n not in _NOT_NEEDED)


@dataclass(frozen=True, slots=True)
class BlockedSession:
    """A session that waits, and those that wait behind it; each session stands once in a tree."""

    pid: int
    who: str
    client: str | None
    waited_seconds: float | None
    mode: str
    lock_type: str
    relation: str | None
    query: str | None
    behind: tuple["BlockedSession", ...]

    @property
    def size(self) -> int:
        """How many sessions it and those behind it are."""
        return 1 + sum(each.size for each in self.behind)


@dataclass(frozen=True, slots=True)
class BlockingRoot:
    """What others wait for, and does not wait itself: a session, or a prepared transaction (``gid``)."""

    pid: int | None
    gid: str | None
    who: str
    client: str | None
    doing: str
    transaction_seconds: float | None
    query: str | None
    holds: tuple[str, ...]
    waiting_sessions: int
    longest_wait_seconds: float | None
    behind: tuple[BlockedSession, ...]


@dataclass(frozen=True, slots=True)
class NowStep:
    """What to do once: why, the SQL with its effect and who may run it, and what to consider before.

    ``frees`` is the number of sessions that wait for it.
    """

    rule: str
    severity: Severity
    title: str
    detail: str
    remedies: tuple[Remedy, ...]
    caveats: tuple[str, ...]
    frees: int


@dataclass(frozen=True, slots=True)
class ConnectionsInUse:
    """Clients' connections: ``available`` are those for ordinary roles, ``reserved`` those kept for others."""

    used: int
    available: int | None
    reserved: int
    by_state: tuple[tuple[str, int], ...]
    by_application: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RunningStatement:
    """A statement that runs, and what its session waits for, if not for a lock."""

    pid: int
    who: str
    client: str | None
    seconds: float | None
    wait: str | None
    query: str | None


@dataclass(frozen=True, slots=True)
class HorizonHolder:
    """What keeps VACUUM from removing rows that died since, in one ``database`` or in all."""

    who: str
    database: str | None
    age_xids: int
    held_seconds: float | None
    pins: str


@dataclass(frozen=True, slots=True)
class FreezeAge:
    """How old the oldest IDs of a database are, and as a fraction of where the server stops assigning new ones."""

    database: str
    xid_age: int
    mxid_age: int
    used_share: float


@dataclass(frozen=True, slots=True)
class SlotInUse:
    """A replication slot, and the WAL that it keeps."""

    name: str
    slot_type: str
    is_active: bool
    retained_bytes: int | None
    safe_bytes: int | None
    status: str | None


@dataclass(frozen=True, slots=True)
class NowView:
    """All of it. ``lacking`` is what could not be seen: why, and what would show it.

    What is empty may be so only because it was not read: ``unread`` are such facts, with the reason. ``unjudged`` are the
    rules that could not tell whether something has to be done. ``longest_wait_seconds`` is None if no wait's length is
    known, and too short if only those of ``waits_of_unknown_length`` are not.
    """

    taken_at: datetime
    version: str
    is_standby: bool
    role: str
    waiting_sessions: int
    longest_wait_seconds: float | None
    waits_of_unknown_length: int
    roots: tuple[BlockingRoot, ...]
    in_circles: tuple[int, ...]
    steps: tuple[NowStep, ...]
    unjudged: tuple[tuple[str, str], ...]
    noted: tuple[Finding, ...]
    connections: ConnectionsInUse
    running: tuple[RunningStatement, ...]
    running_count: int
    hidden_sessions: int
    waits: tuple[tuple[str, int], ...]
    holders: tuple[HorizonHolder, ...]
    freeze_max_age: int | None
    freezing: tuple[FreezeAge, ...]
    slots: tuple[SlotInUse, ...]
    wal: WalDirectory | None
    unread: Mapping[str, str]
    lacking: tuple[tuple[str, str], ...]
    queries: int

    def why_unread(self, *facts: str) -> str:
        """Return why any of some facts could not be read, or nothing if all were read."""
        found: dict[str, list[str]] = {}
        for name in facts:
            if name in self.unread:
                found.setdefault(self.unread[name], []).append(_spoken(name))
        return "; ".join(f"{', '.join(names)}: {why}" for why, names in found.items())


HORIZON_FACTS = ("sessions", "prepared_transactions", "slots", "replicas")
"""The facts without which nobody knows that nothing holds back VACUUM."""


def view(moment: ServerMoment) -> NowView:
    """Return what to show of a moment."""
    moment = replace(moment, snapshot=_with_mends(moment.snapshot))
    snapshot = moment.snapshot
    report = analyse([snapshot], Config(skip_roles=()), rules(snapshot))
    waits = locks.Waits(snapshot)
    seen: set[int] = set()
    roots = sorted(waits.roots, key=lambda r: (-len(waits.depths(r)), str(r)))
    trees = tuple(_root(waits, root, seen) for root in roots)
    running = sorted(_running(waits), key=lambda r: -(r.seconds or 0.0))
    return NowView(
        taken_at=snapshot.now,
        version=snapshot.server.version,
        is_standby=snapshot.server.is_in_recovery,
        role=snapshot.server.role,
        waiting_sessions=len(waits.by_pid),
        longest_wait_seconds=_seconds(waits.longest_known(waits.by_pid)),
        waits_of_unknown_length=len(waits.of_unknown_length),
        roots=trees,
        in_circles=tuple(sorted(p for p in waits.by_pid if p not in seen and waits.before[p])),
        steps=tuple(sorted(_steps(report), key=lambda step: not step.frees)),
        unjudged=tuple((v.rule, v.reason) for v in report.unknowns if v.rule in _ENDING),
        noted=tuple(f for f in report.findings if _is_noted(f)),
        connections=_connections(snapshot),
        running=tuple(running[:_MOST_RUNNING]),
        running_count=len(running),
        hidden_sessions=sum(locks.is_hidden(s) for s in snapshot.sessions),
        waits=_waits(snapshot),
        holders=tuple(
            _holder(snapshot, h) for h in horizon.holders_of_all(snapshot)[:_MOST_HOLDERS]
        ),
        freeze_max_age=_whole(snapshot.setting_number("autovacuum_freeze_max_age")),
        freezing=_freezing(snapshot),
        slots=_slots(snapshot),
        wal=None if isinstance(moment.wal, Missing) else moment.wal,
        unread=_unread(snapshot),
        lacking=tuple(dict.fromkeys(_lacking(moment, report.unknowns))),
        queries=moment.queries,
    )


def rules(snapshot: Snapshot) -> Iterator[Rule]:
    """Yield the rules that judge a moment; on a standby without those that judge only primaries."""
    for name in (*_ENDING, *_STATES):
        found = rule(name)
        if not (found.primary_only and snapshot.server.is_in_recovery):
            yield _AtAGlance(found.id, found.area, found.module)


# Locks


def _root(waits: locks.Waits, root: locks.Participant, seen: set[int]) -> BlockingRoot:
    snapshot = waits.snapshot
    depths = waits.depths(root)
    session = snapshot.session_by_pid.get(root) if isinstance(root, int) else None
    return BlockingRoot(
        pid=root if isinstance(root, int) else None,
        gid=root if isinstance(root, str) else None,
        who=_who(session) if isinstance(root, int) else _owner(snapshot, root),
        client=session.client if session else None,
        doing=locks.doing(snapshot, root),
        transaction_seconds=_age(snapshot, session.xact_start) if session else None,
        query=_query(session),
        holds=tuple(locks.held(snapshot, root)),
        waiting_sessions=len(depths),
        longest_wait_seconds=_seconds(waits.longest_known(depths)),
        behind=_behind(waits, root, seen, 0),
    )


def _behind(
    waits: locks.Waits, node: locks.Participant, seen: set[int], depth: int
) -> tuple[BlockedSession, ...]:
    """Return the sessions behind one, the longest wait first; who waits for several stands behind the first."""
    # nobody reads a tree that is deeper: all that are left stand side by side
    near = waits.behind.get(node, ()) if depth < _DEEPEST else waits.depths(node)
    mine = [pid for pid in near if pid not in seen]
    seen.update(mine)
    mine.sort(key=lambda pid: (-waits.waited(pid).total_seconds(), pid))
    return tuple(_blocked(waits, pid, waits.by_pid[pid], seen, depth + 1) for pid in mine)


def _blocked(
    waits: locks.Waits, pid: int, wait: LockWait, seen: set[int], depth: int
) -> BlockedSession:
    session = waits.snapshot.session_by_pid.get(pid)
    return BlockedSession(
        pid=pid,
        who=_who(session),
        client=session.client if session else None,
        waited_seconds=_seconds(waits.known_wait(pid)),
        mode=locks.lock_name(wait.mode),
        lock_type=wait.locktype,
        relation=wait.relation,
        query=_query(session),
        behind=_behind(waits, pid, seen, depth),
    )


def _who(session: Session | None) -> str:
    if session is None:
        return "not seen"
    if session.backend_type in (None, "client backend"):
        return locks.label(session)
    return f"{session.backend_type} {session.database or ''}".strip()


def _query(session: Session | None) -> str | None:
    return None if session is None or locks.is_hidden(session) else session.query


def _owner(snapshot: Snapshot, gid: str) -> str:
    found = (p for p in snapshot.prepared_transactions if p.gid == gid)
    return next((f"{p.owner}@{p.database}" for p in found), "?")


def _age(snapshot: Snapshot, moment: datetime | None) -> float | None:
    return locks.seconds(locks.since(moment, snapshot))


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()


# What to do


def _steps(report: Report) -> Iterator[NowStep]:
    """Yield what to do, each statement once: several rules may find the same session."""
    done: set[str] = set()
    for name in _ENDING:
        for finding in report.findings:
            if finding.rule != name or not _is_due(finding):
                continue
            remedies = tuple(r for r in finding.remedy if r.sql not in done)
            if finding.remedy and not remedies:
                continue
            done.update(r.sql for r in remedies)
            caveats = (*finding.caveats, *(() if _is_bad(finding) else (_ON_PURPOSE,)))
            yield NowStep(
                *(finding.rule, finding.severity, finding.title, finding.detail),
                *(remedies, caveats, _freed(finding)),
            )


def _freed(finding: Finding) -> int:
    named = (finding.evidence.get(name) or () for name in ("waiting", "queued", "blocked_pids"))
    return max(map(len, named))


def _is_due(finding: Finding) -> bool:
    """Tell whether somebody should act: what is in nobody's way may be a backup, even if it is idle in transaction."""
    waited = finding.evidence.get("longest_wait_seconds") or 0.0
    if not _freed(finding):
        return False
    return finding.rule == "lock-long-transaction" or _is_bad(finding) or waited >= LONG_WAIT_S


def _is_noted(finding: Finding) -> bool:
    """Tell whether it is worth knowing. A transaction that is long because it does something is not."""
    in_nobodys_way = finding.rule in _ENDING and not _freed(finding)
    listed = finding.rule in _STATES or in_nobodys_way
    return listed and finding.rule != "lock-long-transaction" and _is_bad(finding)


def _is_bad(finding: Finding) -> bool:
    return finding.severity is not Severity.INFO


# The rest


def _connections(snapshot: Snapshot) -> ConnectionsInUse:
    clients = [s for s in snapshot.sessions if usage.takes_room(s)]
    reserved = ("superuser_reserved_connections", "reserved_connections")
    return ConnectionsInUse(
        used=len(clients),
        available=usage.available(snapshot),
        reserved=int(sum(snapshot.setting_number(n) or 0 for n in reserved)),
        by_state=_counted(s.state or "not visible" for s in clients),
        by_application=_counted(map(locks.label, clients)),
    )


def _counted(names: Iterator[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _running(waits: locks.Waits) -> Iterator[RunningStatement]:
    for s in waits.snapshot.sessions:
        runs = s.state in locks.RUNNING and s.leader_pid is None
        if runs and s.backend_type != "walsender" and s.pid not in waits.by_pid:
            wait = f"{s.wait_event_type}: {s.wait_event}" if s.wait_event_type else None
            seconds = _age(waits.snapshot, s.query_start)
            yield RunningStatement(s.pid, _who(s), s.client, seconds, wait, _query(s))


def _waits(snapshot: Snapshot) -> tuple[tuple[str, int], ...]:
    """Count what active sessions wait for; who waits for nothing runs, or waits for a processor."""
    active = (s for s in snapshot.sessions if s.state == "active" and s.backend_type != "walsender")
    return _counted(
        f"{s.wait_event_type}: {s.wait_event}" if s.wait_event_type else "running" for s in active
    )


def _holder(snapshot: Snapshot, holder: horizon.Holder) -> HorizonHolder:
    return HorizonHolder(
        who=horizon.describe(holder),
        database=_database(holder),
        age_xids=holder.age_xids,
        held_seconds=locks.seconds(holder.held(snapshot.now)),
        pins="rows" if holder.pins_rows else "catalogs",
    )


def _database(holder: horizon.Holder) -> str | None:
    # slots and standbys affect all databases
    match holder.source:
        case Session() | PreparedTransaction() as source:
            return source.database
        case _:
            return None


def _freezing(snapshot: Snapshot) -> tuple[FreezeAge, ...]:
    ages = (
        FreezeAge(
            d.name, d.xid_age_xids, d.mxid_age, round(max(d.xid_age_xids, d.mxid_age) / LAST_AGE, 4)
        )
        for d in snapshot.databases
    )
    return tuple(sorted(ages, key=lambda a: (-a.used_share, a.database))[:_MOST_DATABASES])


def _slots(snapshot: Snapshot) -> tuple[SlotInUse, ...]:
    found = (
        SlotInUse(
            s.name, s.slot_type, s.is_active, s.retained_bytes, s.safe_wal_bytes, s.wal_status
        )
        for s in snapshot.slots
    )
    return tuple(sorted(found, key=lambda s: (-(s.retained_bytes or 0), s.name)))


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


# What cannot be seen


_LOOK_AGAIN = "look again: a query may take only a short time here"


def _with_mends(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot without the mends that only other commands have."""
    missing = {
        name: replace(why, mend=_LOOK_AGAIN) if why.cause is Cause.OUT_OF_TIME else why
        for name, why in snapshot.missing.items()
    }
    return replace(snapshot, missing=missing)


def _spoken(name: str) -> str:
    return name.partition(":")[0].replace("_", " ")


def _unread(snapshot: Snapshot) -> dict[str, str]:
    """Return the facts that could not be read, and why; of what this role sees only in part, there is something."""
    return {
        name: why.reason
        for name, why in snapshot.missing.items()
        if why.cause is not Cause.NOT_ASKED and not getattr(snapshot, name, None)
    }


def _unjudged(
    snapshot: Snapshot, unknown: Iterable[RuleVerdict], said: Set[str]
) -> Iterator[tuple[str, str]]:
    """Yield why rules could not judge, if it is not a fact that they lack, nor what has been said."""
    lacking = {r.id for r in rules(snapshot) if snapshot.missing.keys() & set(r.needs)}
    found: dict[tuple[str, str], list[str]] = {}
    for verdict in unknown:
        if verdict.rule not in lacking and verdict.reason not in said:
            found.setdefault((verdict.reason, verdict.mend), []).append(verdict.rule)
    for (reason, mend), names in found.items():
        yield f"{', '.join(names)}: {reason}", mend


def _lacking(moment: ServerMoment, unknown: Iterable[RuleVerdict]) -> Iterator[tuple[str, str]]:
    snapshot = moment.snapshot
    for name, why in snapshot.missing.items():
        if why.cause is not Cause.NOT_ASKED:
            yield f"{_spoken(name)}: {why.reason}", why.mend
    hidden = locks.hidden(snapshot)
    if "sessions" not in snapshot.missing:
        yield from ((each.reason, each.mend) for each in hidden)
    yield from _unjudged(snapshot, unknown, {each.reason for each in hidden})
    if isinstance(moment.wal, Missing):
        server = snapshot.server
        would_help = moment.wal.cause is Cause.DENIED and _MONITOR not in server.role_memberships
        mend = privileges.member(server, _MONITOR) if would_help else moment.wal.mend
        yield f"the directory of the WAL: {moment.wal.reason}", mend
