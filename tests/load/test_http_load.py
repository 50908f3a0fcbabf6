"""Load on an HTTP service: latency from the intended start, what is asked for, and whether to believe it."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import referencing
from click.testing import CliRunner

from pgwatch_wed.cli.stress import stress
from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.load.engine.generator_machine import machine_times
from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies
from pgwatch_wed.load.http_load.http_blocks import LocustKept, http_blocks, spoilt_by
from pgwatch_wed.load.http_load.http_json import render_http
from pgwatch_wed.load.http_load.http_outcome import HttpOrder, HttpOutcome
from pgwatch_wed.load.http_load.http_profile import check_for_http, http_order
from pgwatch_wed.load.http_load.http_report import http_answered, http_report
from pgwatch_wed.load.http_load.http_run import http_run, worker_command
from pgwatch_wed.load.http_load.http_source import plan_of
from pgwatch_wed.load.http_load.http_text import http_text
from pgwatch_wed.load.http_load.locust_results import LocustBlock, LocustResults, read
from pgwatch_wed.load.http_load.openapi_tasks import base_of, tasks_of
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    FailureKind,
    LoadObjective,
    Machine,
    Order,
    Spoilt,
    TimeSpent,
)
from pgwatch_wed.load.load_pages.http_html import http_html
from pgwatch_wed.load.scenarios.load_profiles import DEFAULT_OBJECTIVES, PROFILES
from pgwatch_wed.load.scenarios.profile_file import read_profile
from pgwatch_wed.load.statistics.block_percentiles import pooled
from tests.reports import HOSTILE


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
        self.send_response(500 if self.path.startswith("/broken") else 200)
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
        self.client.get("/mine?token=geheim")
"""


def requests_of(found: HttpOutcome) -> int:
    return sum(b.transactions for b in found.blocks)


def failures_of(found: HttpOutcome) -> Counter[FailureKind]:
    return sum((Counter(b.failures) for b in found.blocks), Counter())


def names_of(found: HttpOutcome) -> set[str]:
    return {name for b in found.blocks for name in b.by_script}


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.going.set()
        found.shutdown()
        thread.join()


def test_a_stall_is_charged_to_all_that_were_due_meanwhile(
    service: Service, tmp_path: Path
) -> None:
    """In two processes, that ask what an OpenAPI document describes."""
    token = {"name": "token", "in": "query", "required": True, "example": "geheim"}
    asked = {"parameters": [token]}
    document = {
        "openapi": "3.1.0",
        "paths": {"/broken": {"get": asked}, "/fine": {"get": asked, "post": {}}},
    }
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    order = HttpOrder(
        source=str(path), host=f"http://{service.place}", users=4, rate=60, seconds=5, processes=2
    )
    stalled = threading.Thread(target=service.stall)
    stalled.start()
    found = http_run(order, service.place)
    stalled.join()
    assert service.asked.keys() == {"/broken?token=geheim", "/fine?token=geheim"}
    assert names_of(found) == {"/fine"}
    assert found.left_out == ("POST /fine: it may change data",)
    assert failures_of(found)[FailureKind.ERROR] > 10
    assert "500" in found.errors[0]
    assert len(found.blocks) == 3
    times = pooled([b.spent.latency for b in found.blocks])
    service_times = pooled([b.spent.service for b in found.blocks])
    # four users wait, and dozens of requests are late; a closed loop would have seen only four slow ones
    assert times.above(400) > 20
    assert service_times.above(400) < times.above(400) / 2
    report = http_report(found, DEFAULT_OBJECTIVES, "quick")
    for text in (http_text(report, verbose=True), render_http(report), http_html(report)):
        assert "geheim" not in text


def test_workers_elsewhere_report_what_they_find(service: Service, tmp_path: Path) -> None:
    """With a locustfile, whose own pauses count."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    at = ("127.0.0.1", free_port())
    host = f"http://{service.place}"
    order = HttpOrder(source=str(path), host=host, users=2, seconds=2, far_workers=1, bind=at)
    locust = Path(sys.executable).parent
    with subprocess.Popen(
        ["sh", "-c", worker_command(order, path, at[0])],
        env=os.environ | {"PATH": f"{locust}:{os.environ['PATH']}"},
        stderr=subprocess.DEVNULL,
    ):
        found = http_run(order, service.place)
    assert "/mine?token=geheim" in service.asked
    assert names_of(found) == {"/mine"}
    assert {b.spent.lag for b in found.blocks} == {None}
    assert 5 < requests_of(found) < 200  # without its pauses, thousands
    assert sum(b.seconds for b in found.blocks) > 1


def test_a_service_that_does_not_answer_at_all_has_failed(service: Service) -> None:
    service.going.clear()
    order = HttpOrder(source=f"http://{service.place}/", users=3, rate=30, seconds=2, timeout_s=1)
    found = http_run(order, service.place)
    assert requests_of(found) == 0
    assert failures_of(found)[FailureKind.TIMEOUT] >= 3
    answer = http_answered(LoadObjective(name="errors", limit=0.001), found)
    assert answer.answer is not Answer.PASS


def test_a_locustfile_that_fails_is_one_line(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("raise RuntimeError('not today')\n")
    order = HttpOrder(source=str(path), host=f"http://{service.place}", users=2, seconds=2)
    with pytest.raises(CollectError, match="Locust failed"):
        http_run(order, service.place)


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
        HttpOrder(source=__file__, host="http://example.org/?token=1"),
        HttpOrder(source=url, users=0),
        HttpOrder(source=url, rate=0),
    ):
        with pytest.raises(UsageError):
            http_run(order, "example.org:80")
    nobody = f"127.0.0.1:{free_port()}"
    with pytest.raises(CollectError, match="cannot be reached"):
        http_run(HttpOrder(source=f"http://{nobody}/"), nobody)
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


def kept(machine: Machine, **changes: Any) -> LocustKept:
    times = HdrLatencies({23_000: 1000})
    found = LocustBlock(
        began_s=0,
        seconds=10,
        failures={},
        ended_inside=1000,
        spent=TimeSpent(latency=times, lag=times, service=times),
        by_name={},
        least_lags_s=(0.0,) * 5,
        **({"cpu": 0.2, "waited": 0.0, "late_ms": 0.3, "latest_s": 0.01} | changes),
    )
    return LocustKept(found=found, machine=machine, processes=1)


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
    found = spoilt_by(kept(Machine(cores=2), **what))
    assert [s.check for s in found] == ([check] if check else [])


@pytest.mark.parametrize(
    ("least", "check"),
    [
        ((0.5, 2.0, 3.5, 5.0, 6.5), "over-capacity"),
        ((0.0, 0.1, 1.5, 0.8, 0.0), ""),
    ],  # a stall is none
)
def test_a_backlog_that_only_grows_is_a_failed_objective(
    least: tuple[float, ...], check: str
) -> None:
    block = replace(kept(Machine(cores=2)).found, least_lags_s=least, ended_inside=200)
    order = HttpOrder(source="http://a/", users=2, rate=80, seconds=30)
    blocks = tuple(replace(block, began_s=began) for began in (0.0, 10.0, 20.0))
    results = LocustResults(first=0.0, blocks=blocks, errors=(), processes=1)
    found = http_blocks(results, order, [machine_times(None)] * 2, 1.7e9)
    assert {s.check for b in found for s in b.spoilt} == ({check} if check else set())
    ran = HttpOutcome(order=order, host="http://a", blocks=found)
    p95 = http_answered(LoadObjective(name="p95", limit=200), ran)
    assert p95.answer is (Answer.FAIL if check else Answer.PASS)


def alive(pid: int) -> bool:
    with suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_no_load_outlives_a_killed_command(service: Service, tmp_path: Path) -> None:
    place = service.place
    command = [
        sys.executable,
        "-m",
        "pgwatch_wed",
        "stress",
        "--http",
        f"http://{place}/",
        "--rate",
    ]
    command += ["20", "--seconds", "120", "--processes", "2", "--i-own-this-server", place]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        until(lambda: bool(service.asked))
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4  # a guard, a master and two workers
        process.kill()
    until(lambda: not any(alive(p.pid) for p in family))
    until(lambda: not list(tmp_path.glob("pgwed-http-*")))


def until(is_so: Callable[[], bool]) -> None:
    """Wait, for as long as a busy machine may take."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


WRONG = [
    (["--prove"], "--http and --prove exclude"),
    (["--window", "5"], "--http and --window exclude"),
    (["--replay", "now"], "--http and --replay exclude"),
    (["--fail-on", "regression"], "--fail-on regression exclude"),
    (["--rate", "5", "--think", "1"], "a rate cannot be given together"),
    (["--profile", "none"], "there is no profile"),
    (["--rate", "nan"], "must be numbers"),
    (["--seconds", "nan"], "must be numbers"),
    (["--i-own-this-server", "b:1"], "is given once"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_what_does_not_apply_is_refused_in_one_line(options: list[str], said: str) -> None:
    refused = CliRunner().invoke(
        stress,
        ["--http", "http://example.org", "--i-own-this-server", "a:1", *options],
        standalone_mode=False,
    )
    assert isinstance(refused.exception, UsageError)
    assert said in str(refused.exception)


def test_a_report_that_could_not_be_written_costs_no_run() -> None:
    refused = CliRunner().invoke(
        stress,
        ["--http", "http://127.0.0.1:1", "--output", "/proc/nowhere"],
        standalone_mode=False,
    )
    assert "could not write to /proc/nowhere" in str(refused.exception)


@pytest.mark.parametrize("option", [["--host", "http://a"], ["--processes", "1"]])
def test_without_http_its_options_are_refused(option: list[str]) -> None:
    refused = CliRunner().invoke(stress, option, standalone_mode=False)
    assert isinstance(refused.exception, UsageError)
    assert "--http" in refused.exception.hint


def test_a_profile_that_is_about_a_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for text in (
        "scale = 2\n[seconds]\nsteady = 30",
        "clients = 2\n[seconds]\nsteady = 30",
        "[seconds]\nsteady = 30\nramp = 30",
        "[seconds]\nsteady = 30\n[scenarios]\nhot-row = 1",
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match="is about a database"):
            check_for_http(read_profile(path))
    path.write_text('rate = 7\nobjectives = ["p99 < 1 s"]\n[seconds]\nsteady = 30')
    check_for_http(read_profile(path))
    assert http_order(read_profile(path), source="http://a").rate == 7
    check_for_http(PROFILES["heavy"])


@pytest.mark.parametrize(
    ("seconds", "blocks"), [(0.5, 1), (2, 2), (5, 3), (25, 3), (30, 3), (60, 6), (65, 6)]
)
def test_blocks_are_as_long_as_usual_unless_too_few_fit(seconds: float, blocks: int) -> None:
    order = HttpOrder(source="", seconds=seconds)
    assert order.blocks == blocks
    assert order.blocks * order.block_s == pytest.approx(seconds)


def head(**changes: Any) -> dict[str, Any]:
    return {
        "is_master": False,
        "first": 100.0,
        "last": 131.0,
        "marks": [[0, 100.0, 0.0, 0.0], [1, 110.0, 1.0, 0.5], [2, 120.0, 10.0, 0.5], [4, 131.0, 11.1, 0.5]],
        "late": {"0": [0.1, 100, 0.01], "1": [0.0, 0, 0.0], "2": [0.2, 100, 2.0], "3": [0.0, 1, 0.0]},
        "errors": ["no"],
        "pending": {"2": {"skipped": 3}, "3": {"timeout": 1}},
        "parts": {},
    } | changes  # fmt: skip


def part(us: int, number: int) -> dict[str, Any]:
    kinds = {kind: {str(us): number} for kind in ("latency", "lag", "service")}
    return {"times": {"/": kinds}, "failures": {}, "least": [0.1] * 5, "ended": number}


def written(folder: Path, *lines: dict[str, Any], name: str = "1.jsonl") -> None:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"half')


def test_what_processes_wrote_adds_up_by_block(tmp_path: Path) -> None:
    written(
        tmp_path,
        head(parts={"0": part(1000, 5)}),
        head(parts={"0": part(2000, 1), "1": part(1000, 5), "3": part(5000, 2)}),
    )
    written(tmp_path, head(parts={"0": part(1000, 4)}, first=7.0, last=37.0), name="far-0.jsonl")
    written(tmp_path, head(is_master=True), name="3.jsonl")
    found = read(tmp_path, is_open=True, blocks=3, block_s=10)
    assert found is not None
    assert (found.first, found.processes) == (100.0, 2)
    assert [b.spent.latency.count for b in found.blocks] == [10, 5, 2]
    assert [b.seconds for b in found.blocks] == [10, 10, 11]
    assert found.blocks[2].failures == {FailureKind.SKIPPED: 6, FailureKind.TIMEOUT: 2}
    assert [round(b.cpu, 2) for b in found.blocks] == [0.1, 0.9, 0.1]
    assert [b.latest_s for b in found.blocks] == [0.01, 0.0, 2.0]
    cut = read(tmp_path, is_open=True, blocks=3, block_s=10, is_cut=True)
    assert cut is not None
    assert cut.blocks[2].failures == {}
    assert read(tmp_path / "none", is_open=True, blocks=3, block_s=10) is None


def outcome(
    rate: float | None = 100, ms: float = 50, ended_early: str = "", **b: Any
) -> HttpOutcome:
    order = HttpOrder(source="http://a/", rate=rate, users=4)
    times = HdrLatencies({int(ms * 1000): 1500})
    spent = TimeSpent(latency=times, lag=None, service=times)
    block = Block(
        order=Order(scripts=(), clients=4, rate=rate),
        began=1.7e9, seconds=10, transactions=1500, failures={}, retries=0, spent=spent,
        by_script={"/a": spent}, work=None, machine=Machine(cores=2),
    )  # fmt: skip
    blocks = (replace(block, **b), block, block) if b else (block,) * 4
    return HttpOutcome(order=order, host="http://a", blocks=blocks, ended_early=ended_early)


@pytest.mark.parametrize(
    ("found", "p95", "errors"),
    [
        (outcome(), "pass", "pass"),
        (outcome(ms=300), "fail", "pass"),
        (outcome(rate=None), "unknown", "pass"),
        (outcome(rate=None, ms=300), "fail", "pass"),
        (outcome(ended_early="interrupted"), "pass", "unknown"),
        (outcome(failures={FailureKind.ERROR: 1500}), "pass", "unknown"),  # in one block of three
    ],
)
def test_objectives_of_a_service(found: HttpOutcome, p95: str, errors: str) -> None:
    report = http_report(found, DEFAULT_OBJECTIVES, "quick")
    answers = {o.objective.name: o.answer.value for o in report.objectives}
    assert answers == {"p95": p95, "errors": errors}
    http_schema().validate(json.loads(render_http(report)))
    assert "transaction" not in http_text(report) + re.sub(
        "<style>.*</style>", "", http_html(report), flags=re.DOTALL
    )


def test_times_of_a_spoilt_run_are_not_shown() -> None:
    good = outcome()
    bad = replace(good.blocks[0], spoilt=(Spoilt(check="generator-cpu", text="Too slow."),))
    spoilt = http_report(replace(good, blocks=(bad,) * 4), DEFAULT_OBJECTIVES, "quick")
    text, page = http_text(spoilt), http_html(spoilt)
    assert text.splitlines()[1].startswith("The measured times CANNOT BE BELIEVED")
    assert "Too slow" in text
    assert "p95 50 ms" not in text + page
    assert page.index("cannot be believed") < page.index(">Measured</h2>")
    assert "unknown" in {o.answer.value for o in spoilt.objectives}
    assert "p95 50 ms" in http_text(http_report(good, DEFAULT_OBJECTIVES, "quick"))


def test_what_a_service_says_is_text_on_the_page() -> None:
    hostile = "<script>alert(1)</script>" + HOSTILE
    found = outcome()
    bad = replace(found, host=hostile, errors=(hostile,), left_out=(hostile,), ended_early=hostile)
    page = http_html(http_report(bad, DEFAULT_OBJECTIVES, hostile))
    assert "<script" not in page
    assert re.findall(r"<script|<link|<img|<iframe", page) == []
    good = http_html(http_report(found, DEFAULT_OBJECTIVES, "quick"))
    assert re.findall(r"<script|<link|<img|<iframe| on\w+=| style=", good) == []
    ids = re.findall(r' id="([^"]+)"', good)
    assert set(re.findall(r'href="#([^"]+)"', good)) <= set(ids)
    assert "script-src 'none'" in page.replace("&#39;", "'")


@pytest.mark.parametrize(
    ("found", "options", "status"),
    [
        (outcome(), ["--fail-on", "slo,unknown"], 0),
        (outcome(ms=300), [], 0),
        (outcome(ms=300), ["--fail-on", "slo"], 1),
        (outcome(rate=None), ["--fail-on", "slo"], 0),
        (outcome(rate=None), ["--fail-on", "unknown"], 1),
        (outcome(ms=300, ended_early="interrupted"), ["--fail-on", "slo"], 130),
    ],
)
def test_the_command_delivers_and_ends_as_for_a_database(
    found: HttpOutcome,
    options: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What Locust found is given: runs of it are above."""
    ordered: list[HttpOrder] = []

    def given(order: HttpOrder, *_: Any, **__: Any) -> HttpOutcome:
        ordered.append(order)
        return found

    monkeypatch.setattr("pgwatch_wed.cli.stress_http.http_run", given)
    profile = tmp_path / "mine.toml"
    profile.write_text(
        'rate = 7\nobjectives = ["p95 < 200 ms"]\n[seconds]\nsteady = 6\nblock = 2\n'
    )
    out = tmp_path / "out"
    common = ["--http", "http://a/", "--profile", str(profile), "--output", str(out)]
    done = CliRunner().invoke(stress, [*common, "--i-own-this-server", "a:80", *options])
    # as a command, what it returns is the status
    result = stress.main([*common, "--quiet", *options], standalone_mode=False)
    assert result == status
    assert [(o.rate, o.seconds, o.blocks) for o in ordered] == [(7, 6, 3)] * 2
    assert "http://a · profile mine" in done.stdout
    assert ("interrupted" in done.stderr) is (status == 130)
    names = {path.name.partition("-")[0] + path.suffix for path in out.iterdir()}
    assert names == {"report.html", "report.json"}
    for path in out.glob("*.json"):
        document = json.loads(path.read_text())
        http_schema().validate(document)
        assert [o["name"] for o in document["objectives"]] == ["p95"]


def http_schema() -> jsonschema.Draft202012Validator:
    docs = Path(__file__).parent.parent.parent / "docs"
    names = ("report.schema.json", "stress.schema.json", "http-stress.schema.json")
    schemas = [json.loads((docs / name).read_text(encoding="utf-8")) for name in names]
    registry = referencing.Registry().with_resources(
        [(s["$id"], referencing.Resource.from_contents(s)) for s in schemas]
    )
    return jsonschema.Draft202012Validator(schemas[-1], registry=registry)
