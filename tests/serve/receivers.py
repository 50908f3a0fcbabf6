"""Receivers of notifications for tests: an HTTP server that can fail and hang, an SMTP server, a real Alertmanager."""

import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pgwatch_wed.embedded.server import free_port
from tests.serve import parts


@dataclass
class HttpReceiver:
    """What was posted; ``answers`` are the next ones (a status, "hang" or "trickle"), after which all is well."""

    url: str = ""
    answers: list[Any] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def http_receiver(port: int = 0) -> Iterator[HttpReceiver]:
    receiver = HttpReceiver()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.answers.pop(0) if receiver.answers else 200
            if answer == "hang":
                over.wait(5)
                return
            if answer == "trickle":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.05):
                    try:
                        self.wfile.write(b"X: y\r\n")
                    except OSError:
                        return
            if answer == 200:
                receiver.got.append(json.loads(content))
                receiver.headers.append(dict(self.headers))
                receiver.paths.append(self.path)
            self.send_response(answer)
            if answer == 429:
                self.send_header("Retry-After", "120")
            if answer == 302:
                self.send_header("Location", receiver.url)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@contextmanager
def alertmanager(folder: Path, config: str) -> Iterator[str]:
    """Start a real Alertmanager with this configuration; yields its address."""
    file, port = folder / "alertmanager.yml", free_port()
    file.write_text(config)
    url = f"http://127.0.0.1:{port}"
    command = [
        parts.program("prometheus-alertmanager"),
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (
        (folder / "alertmanager.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(lambda: is_ready(f"{url}/-/ready"), 20)
            yield url
        finally:
            process.terminate()


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_for(happens: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
