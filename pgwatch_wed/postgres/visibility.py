"""What of the activity on a server a role cannot see."""

from pgwatch_wed import units
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.postgres import privileges
from pgwatch_wed.postgres import waits as locks


def activity_hidden(snapshot: Snapshot) -> Missing | None:
    """Return what is hidden one by one; to a member of pg_read_all_stats, that is the provider's own."""
    if privileges.reads_all_stats(snapshot.server):
        return None
    sessions = sum(locks.is_hidden(s) and s.database is not None for s in snapshot.sessions)
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    parts = [f"the activity of {units.count(sessions, 'session')}"] if sessions else []
    if info and info.hidden_entries:
        parts.append(f"the text of {units.count(info.hidden_entries, 'statement')}")
    if not parts:
        return None
    are = "is" if len(parts) == 1 else "are"
    mend = privileges.grant_stats(snapshot.server)
    return Missing(f"{' and '.join(parts)} {are} hidden", mend, Cause.DENIED)
