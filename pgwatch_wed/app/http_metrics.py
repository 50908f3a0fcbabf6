"""ASGI middleware that measures requests, named as by OpenTelemetry's stable convention.

::

    app.add_middleware(HttpMetrics)        # Starlette, FastAPI
    app = HttpMetrics(app)                 # any ASGI application

``http_server_request_duration_seconds`` by method, route and status. The route is the template, such as
``/users/{id}``, with the prefixes of mounts; what no route matches is ``unmatched``. No user decides on a label.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Histogram

from pgwatch_wed.app.metrics import Few

AsgiScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[AsgiScope, Receive, Send], Awaitable[None]]

UNMATCHED = "unmatched"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"}
)
_MOST_ROUTES = 300
# The client went away before there was an answer: nobody's error, and no success either.
_CLOSED = 499

_made: WeakKeyDictionary[CollectorRegistry, Histogram] = WeakKeyDictionary()


def durations(registry: CollectorRegistry = REGISTRY) -> Histogram:
    """Return the histogram of a registry."""
    if registry not in _made:
        _made[registry] = Histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP server requests.",
            ("http_request_method", "http_route", "http_response_status_code"),
            registry=registry,
            buckets=BUCKETS,
        )
    return _made[registry]


class HttpMetrics:
    """Measures each request from its arrival to the last byte of its answer."""

    def __init__(
        self,
        app: App,
        *,
        registry: CollectorRegistry = REGISTRY,
        route: Callable[[AsgiScope], str | None] | None = None,
        ignored: Iterable[str] = (),
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self._seconds = durations(registry)
        self._route = route
        self._ignored = frozenset(ignored)
        self._monotonic = monotonic
        self._few = Few(_MOST_ROUTES)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # as it arrived: a router changes the scope, and a mounted application puts itself in it
        arrived = dict(scope)
        status = 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = self._monotonic()
        try:
            await self.app(scope, receive, noting)
        except Exception:
            status = status or 500
            raise
        finally:
            self._observe(arrived, scope, status or _CLOSED, self._monotonic() - begun)

    def _observe(self, arrived: AsgiScope, scope: AsgiScope, status: int, seconds: float) -> None:
        route = self._template(arrived, scope)
        if route in self._ignored:
            return
        method = arrived["method"] if arrived["method"] in _METHODS else "_OTHER"
        code = str(status) if 100 <= status <= 599 else "_OTHER"
        self._seconds.labels(method, self._few(route), code).observe(seconds)

    def _template(self, arrived: AsgiScope, scope: AsgiScope) -> str:
        if self._route is not None:
            return self._route(scope) or UNMATCHED
        root = arrived.get("app") or self.app
        try:
            return template(root, arrived) or UNMATCHED
        except (AttributeError, KeyError, TypeError, ValueError):
            return UNMATCHED  # routes of another kind than Starlette's


def template(app: Any, scope: AsgiScope) -> str | None:
    """Return the template of the route that matches, with the prefixes of what it is mounted in."""
    partial = None
    for route in _routes(app):
        match, child = route.matches(scope)
        if match.name == "NONE":
            continue
        path = getattr(route, "path", "")
        if hasattr(route, "methods"):
            if match.name == "FULL":
                return str(path)
            partial = partial or str(path)  # another method of it
            continue
        inside = {**scope, **child}
        if _routes(route):
            deeper = template(route, inside)
            return path + deeper if deeper else None
        return f"{path}/{{path}}"  # mounted, and not ours to look into, such as files
    return partial


def _routes(app: Any) -> list[Any]:
    """Return the routes of an application, also of one behind middleware."""
    for _ in range(20):
        if (found := getattr(app, "routes", None)) is not None:
            return list(found)
        if (app := getattr(app, "app", None)) is None:
            break
    return []
