"""What a program prints: within a time, with its whole process group ended afterwards, and never a shell."""

import contextlib
import os
import re
import select
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path

from pgwatch_wed.errors import redact
from pgwatch_wed.fleet.inventory.listing import SourceFailureError
from pgwatch_wed.fleet.inventory.source_text import check_size, decoded

_LOOK_S = 0.2
_AFTER_S = 1.0
_MOST_SAID = 200
_SECRET = re.compile(
    "passw|pwd|secret|token|bearer|credential|authorization|://[^/]*@", re.IGNORECASE
)


def output_of(command: str, folder: Path, timeout_s: float, stop: threading.Event) -> str:
    """Return the standard output of a command that ends with status 0 in time.

    A relative path of a program begins in ``folder``. Raises a failure that says what went wrong, with the last
    line that the program printed on standard error.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SourceFailureError(f"the command cannot be read: {error}") from None
    if "/" in words[0]:
        words[0] = str((folder / Path(words[0]).expanduser()).absolute())
    try:
        process = subprocess.Popen(  # noqa: S603 - what the user asked for, without a shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is not valid"
        raise SourceFailureError(f"it cannot be run: {why}") from None
    try:
        out, err = _both(process, time.monotonic() + timeout_s, timeout_s, stop)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if process.returncode:
        raise SourceFailureError(f"it exits with {_status(process.returncode)}{_last_line(err)}")
    return decoded(out)


def _both(
    process: subprocess.Popen[bytes], deadline: float, timeout_s: float, stop: threading.Event
) -> tuple[bytes, bytes]:
    """Read both pipes until the program has ended; what it left running may still hold them."""
    assert process.stdout is not None
    assert process.stderr is not None
    read: dict[int, list[bytes]] = {process.stdout.fileno(): [], process.stderr.fileno(): []}
    first, second = read
    is_open, size, ended = {first, second}, 0, 0.0
    while is_open or process.poll() is None:
        now = time.monotonic()
        if process.poll() is not None:
            ended = ended or now
            if now - ended > _AFTER_S:
                break
        if now > deadline or stop.is_set():
            raise SourceFailureError(f"it did not end within {timeout_s:g} s")
        if not is_open:
            time.sleep(0.01)
            continue
        for descriptor in select.select(list(is_open), [], [], _LOOK_S)[0]:
            part = os.read(descriptor, 1024**2)
            size += len(part)
            check_size(size)
            read[descriptor].append(part)
            if not part:
                is_open.discard(descriptor)
    return b"".join(read[first]), b"".join(read[second])


def _status(code: int) -> str:
    if code > 0:
        return f"status {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


def _last_line(err: bytes) -> str:
    """Return what the program said last, without what looks like a password."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    if _SECRET.search(lines[-1]):
        return "; what it says is not shown, since it may hold a secret"
    return f": {redact(lines[-1])[:_MOST_SAID]}"
