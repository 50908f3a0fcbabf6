"""What a server says about itself before load may run on it, asked through the guarded door."""

import ipaddress
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from pgwatch_wed import assets
from pgwatch_wed.errors import CollectError, UsageError, said
from pgwatch_wed.target import door, pooler, programs
from pgwatch_wed.whatif.proof import copies


def load_sql(name: str) -> str:
    """Return a query of ``sql/load/``."""
    return assets.text("sql", "load", f"{name}.sql")


@dataclass(frozen=True, slots=True)
class GroundServer:
    """A row of ``ground_server.sql``."""

    address: str | None
    port: int | None
    database: str
    is_standby: bool
    started: float
    may_create_database: bool
    may_create_schema: bool
    receivers: int
    slots: int
    is_archiving: bool
    role: str
    data_directory: str | None


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What a server says; ``conninfo`` is complete, so that nothing else can choose another one."""

    server: GroundServer
    shown: str
    conninfo: str
    version: int


def asked(target: door.Door) -> ServerAnswer:
    """Ask a server for itself. Raises :class:`UsageError` if a pooler answers in its place."""
    try:
        with target.asking("load") as connection:
            if pooler.is_between(connection):
                raise UsageError(
                    "there is a connection pooler between us and the server, whose sessions others share",
                    "specify the address of the server itself",
                )
            cursor = connection.cursor(row_factory=class_row(GroundServer))
            server = cursor.execute(load_sql("ground_server")).fetchone()
            assert server is not None
            place = copies.place(connection)
            shown = f"{_host(server, place, _peer(connection))}/{spelled(server.database)}"
            conninfo = _complete(connection)
    except psycopg.Error as error:
        raise CollectError(
            f"the server could not be asked whether load may run: {said(error)}"
        ) from None
    return ServerAnswer(server, shown, conninfo, target.info.server_version)


def spelled(name: str) -> str:
    """Return a name that can be copied from a line of text: what is not visible in it is written as %20."""
    return "".join(c if c.isprintable() and not c.isspace() and c != "%" else _hex(c) for c in name)


def _hex(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _host(server: GroundServer, place: copies.Place, peer: tuple[str, int] | None) -> str:
    """Return how a server is spelled.

    Its address is proof only where we have connected to just that: behind a tunnel, a published port or a
    proxy, many servers answer 127.0.0.1 or 172.17.0.2. Then it is the identifier that initdb gave it.
    """
    own = (server.address, server.port)
    if peer == own and not ipaddress.ip_address(peer[0]).is_loopback:
        return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
    if place.system is not None:
        return f"{place.system}.{place.timeline}"
    return f"started-{datetime.fromtimestamp(server.started, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _peer(connection: psycopg.Connection[Any]) -> tuple[str, int] | None:
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        if line.family in (socket.AF_INET, socket.AF_INET6):
            host, port = line.getpeername()[:2]
            return str(host), int(port)
    return None


def _complete(connection: psycopg.Connection[Any]) -> str:
    password = connection.info.password
    secret = {"password": password} if password else {}
    return programs.conninfo_of({**programs.parameters(connection), **secret})


def visible_directory(server: GroundServer) -> Path | None:
    """Return the data directory if it is on this machine: the server's own file there says when it started."""
    with suppress(OSError, ValueError, IndexError):
        if server.data_directory:
            folder = Path(server.data_directory)
            lines = (folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            if abs(int(lines[2]) - server.started) < 2:
                return folder
    return None
