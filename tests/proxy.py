"""A TCP proxy between the tool and a server, for networks that stall, break or are slow."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo


@dataclass(slots=True)
class Proxy:
    """Forwards bytes both ways; what the client sends is counted in messages."""

    server: tuple[str, int] | str
    at: int | None = None  # the client's n-th message, over all connections, from 0
    act: Callable[["Proxy"], None] = lambda proxy: proxy.cut()
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    tls: ssl.SSLContext | None = None  # speak TLS with the client, none with the server
    messages: int = 0
    flowing: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        """The port to connect to, on 127.0.0.1."""
        return int(self.listener.getsockname()[1])

    def stall(self) -> None:
        """Forward nothing more, and keep every connection open."""
        self.flowing.clear()

    def resume(self) -> None:
        """Forward what waited, and everything after it."""
        self.flowing.set()

    def cut(self) -> None:
        """Break every connection off."""
        with self.lock:
            for each in self.sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                client = self._greeted(client)
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self.lock:
                self.sockets += [client, server]
            for source, target, counts in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._pump, args=(source, target, counts))
                thread.start()
                self.threads.append(thread)

    def _greeted(self, client: socket.socket) -> socket.socket:
        if self.tls is None:
            return client
        client.recv(8)  # SSLRequest
        client.sendall(b"S")
        return self.tls.wrap_socket(client, server_side=True)

    def _connect(self) -> socket.socket:
        if isinstance(self.server, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.server)
            return server
        return socket.create_connection(self.server)

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counts:
                    self._count()
                self.flowing.wait()
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _count(self) -> None:
        with self.lock:
            number, self.messages = self.messages, self.messages + 1
        if number == self.at:
            self.act(self)


@contextmanager
def proxied(
    dsn: str,
    at: int | None = None,
    act: Callable[[Proxy], None] = Proxy.cut,
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[Proxy, str]]:
    """Yield a proxy and the conninfo through it; at the client's n-th message, ``act``."""
    parts = conninfo_to_dict(dsn)
    host, port = str(parts["host"]), int(str(parts["port"]))
    server = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
    proxy = Proxy(server, at, act, tls=tls)
    proxy.resume()
    accepting = threading.Thread(target=proxy.accept)
    accepting.start()
    try:
        yield (
            proxy,
            make_conninfo(
                dsn, host="127.0.0.1", port=proxy.port, sslmode="require" if tls else "disable"
            ),
        )
    finally:
        proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        proxy.cut()
        proxy.resume()
        for thread in (accepting, *proxy.threads):
            thread.join()
        for each in proxy.sockets:
            each.close()
