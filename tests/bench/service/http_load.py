"""1,000 requests a second on two cores, while two probes hang and 5,000 series are scraped.

``python -m tests.bench.service.http_load [--seconds N] [--rate N]`` (needs ``hey``). It starts the service as a process,
with a probe over HTTP and one of PostgreSQL whose peers accept connections and never answer, and with a part that renders
5,000 series every second; asks for /api/health at the rate while /metrics is scraped every second; and prints
latencies, the CPU time of the service, and how loaded the machine was.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import psutil

from pgwatch_wed.serve import assembly, service
from pgwatch_wed.serve.metrics.metrics_text import rendered
from pgwatch_wed.serve.state import Board, Family, Sample, ServiceState
from tests.serve.running import environment

SERIES = 5000
CONNECTIONS = 20


class Painter:
    """Renders so many series every second, as collections do."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        pass

    def _run(self) -> None:
        step = 0
        while True:
            step += 1
            labels = [(("table", f"table_{n}"), ("target", "shop")) for n in range(SERIES)]
            samples = tuple(Sample("bench_rows", pair, float(step)) for pair in labels)
            page = rendered([Family("bench_rows", "gauge", "of the benchmark", samples)])
            self._board.change(partial(_with, page))
            time.sleep(1)


def _with(page: bytes, state: ServiceState) -> ServiceState:
    return replace(state, rendered={**state.rendered, "bench": page})


def served(config: Path) -> None:
    """Run the service until it is told to stop."""
    running = service.Service(assembly.load(config, "127.0.0.1:0"))
    running.parts["painter"] = Painter(running.board)
    running.run(lambda url: print(url, flush=True))


def configuration(port: int, state: Path) -> str:
    return f"""
[serve]
requests_per_second = 100000
state = "{state}"

[probes.api]
kind = "http"
url = "http://127.0.0.1:{port}/"
interval = "5 s"
deadline = "4 s"

[probes.database]
kind = "postgres"
url = "host=127.0.0.1 port={port} dbname=shop sslmode=disable"
interval = "5 s"
deadline = "4 s"
"""


def hold(listener: socket.socket) -> None:
    """Accept connections and never answer."""
    kept = []
    while True:
        kept.append(listener.accept())


def scrape(url: str, ending: threading.Event, times: list[float]) -> None:
    with httpx.Client() as client:
        while not ending.wait(1):
            begun = time.monotonic()
            text = client.get(f"{url}metrics").text
            times.append(time.monotonic() - begun)
            assert text.count("bench_rows{") == SERIES


def figures(said: str) -> dict[str, str]:
    found = {
        f"p{p}": f"{float(s) * 1000:.1f} ms"
        for p, s in re.findall(r"(\d+)%? in ([\d.]+) secs", said)
    }
    [slowest] = re.findall(r"Slowest:\s+([\d.]+)", said)
    found["slowest"] = f"{float(slowest) * 1000:.1f} ms"
    found["requests/s"] = re.findall(r"Requests/sec:\s+([\d.]+)", said)[0]
    answers = re.findall(r"\[(\d+)\]\s+(\d+) responses", said)
    return found | {"answers": ", ".join(f"{count} of {status}" for status, count in answers)}


def measure(url: str, pid: int, seconds: int, rate: int) -> None:
    process, ending, times = psutil.Process(pid), threading.Event(), list[float]()
    scraper = threading.Thread(target=scrape, args=(url, ending, times))
    scraper.start()
    before, loads = process.cpu_times(), [os.getloadavg()[0]]
    hey = [*("hey", "-z", f"{seconds}s", "-c", str(CONNECTIONS), "-q", str(rate // CONNECTIONS))]
    done = subprocess.run([*hey, f"{url}api/health"], capture_output=True, text=True, check=True)
    after = process.cpu_times()
    ending.set()
    scraper.join()
    spent = after.user + after.system - before.user - before.system
    for name, text in figures(done.stdout).items():
        print(f"{name:>12}: {text}")
    print(f"{'scrapes':>12}: {len(times)} of {SERIES} series, slowest {max(times) * 1000:.0f} ms")
    print(f"{'CPU':>12}: {spent / seconds:.0%} of a core, with what else the service did")
    print(
        f"{'load':>12}: {loads[0]:.1f} before, {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} cores"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        served(given.serve)
        return 0
    if shutil.which("hey") is None:
        print("hey is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as hole:
        threading.Thread(target=hold, args=(hole,), daemon=True).start()
        config = Path(folder) / "f.toml"
        config.write_text(configuration(hole.getsockname()[1], Path(folder) / "state"))
        command = [sys.executable, "-m", "tests.bench.service.http_load", "--serve", str(config)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment({}))
        assert child.stdout is not None
        try:
            url = child.stdout.readline().strip()
            time.sleep(13)  # both probes hang by now
            health = httpx.get(f"{url}api/health").json()
            for checks in health["checks"].values():
                print(
                    f"{checks[0]['componentId']:>12}: {checks[0]['status']}, {checks[0].get('reason')}"
                )
            measure(url, child.pid, given.seconds, given.rate)
        finally:
            child.terminate()
            child.wait(5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
