"""Memory: how much the settings allow, for which roles, and how much the server has."""

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Unknown
from pgwatch_wed.units import read_size

MB = 1024 * 1024


def is_default(snapshot: Snapshot, name: str) -> bool:
    """Tell whether a setting was not set: judged by its source, since hosting providers have defaults of their own."""
    setting = snapshot.setting_by_name.get(name)
    if setting is None:
        return False
    if setting.source == "default":
        return True
    # initdb writes the value that it found to work into the file: 128 MB on any modern machine
    return (
        name == "shared_buffers"
        and setting.source == "configuration file"
        and setting.setting == "16384"
        and setting.unit == "8kB"
        and (setting.sourcefile or "postgresql.conf").endswith("postgresql.conf")
    )


def no_memory() -> Unknown:
    """Say that the amount of memory is not known."""
    return Unknown(
        "the amount of the server's memory cannot be queried with SQL",
        'use --memory 16GB (the server\'s RAM), or set memory = "16GB" in pgwatch_wed.toml',
    )


def role_setting(snapshot: Snapshot, role: str | None, name: str) -> str | None:
    """Return the value that ALTER ROLE or ALTER DATABASE gives a setting in a role's sessions here."""
    database = snapshot.server.database
    found = {
        (s.role, s.database): s.value
        for s in snapshot.role_settings
        if s.name == name and s.role in (role, None) and s.database in (database, None)
    }
    for key in ((role, database), (role, None), (None, database), (None, None)):
        if key in found:
            return found[key]
    return None


def size(text: str) -> float | None:
    """Read a size as PostgreSQL writes it; a bare number counts kB, as in work_mem."""
    try:
        return float(read_size(text, bare="kB"))
    except ValueError:
        return None


def work_mem_of(snapshot: Snapshot, role: str | None) -> float:
    """Return the work_mem that a role's sessions have in this database, in bytes."""
    own = role_setting(snapshot, role, "work_mem")
    own_bytes = size(own) if own is not None else None
    return own_bytes or snapshot.setting_number("work_mem") or 4 * MB


def worst_case_bytes(snapshot: Snapshot) -> float | None:
    """Return what all connections could use at the same time, with one hash each: work_mem × connections."""
    work_mem = snapshot.setting_number("work_mem")
    connections = snapshot.setting_number("max_connections")
    if work_mem is None or connections is None:
        return None
    return work_mem * (snapshot.setting_number("hash_mem_multiplier") or 1.0) * connections


def database_bytes(snapshot: Snapshot) -> int:
    """Return the size of this database's tables and indexes, as recorded by VACUUM and ANALYZE."""
    pages = sum(t.pages + (t.toast_pages or 0) for t in snapshot.tables)
    return (pages + sum(i.pages for i in snapshot.indexes)) * snapshot.server.block_size


def most_data_bytes(snapshot: Snapshot) -> int:
    """Return how much data of the whole server there is to cache, at most.

    The sizes of other databases are not known, but all that was needed of them has been read.
    """
    others = (d for d in snapshot.databases if d.oid != snapshot.server.database_oid)
    read = sum(d.blks_read or 0 for d in others)
    return database_bytes(snapshot) + read * snapshot.server.block_size
