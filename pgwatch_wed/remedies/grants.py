"""Privileges that a role may lack."""

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.quote import ident


def grant_birth(snapshot: Snapshot) -> str:
    """Return the SQL that lets the role read how old the database, and so the counters, can be."""
    return (
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO "
        f"{ident(snapshot.server.role)}; (as a superuser, in this database)"
    )
