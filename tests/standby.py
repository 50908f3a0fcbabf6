"""A hot standby of an embedded server, made by pg_basebackup."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgwatch_wed.embedded import server as embedded


@contextmanager
def standby_of(
    primary: embedded.EmbeddedServer, slot: str | None = None
) -> Iterator[embedded.EmbeddedServer]:
    """Run a streaming standby; ``slot`` makes it use a physical slot of that name."""
    # Some settings must not be lower than the primary's.
    with embedded.start(primary.settings, tcp=primary.tcp, binaries=primary.bindir) as follower:
        follower.halt("immediate")
        shutil.rmtree(follower.data)
        options = ["-C", "-S", slot] if slot else []
        primary.run(
            "pg_basebackup", "-D", str(follower.data), "-R", "-X", "stream", "-c", "fast", *options
        )
        follower.password = primary.password
        follower.adopt()
        yield follower


def catch_up(
    primary: embedded.EmbeddedServer, follower: embedded.EmbeddedServer, seconds: float = 20
) -> None:
    """Wait until the standby has replayed what the primary has written."""
    with psycopg.connect(primary.dsn(), autocommit=True) as p:
        row = p.execute("select pg_current_wal_lsn()::text").fetchone()
    assert row
    end = time.monotonic() + seconds
    with psycopg.connect(follower.dsn(), autocommit=True) as f:
        while time.monotonic() < end:
            done = f.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row).fetchone()
            if done and done[0]:
                return
            time.sleep(0.05)
    raise AssertionError("the standby did not catch up")
