"""Load on an HTTP service: latency from the intended start, what is asked for, and whether to believe it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies
from pgwatch_wed.load.http_load.http_outcome import HttpOrder, HttpOutcome
from pgwatch_wed.load.http_load.http_run import http_run, worker_command
from pgwatch_wed.load.http_load.http_source import plan_of
from pgwatch_wed.load.http_load.http_text import http_text
from pgwatch_wed.load.http_load.locust_results import LocustResults, spoilt_by
from pgwatch_wed.load.http_load.openapi_tasks import base_of, tasks_of
from pgwatch_wed.load.load_model import FailureKind, Machine, Spoilt, TimeSpent
from tests.test_cli import db_analyze


class Service(ThreadingHTTPServer):
    """Answers at once, but for a stall."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: Counter[str] = Counter()
        self.going = threading.Event()
        self.going.set()

    def stall(self) -> None:
        """Do it a second after the first request, however long Locust takes to start."""
        for _ in range(600):
            if self.asked:
                break
            time.sleep(0.05)
        time.sleep(1)
        self.going.clear()
        time.sleep(2)
        self.going.set()

    def handle_error(self, *_: Any) -> None:
        """A client that has given up is none."""

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        self.server.going.wait(20)
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


MINE = """
from locust import HttpUser, constant, task
class Mine(HttpUser):
    wait_time = constant(0.1)
    @task
    def one(self):
        self.client.get("/mine")
"""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.going.set()
        found.shutdown()
        thread.join()


def test_a_stall_is_charged_to_all_that_were_due_meanwhile(service: Service) -> None:
    stalled = threading.Thread(target=service.stall)
    stalled.start()
    url = f"http://{service.place}/page"
    found = http_run(HttpOrder(source=url, users=4, rate=40, seconds=5), service.place)
    stalled.join()
    assert set(service.asked) == {"/page"}
    assert found.requests > 60
    assert found.by_name.keys() == {"/page"}
    # four users wait, and dozens of requests are late; a closed loop would have seen only four slow ones
    assert found.spent.latency.above(400) > 20
    assert found.spent.service.above(400) < found.spent.latency.above(400) / 2
    assert found.requests + sum(found.failures.values()) == found.attempts


def test_a_service_that_does_not_answer_at_all_has_failed(service: Service) -> None:
    service.going.clear()
    order = HttpOrder(source=f"http://{service.place}/", users=3, rate=30, seconds=2, timeout_s=1)
    found = http_run(order, service.place)
    assert found.requests == 0
    assert found.failures[FailureKind.TIMEOUT] >= 3
    assert found.spent.latency.percentile(50) is None


def test_several_processes_and_a_document_of_an_api(service: Service, tmp_path: Path) -> None:
    document = {
        "openapi": "3.1.0",
        "paths": {"/broken": {"get": {}}, "/fine": {"get": {}, "post": {}}},
    }
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    order = HttpOrder(
        source=str(path), host=f"http://{service.place}", users=4, rate=40, seconds=3, processes=2
    )
    found = http_run(order, service.place)
    assert service.asked.keys() == {"/broken", "/fine"}
    assert found.failures[FailureKind.ERROR] > 10
    assert found.by_name.keys() == {"/fine"}
    assert found.left_out == ("POST /fine: it may change data",)
    assert "500" in found.errors[0]


def test_workers_elsewhere_report_what_they_find(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    at = ("127.0.0.1", free_port())
    host = f"http://{service.place}"
    order = HttpOrder(
        source=str(path), host=host, users=2, rate=40, seconds=2, far_workers=1, bind=at
    )
    locust = Path(sys.executable).parent
    with subprocess.Popen(
        ["sh", "-c", worker_command(order, path, at[0])],
        env=os.environ | {"PATH": f"{locust}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
    ):
        found = http_run(order, service.place)
    assert found.by_name.keys() == {"/mine"}
    assert found.requests > 20
    assert found.rps > 5


def test_a_locustfile_keeps_its_own_pauses(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    order = HttpOrder(source=str(path), host=f"http://{service.place}", users=2, seconds=2)
    found = http_run(order, service.place)
    assert found.spent.lag is None
    assert 5 < found.requests < 200  # without its pauses, thousands
    path.write_text("raise RuntimeError('not today')\n")
    with pytest.raises(CollectError, match="Locust failed"):
        http_run(order, service.place)


def test_nobody_there_is_counted_and_named() -> None:
    place = f"127.0.0.1:{free_port()}"
    found = http_run(HttpOrder(source=f"http://{place}/", users=2, rate=20, seconds=2), place)
    assert found.requests == 0
    assert found.failures[FailureKind.NOT_CONNECTED] > 10


def test_what_cannot_be_run_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://example.org/"
    with pytest.raises(UsageError, match=r"the service is example.org:80") as refused:
        http_run(HttpOrder(source=url), "localhost:80")
    assert refused.value.hint.endswith("--i-own-this-server example.org:80")
    for order in (
        HttpOrder(source=str(tmp_path / "none.py"), host=url),
        HttpOrder(source=str(tmp_path / "none.json"), host=url),
        HttpOrder(source="ftp://example.org/"),
        HttpOrder(source="http://me:secret@example.org:80/"),
        HttpOrder(source=url, users=0),
        HttpOrder(source=url, rate=0),
    ):
        with pytest.raises(UsageError):
            http_run(order, "example.org:80")
    (tmp_path / "no.json").write_text("[1]")
    with pytest.raises(UsageError, match="no OpenAPI document"):
        plan_of(HttpOrder(source=str(tmp_path / "no.json"), host=url), tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="Locust is not installed"):
        http_run(HttpOrder(source=url), "example.org:80")


PARAMETERS = {
    "/users/{id}": {
        "parameters": [{"$ref": "#/components/parameters/id"}],
        "get": {
            "parameters": [
                {"name": "q", "in": "query", "required": True, "schema": {"enum": ["a b"]}}
            ]
        },
    },
    "/orders/{id}": {"get": {"parameters": [{"name": "id", "in": "path", "required": True}]}},
    "/auth/logout": {"get": {}},
    "/loop": {"get": {"parameters": [{"$ref": "#/components/parameters/loop"}]}},
    "/bad": None,
}
COMPONENTS = {
    "parameters": {
        "id": {"name": "id", "in": "path", "required": True, "example": "7/8"},
        "loop": {"$ref": "#/components/parameters/loop"},
    }
}


def test_only_gets_whose_parameters_are_known_are_asked() -> None:
    tasks, left = tasks_of({"paths": PARAMETERS, "components": COMPONENTS})
    assert [task.path for task in tasks] == ["/users/7%2F8?q=a+b", "/loop"]
    assert [text.partition(":")[0] for text in left] == ["GET /orders/{id}", "GET /auth/logout"]
    assert tasks_of({"paths": ["nonsense"]}) == ((), ())


def test_the_base_of_an_api() -> None:
    servers = {"servers": [{"url": "https://api.example.org/v1/"}]}
    assert base_of(servers, None) == "https://api.example.org/v1"
    assert base_of(servers, "http://localhost:8000") == "http://localhost:8000/v1"
    assert base_of({"servers": [{"url": "/v2"}]}, None) is None
    assert base_of({"basePath": "/v3"}, "http://a") == "http://a/v3"
    assert base_of({}, "http://a/") == "http://a"


QUIET = {"cpu": 0.2, "waited": 0.0, "late_ms": 0.3, "latest_s": 0.01}


@pytest.mark.parametrize(
    ("what", "check"),
    [
        ({}, ""),
        ({"cpu": 0.97}, "generator-cpu"),
        ({"latest_s": 23.0}, "generator-lag"),
        ({"late_ms": 40.0}, "generator-lag"),
        ({"waited": 0.5}, "generator-lag"),
    ],
)
def test_a_starved_generator_is_not_believed(what: dict[str, float], check: str) -> None:
    times = HdrLatencies({23_000: 1000})
    results = LocustResults(
        seconds=10,
        failures={},
        spent=TimeSpent(latency=times, lag=times, service=times),
        by_name={},
        errors=(),
        processes=1,
        **(QUIET | what),
    )
    assert [s.check for s in spoilt_by(results, Machine(cores=2), "")] == ([check] if check else [])


def test_the_command_prints_what_came_of_it(service: Service) -> None:
    place = service.place
    url = f"http://{place}/"
    done = db_analyze(
        "stress", "--http", url, "--users", "2", "--rate", "20", "--seconds", "2",
        "--i-own-this-server", place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "requests succeeded" in done.stdout
    assert "20 requests due each second" in done.stdout
    refused = db_analyze("stress", "--http", url, "--prove", "--i-own-this-server", place)
    assert (refused.returncode, "exclude each other" in refused.stderr) == (2, True)


def test_times_of_a_spoilt_run_are_not_shown() -> None:
    times = HdrLatencies({23_000: 1000})
    spent = TimeSpent(latency=times, lag=None, service=times)
    outcome = HttpOutcome(
        order=HttpOrder(source="http://a/"),
        host="http://a",
        seconds=10,
        requests=1000,
        failures={FailureKind.TIMEOUT: 1},
        spent=spent,
        by_name={"/": spent},
        machine=Machine(cores=2),
        spoilt=(Spoilt(check="generator-cpu", text="Too slow."),),
    )
    shown = http_text(outcome)
    assert shown.startswith("Not to be believed (generator-cpu): Too slow.")
    assert " ms" not in shown
    assert "p95 23 ms" in http_text(replace(outcome, spoilt=()))
