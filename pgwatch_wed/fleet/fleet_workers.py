"""Who visits: names of processes that tell, on the same machine, whether they still run."""

import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress


def worker_name() -> str:
    """Return a name for this process that no other has had."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def dead(workers: Iterable[str], ours: str) -> list[str]:
    """Return those that ran on this machine and no longer do; of others nothing is known."""
    return [each for each in workers if _is_dead(each, ours)]


def _is_dead(worker: str, ours: str) -> bool:
    if worker == ours or worker.count(":") < 2:
        return False
    host, pid, _ = worker.rsplit(":", 2)
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    if int(pid) == os.getpid():  # a container's first process always has the same number
        return True
    with suppress(PermissionError):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
    return False
