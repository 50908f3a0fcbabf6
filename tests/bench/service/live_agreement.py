"""Our evaluator and a real Prometheus, live on the same process: which alerts are pending and which fire.

python -m tests.bench.service.live_agreement [--rounds N]

A process exposes gauges and counters that change every 20 s; Prometheus scrapes it and evaluates every second, and so do
we. They are compared at the end of each round, when both have seen it: a moment in between is up to a second apart.
"""

import argparse
import json
import random
import tempfile
import threading
import time
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.serve.alerts.alert_settings import AlertSettings
from pgwatch_wed.serve.alerts.alerting import Alerting
from pgwatch_wed.serve.alerts.rule_files import parse
from pgwatch_wed.serve.state import Board, Family, Sample
from tests.serve.parts import process, program

ROUND_S = 20
RULES = """
groups:
- name: live
  rules:
  - alert: GaugeHigh
    expr: live_gauge > 50
    for: 5s
  - alert: GaugeHighKept
    expr: live_gauge > 50
    keep_firing_for: 30s
  - alert: Rate
    expr: sum by (on) (rate(live_total[10s])) > 5
    for: 3s
  - alert: Increase
    expr: increase(live_total[15s]) >= 40
  - alert: Ratio
    expr: rate(live_total{on="a"}[10s]) / ignoring (on) rate(live_total{on="b"}[10s]) > 2
  - alert: Absent
    expr: absent(live_gauge{on="a"})
    for: 4s
  - alert: Average
    expr: avg_over_time(live_gauge[10s]) > 60
  - alert: Pending
    expr: live_gauge > 20
    for: 1h
"""


class Values:
    """What the process exposes."""

    def __init__(self) -> None:
        self.families: tuple[Family, ...] = ()

    def text(self) -> bytes:
        lines = []
        for family in self.families:
            lines.append(f"# TYPE {family.name} {family.kind}")
            for s in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in s.labels)
                lines.append(f"{s.name}{{{labels}}} {s.value}")
        return ("\n".join(lines) + "\n").encode()


def changing(values: Values, rng: random.Random, stopped: threading.Event) -> None:
    totals = dict.fromkeys("abc", 0.0)
    while not stopped.is_set():
        gauges = {on: rng.uniform(0, 100) for on in "abc" if rng.random() < 0.8}
        paces = {on: rng.choice((0, 1, 4, 12)) for on in "abc"}
        if rng.random() < 0.3:
            totals["b"] = 0.0
        for _ in range(ROUND_S * 4):
            for on in totals:
                totals[on] += paces[on] / 4
            values.families = (
                Family("live_gauge", "gauge", "", tuple(_sample("live_gauge", gauges))),
                Family("live_total", "counter", "", tuple(_sample("live_total", totals))),
            )
            if stopped.wait(0.25):
                return


def _sample(name: str, of: dict[str, float]) -> list[Sample]:
    return [Sample(name, (("on", on),), value) for on, value in of.items()]


def theirs(port: int) -> set[tuple[str, str, str]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/alerts") as answer:
        alerts = json.load(answer)["data"]["alerts"]
    return {(a["labels"]["alertname"], a["labels"].get("on", ""), a["state"]) for a in alerts}


def ours(board: Board) -> set[tuple[str, str, str]]:
    return {
        (a.name, dict(a.labels).get("on", ""), a.state)
        for a in board.state.alerts
        if a.state != "resolved"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    values, stopped = Values(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(values.text())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(RULES)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{folder}/rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": "live",
                    "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
                    "metric_relabel_configs": [{"regex": "instance|job", "action": "labeldrop"}],
                }
            ],
        }
        (Path(folder) / "p.json").write_text(json.dumps(config))
        command = (
            program("prometheus"),
            f"--config.file={folder}/p.json",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        )
        with process(*command, port=port):
            agreed, differences = compared(values, port, rounds, stopped)
    server.shutdown()
    print(f"{agreed + len(differences)} comparisons, {len(differences)} differences")
    for difference in differences:
        print(difference)
    raise SystemExit(1 if differences else 0)


def compared(
    values: Values, port: int, rounds: int, stopped: threading.Event
) -> tuple[int, list[str]]:
    board = Board()
    settings = AlertSettings(interval_s=1.0, prometheus="2")
    alerting = Alerting(board, settings, groups=parse(RULES, "r"), now=time.time)
    threading.Thread(target=changing, args=(values, random.Random(7), stopped), daemon=True).start()
    began, agreed, differences = time.monotonic(), 0, []
    for second in range(rounds * ROUND_S):
        board.change(lambda s: replace(s, families={"live": values.families}))
        alerting.run_once(time.time())
        if second % ROUND_S >= ROUND_S - 3:
            mine, other = ours(board), theirs(port)
            everything = mine | other
            agreed += len(mine & other)
            differences += [
                f"{second} s: {a} {'ours' if a in mine else 'theirs'}"
                for a in sorted(everything - (mine & other))
            ]
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    stopped.set()
    return agreed, differences


if __name__ == "__main__":
    main()
