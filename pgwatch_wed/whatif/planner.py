"""The settings that influence the planner: read from the target, and applied where it is imitated."""

from collections.abc import Mapping
from typing import Any

import psycopg

from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif.unencoded import readable


def read(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the target's planner settings, including those of its database and role."""
    rows = connection.execute(composed("whatif", "planner_settings"))
    return {readable(name): readable(value) for name, value in rows if value is not None}


def collation(connection: psycopg.Connection[Any]) -> str:
    """Return the collation of the connection's database; that of the built-in provider compares like C."""
    row = connection.execute(composed("whatif", "collation")).fetchone()
    if row is None:
        return "C.UTF-8"
    return str(readable(row[0]))


def apply(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Apply the settings that this server knows; others belong to another major version."""
    for name, value in settings.items():
        try:
            with connection.transaction():
                connection.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
        except psycopg.Error:
            continue


def without_newer_paths(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Switch off what this server can consider for a plan and a server with these settings cannot: it has no setting for it."""
    # compared here: there, an operator of the target's could take the place of PostgreSQL's own
    known = connection.execute("select name, vartype from pg_catalog.pg_settings").fetchall()
    switches = {readable(name) for name, kind in known if readable(kind) == "bool"}
    newer = sorted(n for n in switches - settings.keys() if n.startswith("enable_"))
    apply(connection, dict.fromkeys(newer, "off"))
