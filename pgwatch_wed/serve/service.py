"""The whole service: the board, the parts that write on it, and the HTTP that hands it out.

A part has ``start()``, which returns at once, and ``stop()``, which returns within a second. A part that
cannot start costs what it would have told, not the service.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from starlette.types import ASGIApp

from pgwatch_wed import clock
from pgwatch_wed.serve.assembly import ServicePart, ServiceSettings, parts
from pgwatch_wed.serve.http import listening
from pgwatch_wed.serve.http.exposition import Exposition
from pgwatch_wed.serve.http.gatekeeper import Gatekeeper, RateLimit
from pgwatch_wed.serve.http.publisher import Publisher
from pgwatch_wed.serve.http.routes import Readiness, Views, application
from pgwatch_wed.serve.http.streaming import Watching
from pgwatch_wed.serve.settings import ServeSettings, check_certificate
from pgwatch_wed.serve.state import Board

log = logging.getLogger(__name__)

_STOPPING_S = 1.0


class Service:
    """All of it, started and stopped together."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.board = Board()
        self.readiness = Readiness()
        self.publisher = Publisher(self.board, now)
        self.watching = Watching(self.board, self.publisher, now)
        self.parts: dict[str, ServicePart] = {"publisher": self.publisher}
        self.parts |= parts(settings, self.board, now)

    def run(self, announce: Callable[[str], None]) -> None:
        """Serve until a signal comes."""
        check_certificate(self.settings.serve, self.settings.source)
        with contextlib.closing(listening.bind(self.settings.serve)) as socket:
            server = listening.server(self.app(), self.settings.serve)
            server.on_stop = self._stop
            self.readiness.ended = self._ended
            _start(self.parts)
            self.readiness.has_started = True
            scheme = "https" if self.settings.serve.tls_certificate else "http"
            host, port = socket.getsockname()[:2]
            announce(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/")
            try:
                asyncio.run(server.serve([socket]))
            finally:
                stop(tuple(self.parts.values()))
                server.ended.set()

    def app(self) -> Gatekeeper:
        """Return the application, which only answers whom the settings let in."""
        exposition = Exposition(self.board)
        views = Views(self.publisher, exposition, self.readiness, self.watching, now)
        return guarded(application(views.routes()), self.settings.serve)

    def _stop(self) -> None:
        self.readiness.is_stopping = True
        self.watching.end()

    def _ended(self) -> list[str]:
        return [] if self.publisher.is_alive else ["publisher"]


def now() -> float:
    """Return Unix seconds by the client's clock."""
    return clock.now().timestamp()


def guarded(app: ASGIApp, serve: ServeSettings) -> Gatekeeper:
    """Return an application that only answers whom the settings let in."""
    limit = RateLimit(serve.requests_per_second, time.monotonic)
    return Gatekeeper(app, serve.access, serve.hosts | {serve.host.lower()}, limit)


def _start(found: Mapping[str, ServicePart]) -> None:
    for name, part in found.items():
        try:
            part.start()
        except Exception as error:  # noqa: BLE001 - the others start nevertheless
            log.error("%s could not start: %s", name, type(error).__name__)


def stop(found: Sequence[ServicePart]) -> None:
    """Stop all parts at once; what does not end in time is left."""
    threads = [threading.Thread(target=_stop_one, args=(part,), daemon=True) for part in found]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _STOPPING_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _stop_one(part: ServicePart) -> None:
    try:
        part.stop()
    except Exception as error:  # noqa: BLE001 - it ends anyway
        log.error("a part could not stop: %s", type(error).__name__)
