"""Webhooks of Stripe: signed, in time, once, in any order; from the imitation that signs as Stripe does, too."""

import asyncio
import hashlib
import hmac
import io
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from pgwatch_wed.app import request_logs
from pgwatch_wed.app.event_memory import LEASE_S, Claim, EventMemory
from pgwatch_wed.app.metrics import AppMetrics
from pgwatch_wed.app.stripe_webhook import Delivery, IgnoredEvent, StripeWebhook
from pgwatch_wed.embedded.server import free_port
from tests.app.asgi import ask
from tests.serve import parts

NOW = 1_800_000_000.0
SECRET = "whsec_of_the_tests"


class Shop:
    """An application with the route, and what it got."""

    def __init__(self, memory: EventMemory | None = None, handle: Any = None, **more: Any) -> None:
        self.got: list[Delivery] = []
        self.registry = CollectorRegistry()
        self.route = StripeWebhook(
            [SECRET],
            handle or self.got.append,
            memory or EventMemory(),
            **{"metrics": AppMetrics("shop", self.registry), "now": lambda: NOW, **more},
        )
        self.app = Starlette(routes=[Route("/hook", self.route, methods=["POST"])])

    def send(self, body: bytes, header: str | None = None) -> httpx.Response:
        header = signature(body) if header is None else header
        return ask(self.app, "/hook", "POST", body, {"stripe-signature": header})

    def count(self, outcome: str, kind: str = "invoice.paid") -> float:
        labels = {"type": kind, "outcome": outcome}
        return self.registry.get_sample_value("shop_stripe_webhooks_total", labels) or 0.0

    def lag(self) -> float:
        return self.registry.get_sample_value("shop_stripe_webhook_lag_seconds_sum") or 0.0


def event(
    name: str = "evt_1", kind: str = "invoice.paid", created: float = NOW, about: str = "in_1"
) -> bytes:
    document = {"id": name, "type": kind, "created": int(created), "livemode": False}
    return json.dumps({**document, "data": {"object": {"id": about}}}, indent=2).encode()


def signature(body: bytes, at: float = NOW, *secrets: str) -> str:
    signed = f"{int(at)}.".encode() + body
    found = [hmac.new(s.encode(), signed, hashlib.sha256).hexdigest() for s in secrets or (SECRET,)]
    return ",".join([f"t={int(at)}", *(f"v1={f}" for f in found), "v0=ignored"])


@pytest.fixture(autouse=True)
def audit() -> Iterator[io.StringIO]:
    written = io.StringIO()
    request_logs.configure(stream=written)
    yield written
    structlog.reset_defaults()


def test_a_signed_event_is_handled_once_and_noted(audit: io.StringIO) -> None:
    shop = Shop()
    assert shop.send(event(created=NOW - 4)).status_code == 200
    assert [d.type for d in shop.got] == ["invoice.paid"]
    assert (shop.count("processed"), shop.lag()) == (1, 4)
    line = json.loads(audit.getvalue())
    assert (line["event"], line["event_id"], line["outcome"], line["lag_s"]) == (
        "stripe_webhook",
        "evt_1",
        "processed",
        4.0,
    )


def test_the_signature_is_that_of_the_bytes_as_they_arrived() -> None:
    """stripe/stripe-php#884, stripe/stripe-node#341: a body that was parsed and written again."""
    shop = Shop()
    body = event()
    again = json.dumps(json.loads(body)).encode()
    assert json.loads(again) == json.loads(body)
    assert shop.send(again, signature(body)).status_code == 400
    assert shop.send(body).status_code == 200


def test_while_a_secret_is_replaced_one_fitting_pair_is_enough() -> None:
    body = event()
    for old_and_new in (("other", SECRET), (SECRET, "other")):
        assert Shop().send(body, signature(body, NOW, *old_and_new)).status_code == 200
    shop = Shop()
    both = StripeWebhook(
        ["new", SECRET],
        shop.got.append,
        EventMemory(),
        metrics=shop.route._metrics,
        now=lambda: NOW,
    )
    headers = {"stripe-signature": signature(body)}
    assert ask(both, "/", "POST", body, headers).status_code == 200


@pytest.mark.parametrize(
    ("age_s", "status"), [(0, 200), (300, 200), (301, 400), (-300, 200), (-301, 400), (-86400, 400)]
)
def test_the_tolerance_holds_in_both_directions(age_s: float, status: int) -> None:
    body = event()
    shop = Shop()
    assert shop.send(body, signature(body, NOW - age_s)).status_code == status
    assert shop.count("refused", "other") == (status == 400)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=ab",
        "t=x,v1=ab",
        "t=1,t=2,v1=ab",
        "t=1800000000,v1=",
        "t=1800000000,v1=é",
        "=,=,=,",
        "t=1800000000," + ",".join(["v1=ab"] * 50),
        "t=99999999999999999999,v1=ab",
        "t=-1,v1=ab",
        "t=²,v1=a",
    ],
)
def test_headers_of_nobody(header: str) -> None:
    shop = Shop()
    found = ask(shop.app, "/hook", "POST", event(), {"stripe-signature": header.encode()})
    assert (found.status_code, found.json()) == (400, {"result": "refused"})
    assert shop.got == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"id": 1, "type": "x"}',
        b'{"id": "", "type": "x"}',
        b'{"type": "x"}',
        b"\xff\xfe",
        b'{"id": "e\\n", "type": "x"}',
        b"[" * 100000,
        b'{"id": "' + b"x" * 300 + b'", "type": "x"}',
        b" " * 1100000,
    ],
)
def test_signed_nonsense_is_refused_and_breaks_nothing(body: bytes) -> None:
    shop = Shop()
    assert shop.send(body).status_code == 400
    assert shop.count("refused", "other") == 1


@pytest.mark.parametrize(
    "more",
    [
        b'"created": "soon"',
        b'"created": true',
        b'"data": 7',
        b'"data": {"object": []}',
        b'"created": 1e400',
    ],
)
def test_a_signed_event_of_an_odd_shape_is_handled(more: bytes) -> None:
    shop = Shop()
    assert shop.send(b'{"id": "e", "type": "x", ' + more + b"}").status_code == 200
    assert len(shop.got) == 1


def test_who_only_looks_is_sent_away() -> None:
    assert ask(Shop().route, "/", "GET").status_code == 405


def test_a_type_that_nobody_wants_is_ignored() -> None:
    def handle(delivery: Delivery) -> None:
        raise IgnoredEvent

    assert Shop(handle=handle).send(event()).json() == {"result": "ignored"}
    shop = Shop(types=["invoice.paid"])
    assert shop.send(event(kind="payout.paid")).json() == {"result": "ignored"}
    assert (shop.count("ignored", "payout.paid"), shop.got) == (1, [])


def test_a_repeated_event_is_a_duplicate_also_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "events.sqlite3"
    first = EventMemory(file)
    assert Shop(first).send(event()).json() == {"result": "processed"}
    assert Shop(first).send(event()).json() == {"result": "duplicate"}
    first.close()
    second = EventMemory(file)
    shop = Shop(second)
    assert shop.send(event()).status_code == 200
    assert (shop.count("duplicate"), shop.got) == (1, [])
    second.close()


def test_what_failed_is_handled_when_it_comes_again() -> None:
    attempts: list[str] = []

    async def handle(delivery: Delivery) -> None:
        attempts.append(delivery.id)
        if len(attempts) == 1:
            raise RuntimeError("card 4242424242424242")

    shop = Shop(handle=handle)
    assert shop.send(event()).status_code == 500
    assert shop.send(event()).status_code == 200
    assert attempts == ["evt_1", "evt_1"]
    assert (shop.count("failed"), shop.count("processed")) == (1, 1)


def test_a_handler_that_hangs_fails_within_its_deadline() -> None:
    async def hang(delivery: Delivery) -> None:
        await asyncio.sleep(60)

    memory = EventMemory()
    shop = Shop(memory, hang, deadline_s=0.05)
    begun = time.monotonic()
    assert shop.send(event()).status_code == 500
    assert time.monotonic() - begun < 2
    assert memory.claim("evt_1") is Claim.NEW


def test_of_two_at_once_one_is_handled_and_the_other_comes_again() -> None:
    """pierreb-devkit/Node#3573: looked up, handled, then noted, both deliveries are handled."""
    handled: list[str] = []

    async def slow(delivery: Delivery) -> None:
        handled.append(delivery.id)
        await asyncio.sleep(0.1)

    shop = Shop(handle=slow)

    async def both() -> list[int]:
        transport = httpx.ASGITransport(shop.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = event()
            headers = {"stripe-signature": signature(body)}
            sent = [client.post("/hook", content=body, headers=headers) for _ in range(5)]
            return sorted(r.status_code for r in await asyncio.gather(*sent))

    # not 200: if the one that handles it fails, Stripe must come again
    assert asyncio.run(both()) == [200, 409, 409, 409, 409]
    assert handled == ["evt_1"]
    assert shop.send(event()).json() == {"result": "duplicate"}


def test_an_event_that_comes_after_a_newer_one_is_told_so() -> None:
    shop = Shop()
    shop.send(event("evt_2", created=NOW))
    shop.send(event("evt_1", created=NOW - 60))
    shop.send(event("evt_3", created=NOW - 60, about="another"))
    shop.send(event("evt_4", created=NOW + 1))
    assert [(d.id, d.is_late) for d in shop.got] == [
        ("evt_2", False),
        ("evt_1", True),
        ("evt_3", False),
        ("evt_4", False),
    ]


def test_a_memory_that_cannot_be_written_refuses_for_now(tmp_path: Path) -> None:
    memory = EventMemory(tmp_path / "events.sqlite3")
    shop = Shop(memory)
    memory.close()
    assert shop.send(event()).status_code == 503
    assert (shop.count("failed"), shop.got) == (1, [])


def test_what_cannot_be_committed_does_not_keep_later_events_out() -> None:
    memory = EventMemory()
    for statement in (
        "pragma foreign_keys = on",
        "create table other (id references event deferrable initially deferred)",
    ):
        memory._connection.execute(statement)
    with pytest.raises(sqlite3.IntegrityError), memory._changing() as connection:
        connection.execute("insert into other values ('none')")
    assert memory.claim("e") is Claim.NEW
    memory.close()


def test_a_corrupt_memory_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "events.sqlite3"
    file.write_bytes(b"no database at all" * 100)
    memory = EventMemory(file)
    assert memory.claim("e") is Claim.NEW
    assert (tmp_path / "events.sqlite3.corrupt").exists()
    memory.close()


def test_an_event_whose_process_died_is_claimed_again_and_old_ones_are_forgotten(
    tmp_path: Path,
) -> None:
    at = [NOW]
    file = tmp_path / "e.sqlite3"
    memory = EventMemory(file, lambda: at[0])
    assert memory.claim("lost") is Claim.NEW
    assert memory.claim("lost") is Claim.BUSY
    at[0] += LEASE_S
    assert memory.claim("lost") is Claim.NEW
    memory.done("lost")
    at[0] += 30 * 86400
    assert memory.claim("lost") is Claim.DONE
    at[0] += 11 * 86400
    memory.claim("other")
    memory.close()
    with sqlite3.connect(file) as raw:
        assert raw.execute("select id from event").fetchall() == [("other",)]
    raw.close()


def test_of_many_threads_and_files_one_gets_the_event(tmp_path: Path) -> None:
    memories = [EventMemory(tmp_path / "events.sqlite3") for _ in range(4)]
    got: list[Claim] = []
    threads = [threading.Thread(target=lambda m=m: got.append(m.claim("e"))) for m in memories * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["busy"] * 15 + ["new"]
    for memory in memories:
        memory.close()


def test_no_refusal_names_a_secret(audit: io.StringIO) -> None:
    shop = Shop()
    shop.send(event(), "t=1,v1=abcdef")
    line = json.loads(audit.getvalue())
    assert (line["outcome"], line["level"]) == ("refused", "warning")
    assert "abcdef" not in audit.getvalue()
    assert SECRET not in audit.getvalue()


# From a server that signs as Stripe does


@contextmanager
def served(app: Any) -> Iterator[int]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


def test_events_of_the_imitation_arrive() -> None:
    shop = Shop(now=time.time)
    with parts.stripe() as url, served(shop.app) as port:
        auth = ("sk_test_12345", "")
        hook = {"url": f"http://127.0.0.1:{port}/hook", "secret": SECRET}
        httpx.post(f"{url}/_config/webhooks/own", json=hook).raise_for_status()
        httpx.post(
            f"{url}/v1/customers", auth=auth, data={"email": "a@example.com"}
        ).raise_for_status()
        deadline = time.monotonic() + 15
        while not shop.got and time.monotonic() < deadline:
            time.sleep(0.05)
    assert [d.type for d in shop.got][:1] == ["customer.created"]
    assert shop.count("processed", "customer.created") == 1
