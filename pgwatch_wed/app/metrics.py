"""What an application counts of its business, for Prometheus; the extra ``app``.

::

    from pgwatch_wed.app import metrics

    metrics.pdf_processed(page_count, processing_seconds, success)
    metrics.payment_processed(amount, success)
    metrics.form_submitted(form_id, response_seconds, success)
    metrics.cache_hit("sessions")

Labels are bounded: of what is counted, only the outcome. Ids of forms, users and organizations, and amounts, belong
into the log. Every label set is there from the start, at 0: an error that is born as 1 is invisible to ``increase()``.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from pgwatch_wed.app import breakers
from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install

try:
    from prometheus_client import (
        REGISTRY,
        CollectorRegistry,
        Counter,
        Histogram,
        disable_created_metrics,
    )
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
except ImportError:  # pragma: no cover - the extra is missing
    raise UsageError("the package prometheus-client is not installed", pip_install("app")) from None

OUTCOMES = ("ok", "failed")
PAYMENTS = ("ok", "declined", "error")
EMAILS = ("sent", "delivered", "bounced", "deferred", "complained", "failed")
LOGIN_FAILURES = ("wrong_password", "unknown_user", "locked", "expired", "second_factor", "other")
WEBHOOKS = ("processed", "duplicate", "ignored", "failed", "refused")
STRIPE_TYPES = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "charge.succeeded",
    "charge.failed",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.closed",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.finalized",
    "payout.paid",
    "payout.failed",
)
_SECONDS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LAG_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0, 21_600.0, 86_400.0, 259_200.0)
_MOST_NAMES = 50


class Few:
    """The first names of a label; whatever comes after so many of them is called ``other``."""

    def __init__(self, most: int = _MOST_NAMES) -> None:
        self._most = most
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> str:
        """Return the name, or ``other``."""
        with self._lock:
            if name in self._names or len(self._names) < self._most:
                self._names.add(name)
                return name
            return "other"


class AppMetrics:
    """The metrics of one application. The module's functions are those of one that is made at first use."""

    def __init__(self, namespace: str = "app", registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"{namespace}_{name}", about, labels, registry=registry)

        def histogram(name: str, about: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(f"{namespace}_{name}", about, registry=registry, buckets=buckets)

        self._pdfs = counter("pdf_processed", "Processed PDF files by outcome.", "outcome")
        self._pages = counter("pdf_pages", "Pages of the PDF files that were processed.")
        self._pdf_seconds = histogram("pdf_processing_seconds", "How long a PDF file took.")
        self._payments = counter("payments", "Payments by outcome.", "outcome")
        self._forms = counter("forms_submitted", "Submitted forms by outcome.", "outcome")
        self._form_seconds = histogram("form_seconds", "How long the answer to a form took.")
        self._cache = counter(
            "cache_operations", "Operations on a cache.", "cache", "operation", "result"
        )
        self._emails = counter("emails", "Emails by outcome.", "outcome")
        self._limited = counter("rate_limited", "Requests refused by a rate limit.", "route")
        self._logins = counter("auth_failures", "Failed logins by reason.", "reason")
        self._webhooks = counter(
            "stripe_webhooks", "Webhooks by type and outcome.", "type", "outcome"
        )
        self._lag = histogram(
            "stripe_webhook_lag_seconds",
            "Time from an event at Stripe to its arrival.",
            _LAG_SECONDS,
        )
        self._caches, self._routes = Few(), Few()
        self._begin()
        registry.register(BreakerCollector())

    def _begin(self) -> None:
        for counter, values in (
            (self._pdfs, OUTCOMES),
            (self._payments, PAYMENTS),
            (self._forms, OUTCOMES),
            (self._emails, EMAILS),
            (self._logins, LOGIN_FAILURES),
        ):
            for value in values:
                counter.labels(value)
        self._limited.labels("other")
        for kind in (*STRIPE_TYPES, "other"):
            for outcome in WEBHOOKS:
                self._webhooks.labels(kind, outcome)
        self.cache("default")

    def pdf_processed(self, pages: int, seconds: float, success: bool = True) -> None:
        """Count a PDF file. One that failed counts neither pages nor time."""
        self._pdfs.labels(OUTCOMES[not success]).inc()
        if success:
            self._pages.inc(max(0, pages))
            self._pdf_seconds.observe(max(0.0, seconds))

    def payment_processed(self, amount: object = None, outcome: bool | str = True) -> None:
        """Count a payment: True or ``ok``, ``declined`` by the bank, False or ``error`` of ours.

        The amount is not a metric: log it.
        """
        del amount
        word = outcome if isinstance(outcome, str) else ("error", "ok")[outcome]
        self._payments.labels(_one_of(PAYMENTS, word)).inc()

    def form_submitted(self, form_id: object, seconds: float, success: bool = True) -> None:
        """Count a form. Its id is not a label: log it."""
        del form_id
        self._forms.labels(OUTCOMES[not success]).inc()
        self._form_seconds.observe(max(0.0, seconds))

    def cache(self, name: str) -> None:
        """Let the counters of a cache begin at 0."""
        name = self._caches(name)
        for operation, result in (
            ("get", "hit"),
            ("get", "miss"),
            *((o, r) for o in ("set", "delete") for r in ("ok", "failed")),
        ):
            self._cache.labels(name, operation, result)

    def cache_hit(self, cache: str = "default") -> None:
        """Count a lookup that found its key."""
        self._cached(cache, "get", "hit")

    def cache_miss(self, cache: str = "default") -> None:
        """Count a lookup that did not."""
        self._cached(cache, "get", "miss")

    def cache_set(self, cache: str = "default", success: bool = True) -> None:
        """Count a write."""
        self._cached(cache, "set", OUTCOMES[not success])

    def cache_delete(self, cache: str = "default", success: bool = True) -> None:
        """Count a removal."""
        self._cached(cache, "delete", OUTCOMES[not success])

    def _cached(self, cache: str, operation: str, result: str) -> None:
        self._cache.labels(self._caches(cache), operation, result).inc()

    def email(self, outcome: str) -> None:
        """Count an email: sent, delivered, bounced, deferred, complained or failed."""
        self._emails.labels(_one_of(EMAILS, outcome)).inc()

    def rate_limited(self, route: str) -> None:
        """Count a refused request, by the template of its route."""
        self._limited.labels(self._routes(route)).inc()

    def login_failed(self, reason: str = "other") -> None:
        """Count a failed login; a reason that is not known is ``other``."""
        self._logins.labels(reason if reason in LOGIN_FAILURES else "other").inc()

    def stripe_webhook(self, kind: str, outcome: str, lag_s: float | None = None) -> None:
        """Count a webhook; called by :mod:`pgwatch_wed.app.stripe_webhook`."""
        known = kind if kind in STRIPE_TYPES else "other"
        self._webhooks.labels(known, _one_of(WEBHOOKS, outcome)).inc()
        if lag_s is not None:
            self._lag.observe(max(0.0, lag_s))


def _one_of(known: Iterable[str], word: object) -> str:
    if word not in tuple(known):
        raise ValueError(f"{word!r} is none of {', '.join(known)}")
    return str(word)


class BreakerCollector:
    """Exports the circuit breakers of this process."""

    def describe(self) -> list[Any]:
        """Return nothing: the names are known without a breaker."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield their states and transitions."""
        state = GaugeMetricFamily(
            "pgwatch_wed_breaker_state",
            "The state of a circuit breaker: 1 for the present one.",
            labels=("breaker", "state"),
        )
        entered = CounterMetricFamily(
            "pgwatch_wed_breaker_transitions",
            "How often a circuit breaker entered a state.",
            labels=("breaker", "state"),
        )
        for name, present in breakers.states().items():
            for each in breakers.BreakerState:
                state.add_metric((name, str(each)), float(each is present))
        for name, counts in breakers.transitions().items():
            for each, count in counts.items():
                entered.add_metric((name, str(each)), count)
        yield state
        yield entered


_made: list[AppMetrics] = []
_making = threading.Lock()


def configure(namespace: str = "app", registry: CollectorRegistry = REGISTRY) -> AppMetrics:
    """Make the application's metrics, before anything is counted; without it, they are ``app_…``."""
    with _making:
        if _made:
            raise UsageError(
                "metrics are configured or used already", "configure them at the start"
            )
        return _make(namespace, registry)


def default() -> AppMetrics:
    """Return the application's metrics; made now if they were not yet."""
    if _made:
        return _made[0]
    with _making:  # two threads may count their first at once
        return _made[0] if _made else _make("app", REGISTRY)


def _make(namespace: str, registry: CollectorRegistry) -> AppMetrics:
    # when a counter was made would be as many series again
    disable_created_metrics()  # type: ignore[no-untyped-call]
    _made.append(AppMetrics(namespace, registry))
    return _made[0]


def __getattr__(name: str) -> Any:
    """Let ``metrics.pdf_processed(…)`` and all others be called on the module."""
    if name.startswith("_") or not hasattr(AppMetrics, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(default(), name)
