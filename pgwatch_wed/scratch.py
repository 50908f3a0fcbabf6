"""Temporary directories that do not outlive their process for long, even if it was killed.

Such a directory is locked as long as it is in use. The lock dies with the process, so the next one tells by it what was
left over, whatever has become of process IDs, and in whichever container the other runs.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "pgwedtmp-"


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """Yield a new directory that only we can enter, and remove it, and those that were left over, too."""
    sweep_scratch()
    folder, lock = _locked(f"{_PREFIX}{kind}-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep_scratch() -> None:
    """Remove the directories of processes that are gone; only those of our own user."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # somebody else's, in use, or gone
            lock = _lock(folder)
            try:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            lock = _lock(folder)
        except (FileNotFoundError, BlockingIOError):  # swept before it was locked
            continue
        except OSError:  # no locks on this file system, so nobody sweeps there, either
            return folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if _is(folder, lock):
            return folder, lock
        os.close(lock)


def _lock(folder: Path) -> int:
    """Open a directory of our user and lock it; raises :class:`OSError` if it is not ours, or in use."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(opened).st_uid != os.geteuid():
            raise PermissionError(folder)
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _is(folder: Path, opened: int) -> bool:
    """Tell whether a directory is still what was opened."""
    with contextlib.suppress(OSError):
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and os.path.samestat(found, os.fstat(opened))
    return False
