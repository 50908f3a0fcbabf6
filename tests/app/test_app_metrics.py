"""What an application counts, and how its requests are measured."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from pgwatch_wed.app import metrics as app_metrics
from pgwatch_wed.app.breakers import breaker
from pgwatch_wed.app.http_metrics import BUCKETS, HttpMetrics
from pgwatch_wed.app.metrics import AppMetrics
from tests.app.asgi import ask


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> AppMetrics:
    return AppMetrics("shop", registry)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_every_outcome_is_born_at_zero(metrics: AppMetrics) -> None:
    text = generate_latest(metrics.registry).decode()
    for line in (
        'shop_payments_total{outcome="error"} 0.0',
        'shop_pdf_processed_total{outcome="failed"} 0.0',
        'shop_forms_submitted_total{outcome="ok"} 0.0',
        'shop_emails_total{outcome="bounced"} 0.0',
        'shop_auth_failures_total{reason="wrong_password"} 0.0',
        'shop_stripe_webhooks_total{outcome="failed",type="invoice.paid"} 0.0',
        'shop_rate_limited_total{route="other"} 0.0',
        'shop_cache_operations_total{cache="default",operation="get",result="miss"} 0.0',
    ):
        assert line in text


def test_two_threads_that_count_their_first_at_once_share_the_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meeting, found = threading.Barrier(2, timeout=5), list[AppMetrics]()

    class Slow(list[AppMetrics]):
        def __bool__(self) -> bool:  # neither goes on before both have looked
            seen = len(self) > 0
            if not app_metrics._making.locked():
                meeting.wait()
            return seen

    monkeypatch.setattr(app_metrics, "_made", Slow())
    monkeypatch.setattr(app_metrics, "REGISTRY", CollectorRegistry())
    threads = [
        threading.Thread(target=lambda: found.append(app_metrics.default())) for _ in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 2
    assert found[0] is found[1]


def test_what_the_guide_counts(metrics: AppMetrics, registry: CollectorRegistry) -> None:
    metrics.pdf_processed(12, 0.8, True)
    metrics.pdf_processed(3, 9.0, False)
    metrics.payment_processed(31337.75, True)
    metrics.payment_processed(31337.75, False)
    metrics.payment_processed(31337.75, "declined")
    metrics.form_submitted("rsvp-77", 0.1, True)
    metrics.cache_hit("sessions")
    metrics.cache_miss("sessions")
    metrics.cache_set("sessions")
    metrics.cache_delete("sessions", success=False)
    metrics.email("sent")
    metrics.rate_limited("/api/forms/{id}")
    metrics.login_failed("a reason of nobody's")
    assert value(registry, "shop_pdf_processed_total", outcome="ok") == 1
    assert value(registry, "shop_pdf_pages_total") == 12
    assert value(registry, "shop_pdf_processing_seconds_count") == 1
    for outcome in ("ok", "error", "declined"):
        assert value(registry, "shop_payments_total", outcome=outcome) == 1
    text = generate_latest(registry).decode()
    assert "rsvp" not in text
    assert "31337" not in text
    assert value(registry, "shop_auth_failures_total", reason="other") == 1
    for operation, result in (("get", "hit"), ("get", "miss"), ("set", "ok"), ("delete", "failed")):
        found = value(
            registry,
            "shop_cache_operations_total",
            cache="sessions",
            operation=operation,
            result=result,
        )
        assert found == 1
    with pytest.raises(ValueError, match="is none of"):
        metrics.email("lost")
    with pytest.raises(ValueError, match="is none of"):
        metrics.payment_processed(1, "perhaps")


def test_names_that_users_decide_on_do_not_multiply_series(
    metrics: AppMetrics, registry: CollectorRegistry
) -> None:
    for number in range(500):
        metrics.rate_limited(f"/users/{number}")
        metrics.cache_hit(f"cache {number}")
        metrics.stripe_webhook(f"made.up.{number}", "processed")
    assert generate_latest(registry).count(b"\nshop_rate_limited_total") <= 51
    assert generate_latest(registry).count(b'_total{cache="') <= 51 * 6
    assert value(registry, "shop_stripe_webhooks_total", type="other", outcome="processed") == 500


def test_breakers_are_exported(metrics: AppMetrics, registry: CollectorRegistry) -> None:
    breaker("exported", failures=1).admit().end(is_failure=True)
    for state, expected in (("open", 1), ("closed", 0), ("half_open", 0)):
        labels = {"breaker": "exported", "state": state}
        assert value(registry, "pgwatch_wed_breaker_state", **labels) == expected
        assert value(registry, "pgwatch_wed_breaker_transitions_total", **labels) == expected


def test_the_module_is_the_interface() -> None:
    code = (
        "from pgwatch_wed.app import metrics\n"
        "metrics.configure('wed')\n"
        "metrics.pdf_processed(1, 0.5, True)\n"
        "from prometheus_client import REGISTRY\n"
        "assert REGISTRY.get_sample_value('wed_pdf_pages_total') == 1\n"
        "try: metrics.no_such_thing\n"
        "except AttributeError: print('fine')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "fine\n"


# Requests


async def fine(request: Request) -> PlainTextResponse:
    return PlainTextResponse("fine")


async def broken(request: Request) -> PlainTextResponse:
    raise RuntimeError("broken")


def application(registry: CollectorRegistry, **more: Any) -> Starlette:
    inner = Starlette(routes=[Route("/deep/{name}", fine)])
    return Starlette(
        routes=[
            Route("/users/{id:int}", fine, methods=["GET", "POST"]),
            Route("/users/{id:int}", fine, methods=["DELETE"]),
            Route("/broken", broken),
            Mount(
                "/admin",
                routes=[Route("/rooms/{room}", fine), Mount("/in", routes=[Route("/x", fine)])],
            ),
            Mount("/other", app=inner),
            Mount(
                "/files",
                app=lambda scope, receive, send: PlainTextResponse("f")(scope, receive, send),
            ),
        ],
        middleware=[Middleware(HttpMetrics, registry=registry, **more)],
    )


def count(
    registry: CollectorRegistry, route: str, method: str = "GET", status: str = "200"
) -> float:
    labels = {
        "http_request_method": method,
        "http_route": route,
        "http_response_status_code": status,
    }
    return value(registry, "http_server_request_duration_seconds_count", **labels) or 0.0


@pytest.mark.parametrize("outside", [True, False])
def test_routes_are_templates_with_their_mounts(registry: CollectorRegistry, outside: bool) -> None:
    """perdy/starlette-prometheus#40, stephenhillier/starlette_exporter#21: only the mount's prefix."""
    app: Any = application(registry)
    if outside:
        app.user_middleware.clear()
        app = HttpMetrics(app, registry=registry)
    for path in (
        "/users/1",
        "/users/2",
        "/admin/rooms/7",
        "/admin/in/x",
        "/other/deep/a",
        "/files/a/b",
    ):
        assert ask(app, path).status_code == 200
    assert count(registry, "/users/{id:int}") + count(registry, "/users/{id}") == 2
    for route in ("/admin/rooms/{room}", "/admin/in/x", "/other/deep/{name}", "/files/{path}"):
        assert count(registry, route) == 1, route


def test_nobody_outside_decides_on_a_label(registry: CollectorRegistry) -> None:
    app = application(registry)
    for path in ("/wp-login.php", "/.env", "/users/abc", "/admin/nothing"):
        ask(app, path)
    ask(app, "/users/1", method="BREW")
    ask(app, "/users/1", method="PUT")
    assert count(registry, "unmatched", status="404") == 4
    assert count(registry, "/users/{id:int}", method="_OTHER", status="405") == 1
    assert count(registry, "/users/{id:int}", method="PUT", status="405") == 1
    assert b"BREW" not in generate_latest(registry)


def test_errors_and_clients_that_go_away(registry: CollectorRegistry) -> None:
    app = application(registry)
    assert ask(app, "/broken").status_code == 500
    assert count(registry, "/broken", status="500") == 1

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def cancelled() -> None:
        measured = HttpMetrics(slow, registry=registry)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        task = asyncio.create_task(measured(scope, None, None))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert count(registry, "unmatched", status="499") == 1


def test_a_stream_is_measured_to_its_end(registry: CollectorRegistry) -> None:
    async def drops() -> Any:
        for _ in range(3):
            await asyncio.sleep(0.02)
            yield b"x"

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(drops())

    app = Starlette(
        routes=[Route("/s", stream)], middleware=[Middleware(HttpMetrics, registry=registry)]
    )
    ask(app, "/s")
    labels = {"http_request_method": "GET", "http_route": "/s", "http_response_status_code": "200"}
    assert (value(registry, "http_server_request_duration_seconds_sum", **labels) or 0) >= 0.06


def test_a_plain_application_may_name_its_routes(registry: CollectorRegistry) -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("x")(scope, receive, send)

    ask(HttpMetrics(plain, registry=registry), "/secret/path")
    assert count(registry, "unmatched") == 1
    ask(HttpMetrics(plain, registry=registry, route=lambda scope: "/named"), "/x")
    assert count(registry, "/named") == 1
    ask(
        HttpMetrics(plain, registry=registry, route=lambda scope: "/named", ignored=["/named"]),
        "/x",
    )
    assert count(registry, "/named") == 1


def test_the_buckets_have_the_thresholds_of_the_objectives() -> None:
    assert {0.2, 0.5} <= set(BUCKETS)
