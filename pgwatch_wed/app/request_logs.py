"""Structured logs that know the request, and tell no secrets.

::

    from pgwatch_wed.app import request_logs

    request_logs.configure()
    app.add_middleware(request_logs.RequestContext)
    logger = request_logs.get_logger()

    request_logs.identify(user_id=user.id, organization_id=user.organization)
    logger.info("form_created", duration_s=0.2)

What belongs to a request is kept in one place that is made new at its start. A server may keep the context of a
connection from one request to the next; and what is bound in a thread or in a task is seen in the whole request.
"""

import logging
import re
import sys
import uuid
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO

from pgwatch_wed.app.http_metrics import App, AsgiScope, Receive, Send
from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install

try:
    import structlog
except ImportError:  # pragma: no cover - the extra is missing
    raise UsageError("the package structlog is not installed", pip_install("app")) from None

REDACTED = "[redacted]"
CARD = "[card number]"
_request: ContextVar[dict[str, Any] | None] = ContextVar("pgwatch_wed_request", default=None)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_SECRET_KEY = re.compile(
    r"(?:^|[_.\-])(?:passw(?:or)?d|passphrase|pwd|secrets?|token|authorization|cookie|set.cookie|"
    r"api.?key|private.?key|access.?key|signature|session.?id|cvc|cvv|pan|card.?number|iban|dsn)(?:$|[_.\-])",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRETS = (
    # keys of Stripe and of others that name themselves, tokens, passwords in URLs and connection strings
    (re.compile(r"\b(?:[spr]k_(?:live|test)|whsec|re|ghp|xox[abp])_[A-Za-z0-9_]{8,}"), REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), REDACTED),
    (re.compile(r"(://[^:@/\s]*):[^@/\s]+@"), rf"\1:{REDACTED}@"),
    (
        re.compile(r"(\b(?:password|passwd|pwd)\s*=\s*)('[^']*'|\S+)", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
)
_DIGITS = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])")
_DEEPEST = 8
# Which lengths belong to which first digits; so that a time in milliseconds is none.
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2[2-7]"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"3[068]"), (14, 16)),
    (re.compile(r"35"), (16, 17, 18, 19)),
    (re.compile(r"6"), (16, 17, 18, 19)),
)


def configure(
    level: int = logging.INFO, stream: TextIO | None = None, pretty: bool = False
) -> None:
    """Let structlog write one JSON object a line, with the request's ids and without secrets."""
    last: Any = (
        structlog.dev.ConsoleRenderer()
        if pretty
        else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_request,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redacting,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stdout),
        cache_logger_on_first_use=False,
    )


def get_logger(**bound: Any) -> Any:
    """Return a logger; what is bound is in each of its lines."""
    return structlog.get_logger(**bound)


def identify(**ids: Any) -> None:
    """Bind what is known of a request from now on: ``user_id``, ``organization_id``."""
    found = _request.get()
    if found is not None:
        found.update({name: _one_line(value) for name, value in ids.items()})


def request_id() -> str:
    """Return the id of the present request; an empty text outside of one."""
    return str((_request.get() or {}).get("request_id", ""))


class RequestContext:
    """ASGI middleware: a new context for each request, with an id that the answer carries, too."""

    def __init__(self, app: App, *, header: str = "x-request-id", access: bool = False) -> None:
        self.app = app
        self._header = header.lower().encode("latin-1")
        self._access = access

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        found = {"request_id": self._id(scope)}
        token = _request.set(found)
        status = 0

        async def named(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (self._header, found["request_id"].encode("latin-1"))
                others = [h for h in message.get("headers", ()) if h[0].lower() != self._header]
                message = {**message, "headers": [*others, own]}
            await send(message)

        try:
            await self.app(scope, receive, named)
        finally:
            if self._access:
                get_logger().info("request", method=scope.get("method"), status=status)
            _request.reset(token)
            structlog.contextvars.clear_contextvars()

    def _id(self, scope: AsgiScope) -> str:
        """Return the id that a proxy gave, if it is one: it goes into logs and headers."""
        given = dict(scope.get("headers") or ()).get(self._header, b"").decode("latin-1")
        return given if _ID.match(given) else uuid.uuid4().hex


def _with_request(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    for name, value in (_request.get() or {}).items():
        event.setdefault(name, value)
    return event


def _one_line(value: Any) -> Any:
    return value if isinstance(value, int | None) else " ".join(str(value).split())[:200]


def redacting(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Take out secrets by their keys, and what looks like one from all texts."""
    return {key: redacted(value, str(key)) for key, value in event.items()}


def redacted(value: Any, key: str = "", depth: int = 0) -> Any:
    """Return a value without secrets and card numbers."""
    if key and value not in (None, "", True, False) and _is_secret(key):
        return REDACTED
    if depth > _DEEPEST:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {k: redacted(v, str(k), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(each, "", depth + 1) for each in value]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool | float | None):
        return value
    if isinstance(value, int):
        return CARD if is_card(str(value)) else value
    return _text(value if isinstance(value, str) else str(value))


def _is_secret(key: str) -> bool:
    return _SECRET_KEY.search(_CAMEL.sub("_", key)) is not None


def _text(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return _DIGITS.sub(lambda m: CARD if is_card(m[0]) else m[0], text)


def is_card(text: str) -> bool:
    """Tell whether digits are a card number: an issuer's first digits and length, and Luhn's sum."""
    digits = re.sub(r"[ -]", "", text)
    if not digits.isdigit():
        return False
    if not any(first.match(digits) and len(digits) in lengths for first, lengths in _ISSUERS):
        return False
    doubled = [int(d) * 2 for d in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0
