"""Before any route: who asks by which name, whether they may, how often; and headers that bind the browser.

Pure ASGI. ``/livez`` passes unasked, for it tells nothing.
"""

import base64
import binascii
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pgwatch_wed.serve.settings import Access

OPEN_PATH = "/livez"
_CLIENTS = 4096
_BINDING = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
)
_CHALLENGES = (
    (b"www-authenticate", b'Bearer realm="pgwatch_wed"'),
    (b"www-authenticate", b'Basic realm="pgwatch_wed", charset="UTF-8"'),
)


@dataclass(slots=True)
class _Bucket:
    """What a client has left."""

    tokens: float
    at: float


class RateLimit:
    """So many requests a second of one client, and twice as many at once; the oldest clients are forgotten."""

    def __init__(self, a_second: float, monotonic: Callable[[], float]) -> None:
        self._a_second = a_second
        self._most = max(1.0, 2 * a_second)
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def allows(self, client: str) -> bool:
        """Count a request; tell whether it is within the limit."""
        now = self._monotonic()
        bucket = self._buckets.pop(client, None) or _Bucket(self._most, now)
        bucket.tokens = min(self._most, bucket.tokens + (now - bucket.at) * self._a_second)
        bucket.at = now
        self._buckets[client] = bucket
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


class Gatekeeper:
    """The outermost application."""

    def __init__(
        self, app: ASGIApp, access: Access, hosts: frozenset[str], limit: RateLimit
    ) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts | {"localhost"}
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == OPEN_PATH:
            await self._app(scope, receive, _bound(send))
        elif refusal := self._refusal(scope):
            await _refuse(refusal, send)
        else:
            await self._app(scope, receive, _bound(send))

    def _refusal(self, scope: Scope) -> "_Refusal | None":
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if not self._limit.allows(_client(scope)):
            return _TOO_MANY
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not names_us(hosts[0], self._hosts):
            return _WRONG_HOST
        if not is_known(self._access, [v for n, v in headers if n == b"authorization"]):
            return _WHO
        return None


def names_us(host: bytes, names: frozenset[str]) -> bool:
    """Tell whether a Host header is ours.

    A page of another name whose address was turned to ours (DNS rebinding) names itself. An address cannot
    be turned.
    """
    name = host.decode("latin-1").lower()
    if name.startswith("["):
        name, _, port = name[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, _, port = name.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rstrip(".") in names
    return True


def is_known(access: Access, authorization: list[bytes]) -> bool:
    """Tell whether a request may be answered; comparing takes the same time whatever is wrong."""
    if access.is_open:
        return True
    if len(authorization) != 1:
        return False
    scheme, _, given = authorization[0].partition(b" ")
    match scheme.lower():
        case b"bearer":
            return _same(access.token, given.strip())
        case b"basic":
            return _is_known_by_name(access, given.strip())
    return False


def _is_known_by_name(access: Access, given: bytes) -> bool:
    try:
        user, _, password = base64.b64decode(given, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    # a browser can send the token only as a password
    by_token = _same(access.token, password) & _same("token", user)
    return by_token | (_same(access.user, user) & _same(access.password, password))


def _same(ours: str, given: bytes) -> bool:
    # what is not set equals nothing
    return hmac.compare_digest(ours.encode(), given) & bool(ours)


def _client(scope: Scope) -> str:
    client = scope.get("client")
    host = str(client[0]) if client else ""
    return _network(host) if ":" in host else host


def _network(host: str) -> str:
    """Return the /64 of an IPv6 address: whoever has one address there has all of them."""
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    return str(address.ipv4_mapped or int(address) >> 64)


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _problem(status: int, title: str) -> bytes:
    return f'{{"title":"{title}","status":{status}}}'.encode()


_TOO_MANY = _Refusal(429, _problem(429, "too many requests"), ((b"retry-after", b"1"),))
_WRONG_HOST = _Refusal(421, _problem(421, "not a name of this service; see serve.hosts"))
_WHO = _Refusal(401, _problem(401, "a token or a password is required"), _CHALLENGES)


async def _refuse(refusal: _Refusal, send: Send) -> None:
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(refusal.body)).encode()),
        *refusal.headers,
        *_BINDING,
        _POLICY,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal.body})


def _bound(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
            has_policy = any(name == b"content-security-policy" for name, _ in headers)
            headers += _BINDING if has_policy else (*_BINDING, _POLICY)
            message["headers"] = headers
        await send(message)

    return sending
