"""Whom the service answers, under which name, how often; and what it tells whom it does not answer."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve import settings
from pgwatch_wed.serve.http import listening
from pgwatch_wed.serve.http.gatekeeper import Gatekeeper, RateLimit, names_us
from pgwatch_wed.serve.http.routes import application
from pgwatch_wed.serve.settings import Access, ServeSettings
from tests.serve.states import Client, board, probe

TOKEN, PASSWORD = "t" * 20, "secret of 20 letters"
OWN = ServeSettings(access=Access(TOKEN, "sre", PASSWORD))
PATHS = ("/readyz", "/api/health", "/api/health/database", "/api/alerts", "/api/slo", "/metrics")


def statuses(given: Mapping[str, str], own: ServeSettings = OWN) -> set[int]:
    async def ask() -> set[int]:
        async with Client(board([probe("database")]), own, headers=dict(given)) as client:
            client.readiness.has_started = True
            return {await client.status(path) for path in PATHS}

    return asyncio.run(ask())


def basic(user: str, password: str) -> dict[str, str]:
    both = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {both}"}


@pytest.mark.parametrize(
    "given",
    [
        {"authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer  {TOKEN}"},
        basic("sre", PASSWORD),
        basic("token", TOKEN),
    ],
)
def test_whoever_knows_the_secret_is_answered(given: dict[str, str]) -> None:
    assert statuses(given) == {200}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Basic \xff\xfe"},
        {"authorization": f"Digest {TOKEN}"},
        basic("sre", TOKEN),
        basic("", PASSWORD),
        basic("", ""),
        basic("token", PASSWORD),
    ],
)
def test_whoever_does_not_is_told_nothing(given: dict[str, str]) -> None:
    assert statuses({k: v for k, v in given.items() if v.isascii()}) == {401}


def test_what_is_not_set_equals_no_secret() -> None:
    only_token = ServeSettings(access=Access(TOKEN))
    assert statuses(basic("", ""), only_token) == {401}
    only_password = ServeSettings(access=Access("", "sre", PASSWORD))
    assert statuses({"authorization": "Bearer "}, only_password) == {401}
    assert statuses(basic("token", ""), only_password) == {401}


def test_livez_is_open_and_tells_nothing() -> None:
    async def ask() -> tuple[int, str]:
        async with Client(board([probe("database")]), OWN) as client:
            answer = await client.get("/livez", headers={"host": "anything"})
            return answer.status_code, answer.text

    assert asyncio.run(ask()) == (200, "ok\n")


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost:9188", True),
        ("LOCALHOST.", True),
        ("127.0.0.1:9188", True),
        ("[::1]:9188", True),
        ("10.0.0.7", True),
        ("monitor.example.com", True),
        ("evil.example.com", False),
        ("localhost.evil.example.com", False),
        ("localhost:9188@evil.example.com", False),
        ("127.0.0.1.evil.example.com", False),
        ("", False),
        ("localhost:80:80", False),
    ],
)
def test_a_page_whose_name_was_turned_to_our_address_is_not_answered(
    host: str, is_ours: bool
) -> None:
    assert names_us(host.encode(), frozenset({"localhost", "monitor.example.com"})) is is_ours


def test_a_client_that_asks_too_often_waits_and_no_other_does() -> None:
    at = [0.0]
    limit = RateLimit(10, lambda: at[0])
    assert [limit.allows("a") for _ in range(21)] == [True] * 20 + [False]
    assert limit.allows("b")
    at[0] = 0.1
    assert [limit.allows("a"), limit.allows("a")] == [True, False]
    for n in range(5000):
        limit.allows(str(n))
    assert len(limit._buckets) == 4096


def test_too_many_requests_are_429() -> None:
    async def ask() -> list[int]:
        async with Client(board(), ServeSettings(requests_per_second=1)) as client:
            return [await client.status("/api/alerts") for _ in range(3)]

    assert asyncio.run(ask()) == [200, 200, 429]


def test_every_answer_binds_the_browser() -> None:
    async def ask() -> None:
        async with Client(board()) as client:
            for path in (*PATHS, "/livez", "/nothing", "/api/health/%00"):
                headers = (await client.get(path)).headers
                assert "default-src 'none'" in headers["content-security-policy"], path
                assert headers["cache-control"] == "no-store"
                assert headers["x-content-type-options"] == "nosniff"
                assert "server" not in headers
                assert "access-control-allow-origin" not in headers

    asyncio.run(ask())


@pytest.mark.parametrize("path", ["/api/health/<script>", "/api/alerts/%0d%0aX: 1", "/%3Cb%3E"])
def test_nothing_of_a_request_comes_back(path: str) -> None:
    async def ask() -> tuple[int, str, Any]:
        async with Client(board()) as client:
            answer = await client.get(path)
            return answer.status_code, answer.text, answer.headers.get("x")

    assert asyncio.run(ask()) == (404, '{"title":"not found","status":404}', None)


def test_only_reading_is_allowed() -> None:
    async def ask() -> set[int]:
        async with Client(board()) as client:
            methods = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
            return {(await client.request(m, p)).status_code for m in methods for p in PATHS}

    assert asyncio.run(ask()) == {405}


@pytest.mark.parametrize(
    "unfinished",
    [b"GET / HTTP/1.1\r\nHost: local", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n."],
)
def test_a_client_that_never_finishes_its_request_is_cut(
    unfinished: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "REQUEST_S", 0.2)

    async def ask() -> tuple[bytes, bytes]:
        with listening.bind(ServeSettings(port=0)) as bound:
            port = bound.getsockname()[1]
            server = listening.server(application([]), ServeSettings())
            serving = asyncio.create_task(server.serve([bound]))
            await asyncio.sleep(0.1)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answered = await reader.readline()
            await reader.readuntil(b"}")
            writer.write(unfinished)
            cut = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            server.should_exit = True
            await serving
            return answered, cut.partition(b"\r\n\r\n")[2]

    body = b'{"title":"not found","status":404}' if b"Length" in unfinished else b""
    assert asyncio.run(ask()) == (b"HTTP/1.1 404 Not Found\r\n", body)


def test_a_client_that_never_reads_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "UNREAD_S", 0.1)

    async def large(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * (32 << 20)})

    async def ask() -> int:
        with listening.bind(ServeSettings(port=0)) as bound:
            server = listening.server(large, ServeSettings())
            serving = asyncio.create_task(server.serve([bound]))
            await asyncio.sleep(0.1)
            port = bound.getsockname()[1]
            _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for _ in range(500):
                await asyncio.sleep(0.01)
                if server.server_state.total_requests and not server.server_state.connections:
                    break
            left = len(server.server_state.connections)
            writer.close()
            server.should_exit = True
            await serving
            return left

    assert asyncio.run(ask()) == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_the_rate_limit_counts_a_network_of_ipv6_as_one_client(
    one: str, other: str, *, is_same: bool
) -> None:
    limit = RateLimit(0.5, lambda: 0.0)
    gate = Gatekeeper(application([]), Access(), frozenset(), limit)

    async def ask(host: str) -> int:
        seen: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            seen.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "client": (host, 1),
            "headers": [(b"host", b"localhost")],
        }
        await gate(scope, receive, send)
        return int(seen[0]["status"])

    assert asyncio.run(ask(one)) == 404
    assert asyncio.run(ask(other)) == (429 if is_same else 404)


def read(table: Mapping[str, Any], **environ: str) -> ServeSettings:
    return settings.parse(table, "f.toml", environ)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"listen": "nowhere"}, "f.toml: serve.listen must be an address and a port"),
        ({"listen": "127.0.0.1:99999"}, "f.toml: serve.listen must be"),
        ({"listen": 9188}, "f.toml: serve.listen must be"),
        ({"port": 9188}, "f.toml: serve: unknown key 'port'"),
        ({"hosts": ["a b"]}, "f.toml: serve.hosts must be"),
        ({"hosts": "a"}, "f.toml: serve.hosts must be"),
        ({"token_file": "/nowhere"}, "f.toml: serve.token_file: could not read /nowhere"),
        ({"token": "x" * 20}, "f.toml: serve: unknown key 'token'"),
        ({"user": "a:b"}, "f.toml: serve.user must be"),
        ({"user": "sre"}, "f.toml: serve: user and a password"),
        ({"tls_key": "/nowhere"}, "f.toml: serve.tls_key must be a file"),
        ({"requests_per_second": 0}, "f.toml: serve.requests_per_second must be a number"),
        ({"requests_per_second": True}, "f.toml: serve.requests_per_second must be a number"),
        ({"postgres_exporter": 1}, "f.toml: serve.postgres_exporter must be true or false"),
        ({"targets": []}, "f.toml: serve.targets must be a table"),
        ({"targets": {"a b": {}}}, "f.toml: serve.targets.a b: a name has"),
        ({"targets": {"a": {}}}, "f.toml: serve.targets.a must have one of"),
        ({"targets": {"a": {"conninfo": "nonsense="}}}, "f.toml: serve.targets.a.conninfo"),
        (
            {"targets": {"a": {"conninfo_env": "NO"}}},
            "serve.targets.a.conninfo_env: the environment",
        ),
        ({"collector": 5}, "f.toml: serve.collector must be a table"),
    ],
)
def test_a_wrong_value_is_one_line_with_file_and_key(table: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(table)
    assert caught.value.message.startswith(said) or said in caught.value.message
    assert caught.value.exit_status == 2


def test_a_certificate_that_is_none_is_one_line() -> None:
    given = read({"tls_certificate": __file__, "tls_key": __file__})
    with pytest.raises(UsageError, match=r"f.toml: serve.tls_certificate and tls_key must be a"):
        settings.check_certificate(given, "f.toml")


def test_secrets_are_not_in_the_table_and_not_shown() -> None:
    with pytest.raises(UsageError, match="holds a password") as caught:
        read({"targets": {"a": {"conninfo": "host=h password=hunter2hunter2"}}})
    assert "hunter2" not in str(caught.value)
    found = read(
        {"user": "sre", "targets": {"a": {"conninfo_env": "DSN"}}},
        DSN="host=h password=hunter2hunter2",
        PGWATCH_WED_PASSWORD="swordfishswordfish",
    )
    assert found.access.password == "swordfishswordfish"
    assert "hunter2" in found.targets[0].conninfo
    assert "hunter2" not in repr(found)
    assert "swordfish" not in repr(found)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(UsageError, match="PGWATCH_WED_TOKEN must hold at least 16"):
        read({}, PGWATCH_WED_TOKEN="short")


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "db.example.com:1"])
def test_other_machines_are_answered_only_with_a_secret(listen: str) -> None:
    with pytest.raises(UsageError, match="is not a loopback address"):
        settings.check_access(read({"listen": listen}), "f.toml")
    settings.check_access(read({"listen": listen}, PGWATCH_WED_TOKEN=TOKEN), "f.toml")


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.5.5.5:0"])
def test_this_machine_is_answered_without(listen: str) -> None:
    settings.check_access(read({"listen": listen}), "f.toml")
