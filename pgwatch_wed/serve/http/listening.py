"""One uvicorn process: it binds first, so that a taken port is one line, and ends when it is told to."""

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.settings import ServeSettings

# After the request to end: open requests, then everything.
_GRACE_S = 1
_LAST_S = 2.7
# A client that has not sent a whole request by then is cut; and one that has not read what was sent.
REQUEST_S = 10.0
UNREAD_S = 30.0


class ListenError(Error):
    """The service cannot listen where it should."""


def bind(settings: ServeSettings) -> socket.socket:
    """Take the address."""
    where = f"{settings.host}:{settings.port}"
    try:
        return _listening(settings.host, settings.port)
    except OSError as error:
        hint = "serve.listen in the configuration, or --listen, names another"
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"could not listen on {where}: the port is in use", hint) from None
        said = error.strerror or str(error)
        raise ListenError(f"could not listen on {where}: {said}", hint) from None


def _listening(host: str, port: int) -> socket.socket:
    # asyncio sends small answers at once only on a socket that says it is TCP; else each waits 40 ms
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    family, kind, protocol, _name, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(1024)
    except OSError:
        made.close()
        raise
    return made


class ImpatientProtocol(HttpToolsProtocol):
    """Closes a connection whose client does not send its request or read the answer: they must not add up."""

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._wait_no_more()
        self._was_read()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the whole of the next request."""
        self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Wait no more."""
        self._wait_no_more()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Wait until what was sent is read; closing would wait for that, too."""
        self._was_read()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Wait no more."""
        self._was_read()
        super().resume_writing()

    def _wait(self) -> None:
        self._wait_no_more()
        self._deadline = self.loop.call_later(REQUEST_S, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _was_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()


class QuietServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: the first signal ends everything in time, the second at once."""

    on_stop: Callable[[], None] = staticmethod(lambda: None)
    ended = threading.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle signals in the event loop."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self.end)
        yield

    def end(self) -> None:
        """Stop: streams end, requests are finished."""
        self.force_exit = self.should_exit
        if not self.should_exit:
            threading.Thread(target=_last, args=(self.ended,), name="last", daemon=True).start()
        self.should_exit = True
        self.on_stop()


def _last(ended: threading.Event) -> None:
    # a part that hangs must not keep the process
    if not ended.wait(_LAST_S):
        os._exit(0)


def server(app: ASGIApp, settings: ServeSettings) -> QuietServer:
    """Return what serves the application."""
    return QuietServer(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=2000,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )
    )
