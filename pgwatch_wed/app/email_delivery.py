"""What became of emails, from the API of a provider or from a table of the application.

::

    stats = delivery_stats(from_api("https://api.resend.com/emails", token))
    stats = delivery_stats(from_table(connection, "select id, last_event from email_log"))

    watch = EmailWatch()              # counts what is new as metrics, once each
    watch.update(from_api(…))
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.app import metrics as app_metrics
from pgwatch_wed.app.metrics import EMAILS

# How providers call it, with and without their prefix "email."; opened and clicked ones have arrived.
_OUTCOMES: Mapping[str, str] = {
    "sent": "sent",
    "queued": "sent",
    "processed": "sent",
    "accepted": "sent",
    "scheduled": "sent",
    "delivered": "delivered",
    "delivery": "delivered",
    "opened": "delivered",
    "open": "delivered",
    "clicked": "delivered",
    "click": "delivered",
    "bounced": "bounced",
    "bounce": "bounced",
    "delivery_delayed": "deferred",
    "deferred": "deferred",
    "complained": "complained",
    "complaint": "complained",
    "spamreport": "complained",
    "failed": "failed",
    "dropped": "failed",
    "rejected": "failed",
    "canceled": "failed",
    "suppressed": "failed",
}
_MOST_PAGES = 100
_MOST_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class DeliveryStats:
    """Emails by their last outcome. Rates are of those whose outcome is known, and None without any."""

    total: int
    by_outcome: Mapping[str, int]
    unknown: int  # outcomes that no provider known here has

    @property
    def delivery_rate(self) -> float | None:
        """The share that arrived; who complains got it."""
        return self._share("delivered", "complained")

    @property
    def bounce_rate(self) -> float | None:
        """The share that bounced or failed."""
        return self._share("bounced", "failed")

    def _share(self, *outcomes: str) -> float | None:
        ended = sum(self.by_outcome[o] for o in ("delivered", "complained", "bounced", "failed"))
        return sum(self.by_outcome[o] for o in outcomes) / ended if ended else None


def outcome_of(word: Any) -> str | None:
    """Return the outcome that a provider's word stands for."""
    return _OUTCOMES.get(str(word).lower().strip().removeprefix("email."))


def delivery_stats(emails: Iterable[tuple[str, Any]]) -> DeliveryStats:
    """Count emails, given as pairs of id and last event; of an id that comes twice, the last counts."""
    last = {str(name): outcome_of(word) for name, word in emails}
    counted = Counter(o for o in last.values() if o)
    return DeliveryStats(
        len(last), {o: counted[o] for o in EMAILS}, sum(o is None for o in last.values())
    )


def from_table(connection: Any, query: str) -> Iterator[tuple[str, Any]]:
    """Yield pairs from a query of the application's, over any DB-API connection."""
    cursor = connection.cursor()
    try:
        cursor.execute(query)
        for row in cursor:
            yield str(row[0]), row[1]
    finally:
        cursor.close()


def from_api(
    url: str, token: str, *, timeout_s: float = 10.0, pages: int = 10, client: Any = None
) -> Iterator[tuple[str, Any]]:
    """Yield pairs from an API that lists emails as Resend's does, newest first, page by page."""
    import httpx

    own = client or httpx.Client(timeout=timeout_s, follow_redirects=False)
    after: dict[str, str] = {}
    try:
        for _ in range(min(pages, _MOST_PAGES)):
            answer = own.get(url, params=after, headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            document = answer.json()
            found = [e for e in document.get("data") or () if isinstance(e, dict) and "id" in e]
            yield from ((str(e["id"]), e.get("last_event", e.get("status"))) for e in found)
            if not document.get("has_more") or not found:
                return
            after = {"after": str(found[-1]["id"])}
    finally:
        if client is None:
            own.close()


class EmailWatch:
    """Counts each outcome of an email once, as it is first seen; what was there before is not news."""

    def __init__(self, metrics: app_metrics.AppMetrics | None = None) -> None:
        self._metrics = metrics or app_metrics.default()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._has_begun = False

    def update(self, emails: Iterable[tuple[str, Any]]) -> int:
        """Count what is new since the last call; return how many outcomes that were."""
        new = 0
        for name, word in tuple(emails):  # all or nothing: half a list would be counted again
            outcome = outcome_of(word)
            if outcome is None or (name, outcome) in self._seen:
                continue
            self._seen[name, outcome] = None
            if self._has_begun:
                self._count(name, outcome)
                new += 1
        while len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)
        self._has_begun = True
        return new

    def _count(self, name: str, outcome: str) -> None:
        # between two looks, a new one may have been sent and delivered
        if outcome != "sent" and (name, "sent") not in self._seen:
            self._seen[name, "sent"] = None
            self._metrics.email("sent")
        self._metrics.email(outcome)
