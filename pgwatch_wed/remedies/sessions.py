"""SQL that ends a session's statement or transaction, or a prepared transaction."""

from pgwatch_wed.facts import Session
from pgwatch_wed.findings import Remedy
from pgwatch_wed.quote import literal


def cancel(session: Session) -> Remedy:
    """Return the SQL that cancels a session's statement, and nothing else."""
    return _stop("pg_cancel_backend", session, "its running statement fails; the session continues")


def terminate(session: Session) -> Remedy:
    """Return the SQL that ends a session; its transaction is rolled back."""
    rolled_back = "its transaction is rolled back and " if session.xact_start else ""
    return _stop("pg_terminate_backend", session, f"{rolled_back}its connection is closed")


def stop(session: Session) -> Remedy:
    """Return the mildest SQL that makes a session release its locks: an idle one has nothing to cancel."""
    return cancel(session) if can_be_canceled(session) else terminate(session)


def can_be_canceled(session: Session) -> bool:
    """Tell whether it runs a statement that reacts: one that waits for its client (COPY) does not."""
    runs = session.state in ("active", "fastpath function call")
    return runs and session.wait_event_type != "Client"


def end_on_standby(xmin: int) -> Remedy:
    """Return the SQL that stops, on a standby, the sessions that hold the horizon reported by it.

    Sessions as recent as a new snapshot hold nothing back, and with a slot, no session is the cause.
    """
    return Remedy(
        sql="SELECT pid, CASE WHEN state = 'active' AND wait_event_type IS DISTINCT FROM 'Client'\n"
        "    THEN pg_cancel_backend(pid) ELSE pg_terminate_backend(pid) END\n"
        f"FROM pg_stat_activity WHERE backend_xmin = '{xmin}'\n"
        "    AND backend_type = 'client backend' AND pid <> pg_backend_pid()\n"
        "    AND age(backend_xmin) > age(pg_snapshot_xmin(pg_current_snapshot())::xid)\n"
        f"    AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE xmin = '{xmin}');",
        lock="none; run it on the standby: it cancels the statement, or terminates the session if it is idle",
        undo="-- none; the query has to be run again",
    )


def _stop(function: str, session: Session, effect: str) -> Remedy:
    begun = session.xact_start or session.backend_start
    column = "xact_start" if session.xact_start else "backend_start"
    # The report may be read later: another session that has the PID by then must not be affected.
    same = f" AND {column} = {literal(begun.isoformat())}" if begun else ""
    return Remedy(
        sql=f"SELECT {function}({session.pid}) FROM pg_stat_activity WHERE pid = {session.pid}{same};",
        lock=f"none; {effect}",
        undo="-- none: the work of this transaction is lost, and the client has to repeat it"
        if session.xact_start
        else "-- none; the client has to connect again",
    )


def rollback_prepared(gid: str) -> Remedy:
    """Return the SQL that rolls back a prepared transaction."""
    return Remedy(
        sql=f"ROLLBACK PREPARED {literal(gid)};",
        lock="none; run it in its own database, as its owner or a superuser",
        in_transaction=False,
        undo="-- none; if the transaction manager has decided to commit it, "
        f"use COMMIT PREPARED {' '.join(literal(gid).splitlines())} instead",
    )
