"""What makes the counters' window certain."""

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.quote import ident


def grant_birth(snapshot: Snapshot) -> str:
    """Return what lets the role read how old the database is."""
    return (
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO "
        f"{ident(snapshot.server.role)}; (a superuser, in this database)"
    )
