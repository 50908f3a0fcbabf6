"""The service of a drill: all its parts, with our rules at another speed, and a receiver of its own."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pgwatch_wed import clock
from pgwatch_wed.serve import assembly
from pgwatch_wed.serve.alerts.alerting import default_rules
from pgwatch_wed.serve.alerts.promql.number_texts import duration_ms
from pgwatch_wed.serve.settings import ServeSettings, WatchedTarget
from pgwatch_wed.serve.state import Board


@dataclass(frozen=True, slots=True)
class HeardAlert:
    """An alert as it arrived at the receiver."""

    name: str
    is_firing: bool
    at: float
    causes: tuple[Mapping[str, Any], ...] = ()


@dataclass
class Ears:
    """What arrived, oldest first, by the monotonic clock."""

    heard: list[HeardAlert] = field(default_factory=list)
    url: str = ""
    dependency_hangs: threading.Event = field(default_factory=threading.Event)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take a message in Alertmanager's format."""
        at = time.monotonic()
        for alert in message["alerts"]:
            is_firing = alert["status"] == "firing"
            self.heard.append(
                HeardAlert(alert["labels"]["alertname"], is_firing, at, tuple(alert["causes"]))
            )


@contextmanager
def listening(dependency_hangs: threading.Event) -> Iterator[Ears]:
    """Start a receiver of webhooks, which is also a dependency that can hang."""
    ears = Ears(dependency_hangs=dependency_hangs)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            ears.hear(json.loads(content))
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            while ears.dependency_hangs.is_set():
                time.sleep(0.1)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    ears.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield ears
    finally:
        server.shutdown()
        server.server_close()
        thread.join(2)


@contextmanager
def serving(dsn: str, ears: Ears, speed: float, folder: Path) -> Iterator[Board]:
    """Run all parts of the service on a server, so many times faster than by default."""
    board = Board()
    settings = assembly.ServiceSettings(
        serve=ServeSettings(
            targets=(WatchedTarget("drill", dsn),), state=str(folder), rooms=_rooms(speed)
        ),
        tables=_tables(dsn, ears.url, speed, folder),
        source="drill",
    )
    parts = assembly.parts(settings, board, lambda: clock.now().timestamp())
    for part in parts.values():
        part.start()
    try:
        yield board
    finally:
        for part in reversed(parts.values()):
            part.stop()


def _rooms(speed: float) -> Mapping[str, Mapping[str, Any]]:
    def every(seconds: float) -> float:
        return max(seconds / speed, 1.0)

    return {
        "collector": {
            "moving": every(15),
            "activity": every(60),
            "catalogs": every(3600),
            "rules": every(300),
            "budget": 1.0,
        }
    }


def _tables(dsn: str, url: str, speed: float, folder: Path) -> Mapping[str, Any]:
    rules = folder / "rules.yaml"
    rules.write_text(scaled_rules(default_rules(), speed), encoding="utf-8")
    interval = max(15 / speed, 1.0)
    probe = {
        "kind": "postgres",
        "url": dsn,
        "target": "drill",
        "essential": True,
        "interval": f"{interval} s",
        "deadline": "800 ms",
    }
    dependency = {"kind": "http", "url": url, "interval": f"{interval} s", "deadline": "800 ms"}
    return {
        "alerts": {"rules": [str(rules)], "interval": interval},
        "notify": {
            "wait": f"{30 / speed} s",
            "wait_critical": f"{5 / speed} s",
            "interval": f"{60 / speed} s",
            "receivers": {"drill": {"kind": "webhook", "url": url}},
        },
        "probes": {"database": probe, "dependency": dependency},
    }


def scaled_rules(text: str, speed: float) -> str:
    """Return rules whose waits are so many times shorter; their windows stay."""
    lines = []
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if name.strip() in ("for", "keep_firing_for") and colon:
            line = f"{name}: {max(round(duration_ms(value.strip()) / speed / 1000), 1)}s"
        lines.append(line)
    return "\n".join(lines) + "\n"
