"""Starts a PgBouncer, and ends it and removes its directory when whoever wanted it is gone, for whatever reason.

It is told by the first line of its standard input what to start, and answers with one line. When that pipe ends, because
its owner is done, was terminated or killed, it cleans up. It is run by path, so it imports nothing of this package.
"""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PATIENCE_S = 5.0


def guard(order: Mapping[str, Any]) -> None:
    """Run a pooler until standard input ends."""
    folder = Path(order["folder"])
    process = None
    try:
        answer: dict[str, Any] = {}
        try:
            _allow(int(order["descriptors"]))
            process = _started(order, folder)
            answer["pid"] = process.pid
        except _TooFewError as error:
            answer["hard_limit"] = error.hard
        except OSError as error:
            answer["error"] = str(error)
        with contextlib.suppress(OSError):  # nobody is there to be told
            print(json.dumps(answer), flush=True)  # noqa: T201 - its protocol
        sys.stdin.read()
    finally:
        if process is not None:
            end(process)
        remove(folder)


class _TooFewError(Exception):
    """The hard limit of open files is lower than needed."""

    def __init__(self, hard: int) -> None:
        self.hard = hard


def _allow(descriptors: int) -> None:
    """Raise the limit of open files, which the pooler inherits; root may raise the hard one, too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= descriptors:
        return
    most = hard if hard == resource.RLIM_INFINITY else max(hard, descriptors)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, most))
    except (ValueError, OSError):
        raise _TooFewError(hard) from None


def _started(order: Mapping[str, Any], folder: Path) -> subprocess.Popen[bytes]:
    user = order["user"]
    # The directory belongs to the pooler's user: nothing of that user's making is followed.
    with (folder / "output").open("xb") as output:
        process = subprocess.Popen(  # noqa: S603 - the pooler, arguments are a list
            order["command"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
            cwd="/",
        )
    # The next start looks for it here, if this process, too, is killed.
    with (folder / "pooler.pid").open("x", encoding="ascii") as file:
        file.write(str(process.pid))
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End the pooler, by force if it does not."""
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove(folder: Path) -> None:
    """Remove a directory; retry while something still writes into it."""
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.setsid()  # Ctrl-C in a terminal is not for this process
    guard(json.loads(sys.stdin.readline() or "{}"))
