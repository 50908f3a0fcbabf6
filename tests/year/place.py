"""The servers of the year: an embedded one, or two majors in a container, of which the second follows."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg

from pgwatch_wed.embedded import server as embedded
from tests.rules.waiting import eventually
from tests.upgrading import Machine, machine

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "500",  # so that statements are evicted
    "track_io_timing": "on",
    "autovacuum_naptime": "1d",  # so that the script alone decides when a table is vacuumed
    "fsync": "off",
}


class Place(Protocol):
    """Where a server runs, and what can happen to it."""

    @property
    def dsn(self) -> str:
        """How to connect."""

    @property
    def has_two_majors(self) -> bool:
        """Whether it can be upgraded."""

    def restart(self) -> None:
        """Stop and start it cleanly."""

    def stop_at_once(self) -> None:
        """Stop it in immediate mode, and start it."""

    def kill_a_backend(self) -> None:
        """Let one of its sessions crash, and all others with it."""

    def upgrade(self) -> None:
        """Upgrade it to a newer major, if there is one."""


@dataclass(slots=True)
class Wheel:
    """The embedded server."""

    server: embedded.EmbeddedServer
    has_two_majors: bool = False

    @property
    def dsn(self) -> str:
        """How to connect."""
        return self.server.dsn()

    def restart(self) -> None:
        """Stop and start it cleanly."""
        self.server.restart()

    def stop_at_once(self) -> None:
        """Stop it in immediate mode, and start it."""
        self.server.halt("immediate")
        self.server.boot()

    def kill_a_backend(self) -> None:
        """Kill a session."""
        with psycopg.connect(self.dsn) as connection:
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            time.sleep(0.2)
        eventually(lambda: is_up(self.dsn))

    def upgrade(self) -> None:
        """There is only one major."""


@dataclass(slots=True)
class Container:
    """An older major, and the wheel's beside it."""

    host: Machine
    cluster: str = "/tmp/old"
    has_two_majors: bool = True

    @property
    def dsn(self) -> str:
        """How to connect."""
        return self.host.dsn

    @property
    def programs(self) -> str:
        """The binaries of the cluster that runs."""
        return self.host.old_bin if self.cluster == "/tmp/old" else self.host.new_bin

    def configure(self) -> None:
        """Write the settings."""
        lines = "\n".join(f"{name} = '{value}'" for name, value in SETTINGS.items())
        self.host.run(f"cat >> {self.cluster}/postgresql.conf <<'CONF'\n{lines}\nCONF")

    def restart(self) -> None:
        """Stop and start it cleanly."""
        self.host.stop(self.cluster, self.programs)
        self.host.start(self.cluster, self.programs)

    def stop_at_once(self) -> None:
        """Stop it in immediate mode, and start it."""
        self.host.run(f"{self.programs}/pg_ctl -D {self.cluster} -w -m immediate stop")
        self.host.start(self.cluster, self.programs)

    def kill_a_backend(self) -> None:
        """Kill a session."""
        with psycopg.connect(self.dsn) as connection:
            self.host.run(f"kill -9 {connection.info.backend_pid}")
            time.sleep(0.2)
        eventually(lambda: is_up(self.dsn))

    def upgrade(self) -> None:
        """Go to the wheel's major."""
        self.host.upgrade(self.cluster, "/tmp/new")
        self.cluster = "/tmp/new"
        self.configure()
        self.restart()


def is_up(dsn: str) -> bool:
    """Tell whether it answers."""
    try:
        with psycopg.connect(dsn):
            return True
    except psycopg.OperationalError:
        return False


@contextmanager
def wheel() -> Iterator[Wheel]:
    """Run the embedded server."""
    with embedded.start(SETTINGS) as server:
        yield Wheel(server)


@contextmanager
def two_majors(image: str) -> Iterator[Container]:
    """Run the server of an image, which can be upgraded."""
    with machine(image) as host:
        host.prepare("/tmp/old", host.old_bin)
        found = Container(host)
        found.configure()
        host.start(found.cluster, host.old_bin)
        yield found
