"""How many clients this machine and the server allow, asked before any connects."""

import resource
from typing import Any

import psycopg

from pgwatch_wed import assets
from pgwatch_wed.errors import Error
from pgwatch_wed.load.load_model import Order
from pgwatch_wed.units import count

_OTHER_FILES = 64


def allow_descriptors(clients: int) -> None:
    """Raise the soft limit of open files for so many clients; :class:`Error` if the hard limit forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = clients + _OTHER_FILES
    if _allows(soft, needed):
        return
    if not _allows(hard, needed):
        raise Error(
            f"{count(clients, 'client')} need {needed:,} file descriptors, and this process may open {hard:,}",
            f"raise the hard limit, such as with ulimit -Hn {needed}, or use fewer clients",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _allows(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed


def check_connections(session: psycopg.Connection[Any], order: Order) -> None:
    """Raise :class:`Error` if the server has not room for the clients of a block; a pooler is not asked."""
    if order.conninfo is not None:
        return
    row = session.execute(assets.text("sql", "load", "free_connections.sql")).fetchone()
    free = int(row[0]) if row else 0
    if free < order.clients:
        raise Error(
            f"the server has room for {count(max(free, 0), 'more connection')}, and the load test needs "
            f"{order.clients:,}",
            "use fewer clients, a connection pooler, or raise max_connections",
        )
