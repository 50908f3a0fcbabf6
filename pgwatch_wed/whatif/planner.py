"""What steers the planner: read from the target, applied where its plans are asked for."""

from collections.abc import Mapping
from typing import Any

import psycopg

_PLANNER = """
select name, reset_val from pg_settings
where category like 'Query Tuning%%' and name not in ('geqo', 'plan_cache_mode', 'geqo_seed')
   or name in ('work_mem', 'hash_mem_multiplier', 'search_path', 'max_parallel_workers', 'parallel_leader_participation',
               'max_parallel_workers_per_gather', 'effective_io_concurrency', 'timezone',
               'datestyle', 'intervalstyle', 'standard_conforming_strings', 'array_nulls',
               'default_text_search_config', 'temp_buffers')
"""


def read(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return what steers the target's planner, with the settings of its database and role."""
    return {name: value for name, value in connection.execute(_PLANNER) if value is not None}


def collation(connection: psycopg.Connection[Any]) -> str:
    """Return the collation of the connection's database."""
    row = connection.execute(
        "select datcollate from pg_database where datname = current_database()"
    ).fetchone()
    if row is None:
        return "C.UTF-8"
    return row[0].decode(errors="replace") if isinstance(row[0], bytes) else str(row[0])


def apply(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Set what this server knows of the settings; others belong to another major."""
    for name, value in settings.items():
        try:
            with connection.transaction():
                connection.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
        except psycopg.Error:
            continue
