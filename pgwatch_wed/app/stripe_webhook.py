"""Stripe's webhooks as an ASGI route: signed, once, in time, counted.

::

    webhook = StripeWebhook([os.environ["STRIPE_WEBHOOK_SECRET"]], handle, EventMemory("events.sqlite3"))
    app = Starlette(routes=[Route("/webhooks/stripe", webhook, methods=["POST"])])

The signature is that of the bytes as they arrived. While a secret is replaced, there are several secrets and
several signatures, and one pair must fit. A time that is too old or too far ahead is refused: the official library
takes events from the future. Events arrive twice, at once, and in any order; ``handle`` gets each once, and is told
if a newer one of the same object was handled before. If it fails, Stripe sends the event again.
"""

import asyncio
import hashlib
import hmac
import inspect
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pgwatch_wed import clock
from pgwatch_wed.app import metrics as app_metrics
from pgwatch_wed.app import request_logs
from pgwatch_wed.app.event_memory import Claim, EventMemory
from pgwatch_wed.app.http_metrics import AsgiScope, Receive, Send

TOLERANCE_S = 300.0
_MOST_BYTES = 1 << 20
_MOST_SIGNATURES = 20
_LONGEST_ID = 255


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event, and how it came."""

    event: dict[str, Any]
    is_late: bool  # a newer event of the same object was handled before

    @property
    def id(self) -> str:
        """The event's id."""
        return str(self.event["id"])

    @property
    def type(self) -> str:
        """The event's type."""
        return str(self.event["type"])


class UnsignedError(Exception):
    """A request is not a webhook of Stripe's; anybody can send such."""


class IgnoredEvent(Exception):  # noqa: N818 - an answer, not an error
    """Raised by a handler that has nothing to do with an event."""


def verified(
    body: bytes, header: str, secrets: Sequence[str], now: float, tolerance_s: float = TOLERANCE_S
) -> dict[str, Any]:
    """Return the event of a body that is signed; raise UnsignedError."""
    at, signatures = _parsed(header)
    signed = str(at).encode() + b"." + body
    expected = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets if s]
    pairs = [hmac.compare_digest(e, s) for e in expected for s in signatures]
    if not any(pairs):
        raise UnsignedError("no signature fits")
    if abs(now - at) > tolerance_s:
        raise UnsignedError("the time of the signature is outside of the tolerance")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise UnsignedError("the body is not JSON") from None
    if not isinstance(event, dict) or not all(_is_name(event.get(k)) for k in ("id", "type")):
        raise UnsignedError("the body is no event")
    return event


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable()


def _parsed(header: str) -> tuple[int, list[str]]:
    times, signatures = [], []
    for part in header.split(","):
        key, _, value = part.strip().partition("=")
        if key == "t" and value.isascii() and value.isdigit() and len(value) < 13:
            times.append(int(value))
        elif key == "v1" and value.isascii():
            signatures.append(value)
    if len(times) != 1 or not 0 < len(signatures) <= _MOST_SIGNATURES:
        raise UnsignedError("the header is not a signature")
    return times[0], signatures


def _now() -> float:
    return clock.now().timestamp()


class StripeWebhook:
    """The route. ``handle`` is a function or a coroutine function; ``types`` are those it wants, by default all."""

    def __init__(
        self,
        secrets: Sequence[str] | Callable[[], Sequence[str]],
        handle: Callable[[Delivery], Any],
        memory: EventMemory,
        *,
        types: Collection[str] | None = None,
        tolerance_s: float = TOLERANCE_S,
        deadline_s: float = 20.0,
        metrics: app_metrics.AppMetrics | None = None,
        now: Callable[[], float] = _now,
    ) -> None:
        self._secrets = secrets if callable(secrets) else lambda: secrets
        self._handle = handle
        self._memory = memory
        self._types = types
        self._tolerance_s = tolerance_s
        self._deadline_s = deadline_s
        self._metrics = metrics or app_metrics.default()
        self._now = now

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["method"] != "POST":
            await _answer(send, 405, "only POST")
            return
        try:
            body = await _body(receive)
            header = dict(scope["headers"]).get(b"stripe-signature", b"").decode("latin-1")
            event = verified(body, header, self._secrets(), self._now(), self._tolerance_s)
        except UnsignedError as refusal:
            self._note("other", "refused", reason=str(refusal))
            await _answer(send, 400, "refused")
            return
        status, word = await self._delivered(event)
        await _answer(send, status, word)

    async def _delivered(self, event: dict[str, Any]) -> tuple[int, str]:
        kind, created = event["type"], _created(event)
        lag = self._now() - created if created else None
        if self._types is not None and kind not in self._types:
            self._note(kind, "ignored", lag, event)
            return 200, "ignored"
        about = _object(event)
        try:
            claim = await asyncio.to_thread(self._memory.claim, event["id"], about, created)
            is_late = await asyncio.to_thread(self._memory.is_late, about, created)
        except sqlite3.Error as error:
            self._note(kind, "failed", lag, event, reason=f"memory: {type(error).__name__}")
            return 503, "try again"
        if claim is not Claim.NEW:
            self._note(kind, "duplicate", None, event)
            # one that is being handled may still fail: only a repetition after it tells
            return (200, "duplicate") if claim is Claim.DONE else (409, "being handled")
        outcome, reason = await self._handled(Delivery(event, is_late))
        ended = self._memory.release if outcome == "failed" else self._memory.done
        try:
            await asyncio.to_thread(ended, event["id"])
        except sqlite3.Error as error:
            reason = reason or f"memory: {type(error).__name__}"
        self._note(
            kind, outcome, lag, event, is_late=is_late, **({"reason": reason} if reason else {})
        )
        return (500, "failed") if outcome == "failed" else (200, outcome)

    async def _handled(self, delivery: Delivery) -> tuple[str, str]:
        try:
            async with asyncio.timeout(self._deadline_s):
                if inspect.iscoroutinefunction(self._handle):
                    await self._handle(delivery)
                else:
                    result = await asyncio.to_thread(self._handle, delivery)
                    if inspect.isawaitable(result):
                        await result
        except IgnoredEvent:
            return "ignored", ""
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self._memory.release, delivery.id))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, Stripe is to send it again
            return "failed", type(error).__name__
        return "processed", ""

    def _note(
        self,
        kind: str,
        outcome: str,
        lag: float | None = None,
        event: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self._metrics.stripe_webhook(kind, outcome, lag)
        line = request_logs.get_logger()
        say = line.warning if outcome in ("failed", "refused") else line.info
        ids = (
            {"event_id": event["id"], "type": kind, "livemode": event.get("livemode")}
            if event
            else {}
        )
        say(
            "stripe_webhook",
            outcome=outcome,
            **ids,
            **({"lag_s": round(lag, 1)} if lag is not None else {}),
            **more,
        )


def _created(event: dict[str, Any]) -> float:
    created = event.get("created")
    is_number = isinstance(created, int | float) and not isinstance(created, bool)
    return float(created) if is_number and created is not None and 0 < created < 1e11 else 0.0


def _object(event: dict[str, Any]) -> str:
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    name = found.get("id") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise UnsignedError("the client went away")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MOST_BYTES:
            raise UnsignedError("the body is too large")
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, status: int, word: str) -> None:
    body = json.dumps({"result": word}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
