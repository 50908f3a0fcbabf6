"""The routes: each hands out bytes that are there already; none asks a dependency."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pgwatch_wed.serve.http import openapi
from pgwatch_wed.serve.http.answers import NAME, Document, unconfigured
from pgwatch_wed.serve.http.exposition import EXPOSITION, Exposition
from pgwatch_wed.serve.http.publisher import Publisher
from pgwatch_wed.serve.http.runbook_pages import runbooks
from pgwatch_wed.serve.http.streaming import Watching

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Readiness:
    """Whether the service takes part: not before it has started, not when it stops, not with a part that ended."""

    has_started: bool = False
    is_stopping: bool = False
    ended: Callable[[], list[str]] = field(default=list)

    def why_not(self) -> str:
        """Return what stands in the way, or nothing."""
        if self.is_stopping:
            return "stopping"
        if not self.has_started:
            return "starting"
        ended = self.ended()
        return f"ended: {', '.join(ended)}" if ended else ""


@dataclass(frozen=True, slots=True)
class Views:
    """What the routes hand out."""

    publisher: Publisher
    exposition: Exposition
    readiness: Readiness
    watching: Watching
    now: Callable[[], float]
    runbooks: Mapping[str, bytes] = field(default_factory=runbooks)

    async def live(self, _request: Request) -> Response:
        """Say that the process answers; nothing else is asked."""
        return Response(b"ok\n", media_type="text/plain")

    async def ready(self, _request: Request) -> Response:
        """Say whether the service itself works, whatever its dependencies do."""
        why_not = self.readiness.why_not()
        text = f"{why_not}\n" if why_not else "ready\n"
        return Response(text, 503 if why_not else 200, media_type="text/plain")

    async def health(self, _request: Request) -> Response:
        """Return the health of everything."""
        return respond(self.publisher.current.health)

    async def part(self, request: Request) -> Response:
        """Return the health of one component or kind."""
        name = request.path_params["name"]
        if not NAME.fullmatch(name):
            raise HTTPException(404)
        found = self.publisher.current.part(name)
        return respond(found or unconfigured(name, self.now()))

    async def alerts(self, _request: Request) -> Response:
        """Return the alerts."""
        return respond(self.publisher.current.alerts)

    async def alert(self, request: Request) -> Response:
        """Return one alert."""
        found = self.publisher.current.single_alerts.get(request.path_params["id"])
        if found is None:
            raise HTTPException(404)
        return respond(found)

    async def slo(self, _request: Request) -> Response:
        """Return what is left of the budgets."""
        return respond(self.publisher.current.slo)

    async def metrics(self, _request: Request) -> Response:
        """Return all series."""
        return Response(self.exposition.body(), media_type=EXPOSITION)

    async def postgres_exporter(self, _request: Request) -> Response:
        """Return the series under the names of postgres_exporter, where that is wanted."""
        found = self.exposition.other("postgres_exporter")
        if found is None:
            raise HTTPException(404)
        return Response(found, media_type=EXPOSITION)

    async def runbook(self, request: Request) -> Response:
        """Return the runbook of an alert."""
        found = self.runbooks.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found, media_type="text/plain")

    async def description(self, _request: Request) -> Response:
        """Return the description of this interface."""
        return Response(openapi.BODY, media_type="application/json")

    def routes(self) -> list[BaseRoute]:
        """Return them, as published in the description."""
        return [
            _get("/", self.watching.page),
            _get("/livez", self.live),
            _get("/readyz", self.ready),
            _get("/api/health", self.health),
            _get("/api/health/{name}", self.part),
            _get("/api/alerts", self.alerts),
            _get("/api/alerts/{id}", self.alert),
            _get("/api/slo", self.slo),
            _get("/runbooks/{name}", self.runbook),
            _get("/api/openapi.json", self.description),
            _get("/api/stream", self.watching.stream),
            _get("/metrics", self.metrics),
            _get("/metrics/postgres_exporter", self.postgres_exporter),
        ]


def application(routes: list[BaseRoute]) -> Starlette:
    """Return the application, whose errors are JSON and repeat nothing of the request."""
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused, 500: _failed})


def respond(document: Document) -> Response:
    """Hand out a document."""
    return Response(document.body, document.status, media_type=document.media_type)


def _get(path: str, handler: Handler) -> Route:
    return Route(path, handler, methods=["GET"])


_TITLES = {404: "not found", 405: "method not allowed"}


async def _refused(_request: Request, error: Any) -> Response:
    title = _TITLES.get(error.status_code, "the request cannot be answered")
    return _problem(error.status_code, title, error.headers)


async def _failed(_request: Request, _error: Exception) -> Response:
    return _problem(500, "the service failed; its log says where")


def _problem(status: int, title: str, headers: dict[str, str] | None = None) -> Response:
    body = f'{{"title":"{title}","status":{status}}}'
    return Response(body, status, headers, media_type="application/problem+json")
