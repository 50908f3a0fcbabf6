"""The server that ``db-analyze serve --demo`` watches: the demo's shop, with customers that never leave."""

import contextlib
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pgwatch_wed import assets
from pgwatch_wed.cli import demo
from pgwatch_wed.embedded import server as embedded

VARIABLE = "PGWATCH_WED_DEMO"


def configuration(state: Path) -> str:
    """Return the file; its intervals are short, so that what is tried is seen soon."""
    return f"""\
[serve]
state = {json.dumps(str(state))}

[serve.targets.shop]
conninfo_env = "{VARIABLE}"

[serve.collector]
moving = 5
activity = 15
catalogs = 300
rules = 60
budget = 0.2

[probes.database]
kind = "postgres"
url_env = "{VARIABLE}"
target = "shop"
interval = "5 s"
deadline = "2 s"
"""


@contextlib.contextmanager
def open_shop() -> Iterator[embedded.EmbeddedServer]:
    """Run a server with the shop and a few customers."""
    with embedded.start(demo.SETTINGS) as server:
        demo.fill(server)
        customers = _customers(server)
        try:
            yield server
        finally:
            customers.terminate()
            customers.wait()


def instructions(server: embedded.EmbeddedServer) -> list[str]:
    """Return commands by which a reader sees it fail."""
    psql = f"{shlex.quote(str(server.bindir / 'psql'))} {shlex.quote(server.dsn('shop'))}"
    pid = f"$(head -n 1 {shlex.quote(str(server.data / 'postmaster.pid'))})"
    return [
        "In another terminal, hold a lock that its customers need, for two minutes:",
        f'{psql} -c "begin; lock shop.products; select pg_sleep(120)"',
        "or let the server answer no new connection, for a minute and a half:",
        f"kill -STOP {pid}; sleep 90; kill -CONT {pid}",
    ]


def _customers(server: embedded.EmbeddedServer) -> subprocess.Popen[bytes]:
    folder = assets.asset("sql") / "demo"
    scripts = [f"--file={folder / name}@{share}" for name, share in demo.SHARES.items()]
    return subprocess.Popen(  # noqa: S603 - our own binaries, arguments are a list
        [
            *(str(server.bindir / "pgbench"), "--client=4", "--jobs=1", "--no-vacuum"),
            *("--rate=20", f"--time={sys.maxsize >> 33}", *scripts),
        ],
        env=server.environment("shop"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
