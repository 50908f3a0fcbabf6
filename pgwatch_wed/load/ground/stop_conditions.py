"""What ends a load test before its time: polled some times a second, so each check is cheap, and the server is asked seldom."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgwatch_wed import units
from pgwatch_wed.errors import said
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.ground.server_answer import load_sql
from pgwatch_wed.load.ground.stress_objects import WritingSession
from pgwatch_wed.load.load_model import ALL_LOST, Block, Ground

_ASK_EVERY_S = 2.0
_FEW_ATTEMPTS = 100
_WAL_SEGMENT = 16 * 1024**2
_SERVER, _LOG = "the server", "the server's log"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLimits:
    """When to stop.

    ``seconds``: of all blocks together; filling tables takes what it takes. ``free_share`` and ``free_bytes``: whichever is reached first; ``growth_bytes`` is for a server whose disk
    cannot be seen. ``connections``: share of those that everybody may use; None on a server of our own.
    """

    seconds: float | None = None
    errors: float = 0.5
    free_share: float = 0.1
    free_bytes: int = 2 * 1024**3
    growth_bytes: int = 10 * 1024**3
    connections: float | None = 0.8


@dataclass(frozen=True, slots=True)
class NearLimits:
    """What a server told; ``wal_bytes`` is None if we may not know."""

    connections: int
    usable: int
    database_bytes: int
    wal_bytes: int | None

    @property
    def written_bytes(self) -> int:
        """What grows under load."""
        return self.database_bytes + (self.wal_bytes or 0)


@dataclass(slots=True)
class StopConditions:
    """Call it: the reason to stop, or "". Blocks that have run are reported to :meth:`seen`.

    ``folders``: where the server writes, and what is there. ``notes``: what cannot be watched.
    ``has_failed``: the reason is that the server failed. Use :func:`stop_conditions`.
    """

    limits: StopLimits
    session: WritingSession
    folders: Mapping[Path, str]
    notes: tuple[str, ...] = ()
    reason: str = ""
    first: NearLimits | None = None
    has_failed: bool = False
    _loaded_s: float = 0.0  # in blocks that have ended
    _since: float | None = None  # when the block that runs began
    _asked: float = float("-inf")

    def __call__(self) -> str:
        """Return why to stop, once there is a reason always the same."""
        self.reason = self.reason or self._overdue() or self._disk() or self._server()
        return self.reason

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Count the time of the ``with`` block, in which a block runs."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._loaded_s, self._since = self._loading_s(), None

    def _loading_s(self) -> float:
        return self._loaded_s + (0.0 if self._since is None else time.monotonic() - self._since)

    def seen(self, block: Block) -> None:
        """Take note of a block's failures."""
        if block.ended_early == ALL_LOST:
            full = self._full()
            self.has_failed = self.has_failed or bool(full and not self.reason)
            self.reason = self.reason or full
            self._asked = float("-inf")  # is the server still there?
        if block.attempts >= _FEW_ATTEMPTS and not self.reason:
            share = sum(block.failures.values()) / block.attempts
            if share > self.limits.errors:
                self.reason = (
                    f"{share:.0%} of the transactions failed (limit {self.limits.errors:.0%})"
                )

    def _overdue(self) -> str:
        limit = self.limits.seconds
        if limit is not None and self._loading_s() > limit:
            return f"the time limit of {limit:.0f} s is reached"
        return ""

    def _disk(self) -> str:
        for folder, what in self.folders.items():
            try:
                disk = os.statvfs(folder)
            except OSError as error:
                return f"the disk of the server can no longer be read: {error.strerror}"
            free, whole = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
            limit = max(self.limits.free_bytes, self.limits.free_share * whole)
            if free < limit:
                of = f"{units.size(free)} of {units.size(whole)}"
                return f"the disk of {what} has only {of} free (limit {units.size(limit)})"
        return ""

    def _full(self) -> str:
        """Return which disk is full, for a server that has failed: it needs a whole segment of WAL at once."""
        for folder, what in self.folders.items():
            with suppress(OSError):
                disk = os.statvfs(folder)
                if disk.f_bavail * disk.f_frsize < _WAL_SEGMENT:
                    return f"the disk of {what} is full"
        return ""

    def _server(self) -> str:
        if time.monotonic() - self._asked < _ASK_EVERY_S:
            return ""
        try:
            near = near_limits(self.session)
        except psycopg.Error as error:
            self.has_failed = True
            return self._full() or f"the server does not answer: {said(error)}"
        self._asked = time.monotonic()
        self.first = self.first or near
        return self._connections(near) or self._growth(near, self.first)

    def _connections(self, near: NearLimits) -> str:
        limit = self.limits.connections
        if limit is None or near.connections <= limit * near.usable:
            return ""
        return f"{near.connections} of {near.usable} connections are in use (limit {limit:.0%})"

    def _growth(self, near: NearLimits, first: NearLimits) -> str:
        grown = near.written_bytes - first.written_bytes
        if self.folders or grown <= self.limits.growth_bytes:
            return ""
        return f"database and WAL have grown by {units.size(grown)}, and the server's disk cannot be seen"


def near_limits(session: WritingSession) -> NearLimits:
    """Ask a server how near it is to its limits."""
    row = session.execute(load_sql("ground_limits")).fetchone()
    assert row is not None
    connections, usable, database_bytes, sees_wal = row
    wal = session.execute(load_sql("ground_wal")).fetchone() if sees_wal else None
    return NearLimits(connections, usable, database_bytes, wal[0] if wal else None)


@contextmanager
def stop_conditions(ground: Ground, limits: StopLimits | None = None) -> Iterator[StopConditions]:
    """Watch a ground, over a session of our own."""
    with connected(ground) as session:
        folders = written_folders(session, ground.data_directory)
        first = near_limits(session)
        notes = () if folders else (_blind(first),)
        yield StopConditions(limits or StopLimits(), session, folders, notes, first=first)


def _blind(first: NearLimits) -> str:
    what = "the database" if first.wal_bytes is None else "the database and the WAL"
    return f"free disk space is unknown, since the server's files cannot be seen: the growth of {what} is limited instead"


def written_folders(session: WritingSession, data: Path | None) -> dict[Path, str]:
    """Return where a server writes, each of which may be a file system of its own, and what it has there."""
    if data is None:
        return {}
    found = {data: _SERVER, data / "pg_wal": "the server's WAL", data / "log": _LOG}
    row = session.execute(load_sql("ground_folders")).fetchone()
    assert row is not None
    log_directory, tablespaces = row
    found |= {data / log_directory: _LOG} if log_directory else {}  # joined: it may be absolute
    found |= {data / each: "a tablespace" for each in tablespaces}
    if (stderr := _stderr_folder(data)) is not None:
        found.setdefault(stderr, _LOG)
    found.setdefault(data.parent, _SERVER)
    return {folder: what for folder, what in found.items() if folder.is_dir()}


def _stderr_folder(data: Path) -> Path | None:
    """Return where the file is that the server's messages go to without a logging collector, if we may know."""
    with suppress(OSError, ValueError, IndexError):
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        file = Path(f"/proc/{pid}/fd/2").readlink()
        return file.parent if file.is_absolute() and file.is_file() else None
    return None
