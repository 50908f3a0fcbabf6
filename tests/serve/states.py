"""States as the parts would leave them on the board, and the application over a board."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import httpx
from starlette.routing import BaseRoute

from pgwatch_wed.serve.http.exposition import Exposition
from pgwatch_wed.serve.http.publisher import Publisher
from pgwatch_wed.serve.http.routes import Readiness, Views, application
from pgwatch_wed.serve.http.streaming import Watching
from pgwatch_wed.serve.service import guarded
from pgwatch_wed.serve.settings import ServeSettings
from pgwatch_wed.serve.state import Board, Health, ProbeResult

NOW = 1_764_079_331.0


def probe(name: str, status: Health = Health.PASS, **given: Any) -> ProbeResult:
    usual: dict[str, Any] = {
        "kind": "postgres",
        "at": NOW - 2,
        "since": NOW - 600,
        "interval_s": 10,
        "latency_s": 0.004,
        "is_essential": True,
    }
    return ProbeResult(name=name, status=status, **usual | given)


def board(probes: Iterable[ProbeResult] = (), **given: Any) -> Board:
    made = Board()
    made.change(lambda s: replace(s, at=NOW - 900, probes={p.name: p for p in probes}, **given))
    return made


class Client(httpx.AsyncClient):
    """Asks an application over a board, without a socket."""

    def __init__(
        self,
        over: Board,
        settings: ServeSettings | None = None,
        now: Callable[[], float] = lambda: NOW,
        more: Iterable[BaseRoute] = (),
        **given: Any,
    ) -> None:
        self.publisher = Publisher(over, now)
        self.readiness = Readiness()
        watching = Watching(over, self.publisher, now)
        views = Views(self.publisher, Exposition(over), self.readiness, watching, now)
        app = guarded(application([*views.routes(), *more]), settings or ServeSettings())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://127.0.0.1:9188", **given)

    async def status(self, path: str, **given: Any) -> int:
        return (await self.get(path, **given)).status_code
