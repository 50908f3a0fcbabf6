"""Logs of requests: ids that stay with their request, and no secrets."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pgwatch_wed.app import request_logs
from tests.app.asgi import ask


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    written = io.StringIO()
    request_logs.configure(stream=written)
    yield written
    structlog.reset_defaults()


def read(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def application(**more: Any) -> Starlette:
    async def own(request: Request) -> PlainTextResponse:
        if "user" in request.query_params:
            request_logs.identify(user_id=int(request.query_params["user"]), organization_id="o-1")
        request_logs.get_logger().info("seen")
        return PlainTextResponse(request_logs.request_id())

    def in_thread(request: Request) -> PlainTextResponse:  # Starlette runs it in a thread
        request_logs.identify(user_id=7)
        return PlainTextResponse("x")

    return Starlette(
        routes=[Route("/own", own), Route("/thread", in_thread)],
        middleware=[Middleware(request_logs.RequestContext, **more)],
    )


def test_what_is_known_of_one_request_is_not_in_the_next(lines: io.StringIO) -> None:
    """Kludex/uvicorn#2912: the context of a connection is not reset between its requests."""
    app = application()
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def one_connection() -> None:
        for query in (b"user=5", b""):
            scope: dict[str, Any] = {
                "type": "http",
                "method": "GET",
                "path": "/own",
                "query_string": query,
                "headers": [],
            }
            await app(scope, receive, send)
            structlog.contextvars.bind_contextvars(left="over")  # as a careless handler would

    asyncio.run(one_connection())
    first, second = read(lines)
    assert (first["user_id"], first["organization_id"]) == (5, "o-1")
    assert not {"user_id", "organization_id", "left"} & second.keys()
    assert first["request_id"] != second["request_id"]


def test_what_is_bound_in_a_thread_is_seen_by_the_middleware(lines: io.StringIO) -> None:
    """fastapi/fastapi#4696: context variables that are set in a dependency are lost outside of it."""
    ask(application(access=True), "/thread")
    (line,) = read(lines)
    assert (line["event"], line["user_id"], line["status"]) == ("request", 7, 200)


def test_an_id_of_a_proxy_is_kept_if_it_is_one(lines: io.StringIO) -> None:
    found = ask(application(), "/own", headers={"X-Request-ID": "abc-123"})
    assert (found.text, found.headers["x-request-id"]) == ("abc-123", "abc-123")
    for bad in ("a b", "x" * 65, "<script>", "a;b"):
        found = ask(application(), "/own", headers={"X-Request-ID": bad})
        assert found.text != bad
        assert len(found.text) == 32
        assert found.headers.get_list("x-request-id") == [found.text]


def test_requests_at_once_keep_their_ids(lines: io.StringIO) -> None:
    app = application()
    threads = [threading.Thread(target=ask, args=(app, f"/own?user={n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read(lines)
    assert {line["user_id"] for line in found} == set(range(8))
    assert len({line["request_id"] for line in found}) == 8


def test_no_line_is_made_by_a_value(lines: io.StringIO) -> None:
    request_logs.get_logger().info("a\nb", name='x\n{"event": "forged"}')
    assert len(read(lines)) == 1


SECRET_KEYS = """
password Passwd user_password api_key apiKey api-key secret client_secret stripe.secret Authorization Set-Cookie cookie
access_token accessToken cvc card_number cardNumber session_id stripe-signature dsn iban
"""


@pytest.mark.parametrize("key", SECRET_KEYS.split())
def test_secrets_go_by_their_keys(key: str) -> None:
    for value in ("hunter2", 12345, {"a": 1}, ["x"]):
        assert request_logs.redacted({"deep": [{key: value}]}) == {"deep": [{key: "[redacted]"}]}


@pytest.mark.parametrize(
    "key",
    [
        "tokens_used",
        "passenger",
        "secretary",
        "company",
        "span",
        "cookies_accepted",
        "keyboard",
        "compass",
    ],
)
def test_other_keys_stay(key: str) -> None:
    assert request_logs.redacted({key: "value"}) == {key: "value"}


@pytest.mark.parametrize(
    "text",
    [
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "whsec_0123456789abcdef",
        "Authorization: Bearer abcdefghijkl",
        "postgresql://app:hunter22@db/shop",
        "host=db password=hunter22 user=app",
        "password='a b c d'",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_secrets_in_texts(text: str) -> None:
    found = request_logs.redacted({"message": f"failed: {text} !"})["message"]
    assert "[redacted]" in found
    for secret in ("4eC39", "0123456789abcdef", "abcdefghijkl", "hunter22", "b c d", "c2lnbmF0"):
        assert secret not in found


@pytest.mark.parametrize(
    ("number", "is_one"),
    [
        ("4242424242424242", True),
        ("4242 4242 4242 4242", True),
        ("5555-5555-5555-4444", True),
        ("378282246310005", True),
        ("6011111111111117", True),
        ("30569309025904", True),
        ("3530111333300000", True),
        ("2223003122003222", True),
        ("4242424242424241", False),  # Luhn's sum
        ("1700000000000", False),  # milliseconds
        ("1795671207056000", False),  # microseconds
        ("0000000000000000", False),
        ("42424242424242424242424", False),
    ],
)
def test_card_numbers(number: str, is_one: bool) -> None:
    found = request_logs.redacted({"note": f"paid with {number}, thanks"})["note"]
    assert (found == "paid with [card number], thanks") is is_one
    digits = number.replace(" ", "").replace("-", "")
    assert (request_logs.redacted(int(digits)) == "[card number]") is is_one


def test_exceptions_are_redacted_too(lines: io.StringIO) -> None:
    try:
        raise RuntimeError("card 4242424242424242, password=hunter22")
    except RuntimeError:
        request_logs.get_logger().exception("failed")
    assert "4242" not in lines.getvalue()
    assert "hunter22" not in lines.getvalue()
    assert read(lines)[0]["level"] == "error"


def test_the_level_counts(lines: io.StringIO) -> None:
    request_logs.configure(logging.WARNING, lines)
    request_logs.get_logger().info("no")
    request_logs.get_logger().warning("yes")
    assert [line["event"] for line in read(lines)] == ["yes"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each) | st.tuples(each),
        max_leaves=20,
    )
)
def test_anything_can_be_logged(value: Any) -> None:
    json.dumps(request_logs.redacted({"value": value}), default=str)


def test_a_structure_that_contains_itself_ends() -> None:
    value: dict[str, Any] = {}
    value["self"] = value
    assert "too deep" in str(request_logs.redacted(value))
