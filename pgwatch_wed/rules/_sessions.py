"""What several rules know about sessions: who is a person's, how long, and how to end it gently."""

from datetime import datetime

from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Object, Remedy

_IDLE = ("idle in transaction", "idle in transaction (aborted)")


def clients(snapshot: Snapshot) -> tuple[Session, ...]:
    """Return the sessions of clients: no background process, no walsender."""
    return tuple(s for s in snapshot.sessions if s.backend_type == "client backend")


def is_idle_in_transaction(session: Session) -> bool:
    """Tell whether it has a transaction open and does nothing."""
    return session.state in _IDLE


def seconds_since(snapshot: Snapshot, moment: datetime | None) -> float | None:
    """Return the time since a moment, never negative."""
    return None if moment is None else max((snapshot.now - moment).total_seconds(), 0.0)


def object_of(session: Session) -> Object:
    """Name a session for a finding."""
    who = session.application_name or session.user or session.backend_type or "session"
    return Object("session", f"{who}, pid {session.pid}")


def evidence(snapshot: Snapshot, session: Session) -> dict[str, object]:
    """Return what identifies a session to a person."""
    return {
        "pid": session.pid,
        "user": session.user,
        "database": session.database,
        "application": session.application_name,
        "client": session.client,
        "state": session.state,
        "transaction_seconds": _rounded(seconds_since(snapshot, session.xact_start)),
        "state_seconds": _rounded(seconds_since(snapshot, session.state_change)),
        "query": session.query,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def blocked_by(snapshot: Snapshot, pid: int) -> tuple[int, ...]:
    """Return the pids that wait directly for a session."""
    return tuple(sorted(w.pid for w in snapshot.lock_waits if pid in w.blocked_by))


def end(session: Session) -> Remedy:
    """Return the mildest call that ends what a session does: cancel, or terminate an idle one."""
    if is_idle_in_transaction(session):
        return Remedy(
            sql=f"SELECT pg_terminate_backend({session.pid});",
            lock="none; the client loses its connection and its open transaction is rolled back",
            undo="-- the client connects again",
        )
    return Remedy(
        sql=f"SELECT pg_cancel_backend({session.pid});",
        lock="none; the statement is cancelled, the connection stays",
        undo="-- the client runs its statement again",
    )
