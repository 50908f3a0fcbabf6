"""A Patroni cluster with etcd, from the packages of the system: discovery and switchovers as they are in production."""

import json
import os
import pwd
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.embedded.server import free_port
from tests.fleet.ground import SMALL, older_binaries

_PASSWORD = "secret"


def is_installed() -> bool:
    """Tell whether Patroni and etcd are on this machine."""
    return all(shutil.which(name) for name in ("patroni", "etcd", "setpriv"))


@dataclass(frozen=True, slots=True)
class PatroniNode:
    """A member: the ports of its server and of its REST API."""

    name: str
    port: int
    api: int

    @property
    def url(self) -> str:
        """The address of the REST API."""
        return f"http://127.0.0.1:{self.api}"


@dataclass(frozen=True, slots=True)
class PatroniCluster:
    """A running cluster."""

    nodes: tuple[PatroniNode, ...]
    password: str = _PASSWORD

    def members(self) -> dict[str, dict[str, Any]]:
        """Return what `/cluster` says of each member that runs; of the first node that answers."""
        for node in self.nodes:
            try:
                with urllib.request.urlopen(f"{node.url}/cluster", timeout=5) as answer:
                    return {each["name"]: each for each in json.load(answer)["members"]}
            except OSError:
                continue
        return {}

    def leader(self) -> str | None:
        """Return the name of the primary."""
        found = [n for n, m in self.members().items() if m["role"] in ("leader", "master")]
        return found[0] if found else None

    def switchover(self) -> tuple[str, str]:
        """Let the other node be the primary; return the names of the old one and the new one, once it is done."""
        old = self.leader()
        assert old
        new = next(node.name for node in self.nodes if node.name != old)
        body = json.dumps({"leader": old, "candidate": new}).encode()
        leading = next(node for node in self.nodes if node.name == old)
        ask = urllib.request.Request(f"{leading.url}/switchover", body, method="POST")
        with urllib.request.urlopen(ask, timeout=60) as answer:
            assert answer.status == 200, answer.read()
        _until(lambda: self.leader() == new and self._all_run(), "the switchover does not end")
        return old, new

    def dsn(self, name: str, dbname: str = "postgres") -> str:
        """Return the conninfo of a node."""
        node = next(node for node in self.nodes if node.name == name)
        return f"host=127.0.0.1 port={node.port} user=postgres password={_PASSWORD} dbname={dbname}"

    def _all_run(self) -> bool:
        states = [member["state"] for member in self.members().values()]
        return len(states) == len(self.nodes) and all(
            state in ("running", "streaming") for state in states
        )


@contextmanager
def patroni_cluster(nodes: int = 2) -> Iterator[PatroniCluster]:
    """Run etcd and so many nodes, as the unprivileged user of embedded servers."""
    binaries = older_binaries() or embedded.bindir()
    root = embedded.make_folder(embedded.base_folder() / f"pgwed-patroni-{os.getpid()}")
    made = tuple(PatroniNode(f"node{i}", free_port(), free_port()) for i in range(nodes))
    try:
        with ExitStack() as stack:
            etcd = free_port()
            (root / "etcd").mkdir()
            for node in made:
                (root / f"{node.name}.yml").write_text(_settings(root, node, etcd, binaries))
            embedded.hand_over(root)
            url = f"http://127.0.0.1:{etcd}"
            stack.enter_context(
                _program(
                    root,
                    [
                        *("etcd", "--data-dir", str(root / "etcd"), "--unsafe-no-fsync"),
                        *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
                        f"--listen-peer-urls=http://127.0.0.1:{free_port()}",
                    ],
                )
            )
            cluster = PatroniCluster(made)
            for i, node in enumerate(made):
                stack.enter_context(_program(root, ["patroni", str(root / f"{node.name}.yml")]))
                if i == 0:
                    _until(lambda: cluster.leader() is not None, _last_words(root))
            _until(cluster._all_run, _last_words(root))
            yield cluster
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _settings(root: Path, node: PatroniNode, etcd: int, binaries: Path) -> str:
    parameters = {**SMALL, "fsync": "off", "unix_socket_directories": str(root)}
    parameters["shared_preload_libraries"] = "pg_stat_statements"
    replication = "host replication replicator 127.0.0.1/32 scram-sha-256"
    return json.dumps(  # which is YAML, too
        {
            "scope": "fleet",
            "name": node.name,
            "restapi": {
                "listen": f"127.0.0.1:{node.api}",
                "connect_address": f"127.0.0.1:{node.api}",
            },
            "etcd3": {"host": f"127.0.0.1:{etcd}"},
            "bootstrap": {
                "dcs": {
                    "ttl": 20,
                    "loop_wait": 1,
                    "retry_timeout": 5,
                    "postgresql": {"parameters": parameters},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "no-sync"],
                "pg_hba": [replication, "host all all 127.0.0.1/32 scram-sha-256"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{node.port}",
                "connect_address": f"127.0.0.1:{node.port}",
                "data_dir": str(root / node.name),
                "bin_dir": str(binaries),
                "pgpass": str(root / f"{node.name}.pgpass"),
                "basebackup": [{"checkpoint": "fast"}, "no-sync"],
                "authentication": {
                    "superuser": {"username": "postgres", "password": _PASSWORD},
                    "replication": {"username": "replicator", "password": _PASSWORD},
                },
            },
        }
    )


@contextmanager
def _program(root: Path, command: list[str]) -> Iterator[None]:
    """Run a program in the background; at the end it stops what it has started, or is killed with it."""
    user = embedded.service_user()
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        *command,
    ]  # if this process is killed, it ends all the same
    with (root / f"{command[3]}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=root,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            env={k: v for k, v in os.environ.items() if not k.startswith("PG")},
        )
    try:
        yield
    finally:
        process.terminate()  # Patroni stops its server
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(root: Path) -> Callable[[], str]:
    def read() -> str:
        return "\n".join(file.read_text(errors="replace")[-1500:] for file in root.glob("*.log"))

    return read


def _until(
    condition: Callable[[], bool], said: str | Callable[[], str], seconds: float = 60
) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(said if isinstance(said, str) else said())
        time.sleep(0.1)
