"""SQL that ends a session's statement or transaction, or a prepared transaction."""

from pgwatch_wed.facts import Session
from pgwatch_wed.findings import Remedy
from pgwatch_wed.postgres.waits import is_idle_in_transaction
from pgwatch_wed.quote import literal


def cancel(session: Session) -> Remedy:
    """Return the SQL that cancels a session's statement, and nothing else."""
    return _stop("pg_cancel_backend", session, "its running statement fails; the session continues")


def terminate(session: Session) -> Remedy:
    """Return the SQL that ends a session; its transaction is rolled back."""
    return _stop(
        "pg_terminate_backend", session, "its transaction is rolled back and its connection closed"
    )


def stop(session: Session) -> Remedy:
    """Return the mildest SQL that makes a session release its locks: an idle one has nothing to cancel."""
    return terminate(session) if is_idle_in_transaction(session) else cancel(session)


def _stop(function: str, session: Session, effect: str) -> Remedy:
    begun = session.xact_start or session.backend_start
    column = "xact_start" if session.xact_start else "backend_start"
    # The report may be read later: another session that has the PID by then must not be affected.
    same = f" AND {column} = {literal(begun.isoformat())}" if begun else ""
    return Remedy(
        sql=f"SELECT {function}({session.pid}) FROM pg_stat_activity WHERE pid = {session.pid}{same};",
        lock=f"none; {effect}",
        undo="-- none: the work of this transaction is lost, and the client has to repeat it",
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
