"""Starts Locust, and ends it when whoever wanted the load is gone, for whatever reason: no load outlives its owner.

The first line of its standard input names the directory, the next what to run in it, and the line ``end`` ends Locust so
that it writes what it found. When the pipe ends, because its owner is done, was terminated or killed, Locust is killed with all that it started,
and its directory is removed. It is run by path, so it imports nothing of this package.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CODE = "locust.code"
"""The file in the directory that holds the exit status of Locust, once it has ended."""


def guard(lines: Iterator[str]) -> None:
    """Run Locust until the lines end."""
    place = json.loads(next(lines, "null"))
    if place is None:
        return
    folder = Path(place["folder"])
    process: subprocess.Popen[bytes] | None = None
    try:
        for line in lines:
            if process is None:
                process = _started(json.loads(line), folder)
                threading.Thread(target=_wait, args=(process, folder), daemon=True).start()
            elif line.strip() == "end":
                _blow(process, signal.SIGTERM)
                _later(float(place["patience_s"]), process)
    finally:
        if process is not None:
            _blow(process, signal.SIGKILL)
            process.wait()
        remove(folder)


def _started(order: Mapping[str, Any], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "locust.log").open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, arguments are a list
            order["command"],
            env={**os.environ, **order["environment"]},
            cwd=order["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group of its own, with all that it starts
        )


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    code = process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what it left behind
    with contextlib.suppress(OSError):
        part = folder / f"{CODE}.part"
        part.write_text(str(code), encoding="ascii")
        part.rename(folder / CODE)


def _blow(process: subprocess.Popen[bytes], blow: int) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, blow)


def _later(patience_s: float, process: subprocess.Popen[bytes]) -> None:
    timer = threading.Timer(patience_s, _blow, (process, signal.SIGKILL))
    timer.daemon = True
    timer.start()


def remove(folder: Path) -> None:
    """Remove a directory; retry while something still writes into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    guard(iter(sys.stdin))
