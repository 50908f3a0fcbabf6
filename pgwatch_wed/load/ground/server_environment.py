"""libpq's environment variables and DATABASE_URL: what they say about a server is ignored under load."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# How to prove who one is, and how safe a connection must be; they do not choose the server.
_HARMLESS = frozenset(
    {
        "PGPASSWORD",
        "PGPASSFILE",
        "PGUSER",
        "PGSERVICEFILE",
        "PGSYSCONFDIR",
        "PGSSLMODE",
        "PGSSLNEGOTIATION",
        "PGSSLROOTCERT",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLCRL",
        "PGSSLCRLDIR",
        "PGSSLSNI",
        "PGSSLCERTMODE",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMAXPROTOCOLVERSION",
        "PGREQUIRESSL",
        "PGREQUIREPEER",
        "PGREQUIREAUTH",
        "PGCHANNELBINDING",
        "PGGSSENCMODE",
        "PGGSSLIB",
        "PGGSSDELEGATION",
        "PGKRBSRVNAME",
        "PGCONNECT_TIMEOUT",
    }
)


@contextmanager
def without_chosen_server(*, keep_harmless: bool) -> Iterator[None]:
    """Take away what chooses a server, for this process and those that it starts, and put it back at the end.

    With ``keep_harmless``, only that; else everything that libpq reads. A name that is forgotten in the
    list above is taken away: that can only make a connection fail.
    """
    kept = _HARMLESS if keep_harmless else frozenset[str]()
    away = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("PG") or name == "DATABASE_URL") and name not in kept
        # settings of tools that begin likewise, ours among them
        if not name.startswith(("PGWATCH_", "PGWED_"))
    }
    for name in away:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(away)
