"""A network between the tool and its servers that delays, hangs, drops or resets: many ports, one event loop.

:func:`network` runs it in a thread, for tests; :func:`separate_network` in a process of its own, so that a benchmark does not
measure it. ``tests/proxy.py`` is for one connection whose n-th message matters.
"""

import asyncio
import contextlib
import multiprocessing
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_LINGER = struct.pack("ii", 1, 0)  # close() sends RST
_SILENT_RESOLVER = "127.0.0.97"


@dataclass(frozen=True, slots=True)
class Way:
    """How what is sent reaches a server and comes back.

    ``delay_s`` is added to a message and its answer together, half of it each way. ``hangs``: connections are accepted,
    and nothing follows. ``resets``: they are accepted and reset. Of each connection, ``cuts_after`` and ``stalls_after``
    so many bytes from the server, it is reset, or nothing more passes.
    """

    delay_s: float = 0.0
    hangs: bool = False
    resets: bool = False
    cuts_after: int | None = None
    stalls_after: int | None = None


@dataclass(slots=True)
class Traffic:
    """What went through a port: connections, how many of them at the same time, and bytes to and from the server."""

    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    sent: int = 0
    received: int = 0


@dataclass(slots=True)
class Network:
    """Ports on 127.0.0.1, each with a server behind it and a way to it that may be changed at any time."""

    loop: asyncio.AbstractEventLoop
    ways: dict[int, Way] = field(default_factory=dict)
    traffic: dict[int, Traffic] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _servers: list[asyncio.Server] = field(default_factory=list)

    def through(self, dsn: str, way: Way = Way()) -> str:
        """Return a conninfo of the same server on a new port."""
        return asyncio.run_coroutine_threadsafe(self._open(dsn, way), self.loop).result(30)

    def change(self, dsn: str, **values: Any) -> None:
        """Change the way to a conninfo that :meth:`through` gave, for connections that are made from now on."""
        port = int(str(conninfo_to_dict(dsn)["port"]))
        self.ways[port] = replace(self.ways[port], **values)

    def tally(self) -> dict[int, Traffic]:
        """Return what went through each port so far."""
        return {port: replace(each) for port, each in self.traffic.items()}

    async def _open(self, dsn: str, way: Way) -> str:
        parts = conninfo_to_dict(dsn)
        host, behind = str(parts["host"]), int(str(parts["port"]))
        listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        port = int(listener.getsockname()[1])
        self.ways[port], self.traffic[port] = way, Traffic()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._tasks.add(task)
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._serve(port, (host, behind), reader, writer)
            writer.transport.abort()
            self._tasks.discard(task)

        self._servers.append(await asyncio.start_server(serve, sock=listener))
        return make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable")

    async def _serve(
        self,
        port: int,
        server: tuple[str, int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        way, traffic = self.ways[port], self.traffic[port]
        traffic.connections += 1
        traffic.open_now += 1
        traffic.most_open = max(traffic.most_open, traffic.open_now)
        try:
            if way.resets:
                made = writer.get_extra_info("socket")
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                return
            if way.hangs:
                while await reader.read(65536):
                    pass
                return
            await self._forward(way, traffic, server, reader, writer)
        finally:
            traffic.open_now -= 1

    async def _forward(
        self,
        way: Way,
        traffic: Traffic,
        server: tuple[str, int],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host, port = server
        if host.startswith("/"):
            answers, asks = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            answers, asks = await asyncio.open_connection(host, port)
        try:
            both = [
                asyncio.ensure_future(self._ask(way, traffic, reader, asks)),
                asyncio.ensure_future(self._answer(way, traffic, answers, writer)),
            ]
            _, left = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(way.delay_s)  # what is still under way
            for each in left:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        finally:
            asks.transport.abort()

    async def _ask(
        self,
        way: Way,
        traffic: Traffic,
        reader: asyncio.StreamReader,
        asks: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65536):
            traffic.sent += len(data)
            self._pass_on(way, asks, data)

    async def _answer(
        self,
        way: Way,
        traffic: Traffic,
        answers: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        so_far = 0
        while data := await answers.read(65536):
            traffic.received += len(data)
            so_far += len(data)
            if way.cuts_after is not None and so_far > way.cuts_after:
                return
            if way.stalls_after is None or so_far <= way.stalls_after:
                self._pass_on(way, writer, data)

    def _pass_on(self, way: Way, writer: asyncio.StreamWriter, data: bytes) -> None:
        if way.delay_s:
            self.loop.call_later(way.delay_s / 2, writer.write, data)
        else:
            writer.write(data)

    async def close(self) -> None:
        """Break every connection off and listen no more."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def network() -> Iterator[Network]:
    """Run a network in a thread."""
    loop = asyncio.new_event_loop()
    made = Network(loop)
    thread = threading.Thread(target=loop.run_forever, name="network")
    thread.start()
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass(slots=True)
class SeparateNetwork:
    """A network in a process of its own."""

    _pipe: Connection

    def through(self, dsn: str, way: Way = Way()) -> str:
        """See :meth:`Network.through`."""
        return str(self._ask("through", dsn, way))

    def tally(self) -> dict[int, Traffic]:
        """See :meth:`Network.tally`."""
        found: dict[int, Traffic] = self._ask("tally")
        return found

    def _ask(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        return self._pipe.recv()


@contextmanager
def separate_network() -> Iterator[SeparateNetwork]:
    """Run a network in a process of its own; it ends with this one, however that ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_obey, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield SeparateNetwork(ours)
    finally:
        ours.close()
        process.join(10)
        process.kill()


def _obey(pipe: Connection) -> None:
    with network() as made, contextlib.suppress(EOFError):
        while True:
            name, arguments = pipe.recv()
            pipe.send(getattr(made, name)(*arguments))


@contextmanager
def unanswered() -> Iterator[int]:
    """Yield a port whose packets are lost: the queue of its listener is full, so that Linux drops each SYN."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@contextmanager
def silent_resolver() -> Iterator[list[str]]:
    """Yield the words to put before a command so that no name it looks up is ever answered.

    The command runs in a mount namespace with a resolv.conf of its own, as root; raises :class:`PermissionError` if that is
    not allowed here.
    """
    if sys.platform != "linux":
        raise PermissionError("mount namespaces are Linux's")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver,
        tempfile.TemporaryDirectory() as folder,
    ):
        resolver.bind((_SILENT_RESOLVER, 53))
        file = Path(folder) / "resolv.conf"
        file.write_text(f"nameserver {_SILENT_RESOLVER}\noptions timeout:30 attempts:5\n")
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        yield ["unshare", "--mount", "sh", "-c", mount, str(file)]
