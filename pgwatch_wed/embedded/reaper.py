"""Stops and removes clusters whose owner is gone, for whatever reason.

``embedded`` starts this file as a separate process and tells it through a pipe which directories it
has. When the pipe ends, because the owner was terminated or killed, what is left is removed. It is run
by path, so it imports nothing of this package.
"""

import contextlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil


def watch(lines: Iterable[str]) -> None:
    """Read ``["+", folder]`` and ``["-", folder]`` to the end; remove the directories that remain."""
    folders: set[Path] = set()
    for line in lines:
        verb, folder = json.loads(line)
        (folders.add if verb == "+" else folders.discard)(Path(folder))
    for folder in folders:
        stop_postmaster(folder / "data")
        remove(folder)


def stop_postmaster(data: Path, patience_s: float = 10) -> None:
    """Stop the server of a cluster immediately; its data will be removed, so nothing is saved."""
    processes = list(_postmasters(data))
    for blow in (signal.SIGQUIT, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.send_signal(blow)
        processes = _still_there(processes, patience_s)


def _still_there(processes: list[psutil.Process], patience_s: float) -> list[psutil.Process]:
    deadline = time.monotonic() + patience_s
    while (left := [p for p in processes if _lives(p)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _lives(process: psutil.Process) -> bool:
    # A container's first process may never reap zombies; psutil's own wait would wait for it.
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _postmasters(data: Path) -> Iterator[psutil.Process]:
    with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        process = psutil.Process(pid)
        if _serves(process, data):
            yield process
        return
    # If interrupted while starting, the server may be running but not have written its file yet.
    for process in psutil.process_iter():
        if _serves(process, data):
            yield process


def _serves(process: psutil.Process, data: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return str(data) in process.cmdline()
    return False


def remove(folder: Path) -> None:
    """Remove a directory; retry while dying processes still write into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    watch(sys.stdin)
