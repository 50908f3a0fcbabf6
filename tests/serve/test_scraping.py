"""The application's metrics are read where it exposes them, and are gone when it is."""

import socket
import threading
from collections.abc import Mapping
from typing import Any

import prometheus_client
import pytest

from pgwatch_wed.app.http_metrics import durations
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve import scraping
from pgwatch_wed.serve.scraping import ScrapedApplication, Scraper, parse_applications
from pgwatch_wed.serve.state import Board, Health, Reason
from tests.serve.states import NOW


def status(board: Board) -> Health:
    return board.state.probes["app-web"].status


def test_what_an_application_exposes_is_there_until_it_is_gone() -> None:
    registry = prometheus_client.CollectorRegistry()
    durations(registry).labels("GET", "/users/{id}", "500").observe(0.3)
    server, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    application = ScrapedApplication("web", f"http://127.0.0.1:{server.server_port}/metrics")
    board, at = Board(), [0.0]
    scraper = Scraper([application], board, now=lambda: NOW, monotonic=lambda: at[0])
    assert status(board) is Health.UNKNOWN
    scraper.run_once(application)
    [family] = scraper.families()
    assert family.name == "http_server_request_duration_seconds"
    counts = [s for s in family.samples if s.name.endswith("_count")]
    assert [dict(s.labels)["application"] for s in counts] == ["web"]
    assert [s.value for s in counts] == [1.0]
    assert status(board) is Health.PASS
    at[0] = 46.0
    assert list(scraper.families()) == []
    server.shutdown()
    server.server_close()
    thread.join()
    scraper.run_once(application)
    result = board.state.probes["app-web"]
    assert (result.status, result.reason) == (Health.FAIL, Reason.REFUSED)
    assert "127.0.0.1" not in result.detail
    assert list(scraper.families()) == []


def test_what_is_no_text_format_is_a_failure_of_the_protocol() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{{}} x y")

        thread = threading.Thread(target=answer)
        thread.start()
        application = ScrapedApplication("web", f"http://127.0.0.1:{server.getsockname()[1]}/")
        board = Board()
        Scraper([application], board, now=lambda: NOW).run_once(application)
        thread.join()
    assert board.state.probes["app-web"].reason is Reason.PROTOCOL


def test_an_error_that_nobody_expects_does_not_end_the_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_text: str) -> None:
        raise RecursionError

    application = ScrapedApplication("web", "http://127.0.0.1:1/")
    board = Board()
    monkeypatch.setattr(scraping, "scraped", fail)
    Scraper([application], board, now=lambda: NOW).run_once(application)
    result = board.state.probes["app-web"]
    assert (result.reason, "RecursionError" in result.detail) == (Reason.PROTOCOL, True)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"url": "ftp://h/"}, "f.toml: app.web.url must be a URL"),
        ({}, "f.toml: app.web.url must be a URL"),
        ({"url": "http://h:99999/"}, "f.toml: app.web.url must be a URL"),
        ({"url": "http://u:p@h/"}, "f.toml: app.web.url holds a password"),
        ({"url": "http://h/", "token": "x"}, "f.toml: app.web: unknown key 'token'"),
        ({"url": "http://h/", "token_env": "NO"}, "f.toml: app.web.token_env"),
        ({"url": "http://h/", "essential": 1}, "f.toml: app.web.essential must be"),
    ],
)
def test_a_wrong_table_is_one_line_with_file_and_key(table: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_applications({"web": table}, "f.toml", {})
    assert caught.value.message.startswith(said)
