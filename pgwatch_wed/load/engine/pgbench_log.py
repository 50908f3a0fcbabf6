"""The log of pgbench, read while it is written.

A line is ``client transaction time script epoch µs [lag] [retries]``; instead of the time may stand how the
transaction failed. Each thread writes a file of its own, ``prefix.PID`` and ``prefix.PID.N``, some kB at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pgwatch_wed.load.load_model import FailureKind

_FAILED = {
    b"skipped": FailureKind.SKIPPED,
    b"deadlock": FailureKind.DEADLOCK,
    b"serialization": FailureKind.SERIALIZATION,
}
_CHUNK = 1 << 20
_PART = 1 << 14  # some 400 lines: 20 times a second, reading them takes less than a 20th of a core


class LoggedTransaction(NamedTuple):
    """A transaction in the log; moments and times in µs."""

    thread: int
    script: int
    ended: int
    took: int  # from the moment at which it was due, or begun in a closed loop; 0 if it failed
    lag: int
    retries: int
    failure: FailureKind | None


@dataclass(slots=True)
class _File:
    path: Path
    opened: BinaryIO | None = None
    rest: bytes = b""

    def lines(self, *, all_of_it: bool) -> Iterator[bytes]:
        """Yield complete lines that were written since the last call; all, or a part that is read fast."""
        if self.opened is None:
            if not self.path.exists():
                return
            self.opened = self.path.open("rb")
        while chunk := self.opened.read(_CHUNK if all_of_it else _PART):
            *complete, self.rest = (self.rest + chunk).split(b"\n")
            yield from complete
            if not all_of_it:
                return

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()


class LogStream:
    """The files of a run, from where they were last read."""

    def __init__(self, prefix: Path, pid: int, threads: int, *, has_lag: bool, has_retries: bool):
        names = [f"{prefix}.{pid}", *(f"{prefix}.{pid}.{n}" for n in range(1, threads))]
        self._files = [_File(Path(name)) for name in names]
        self._has_lag, self._has_retries = has_lag, has_retries

    def news(self, *, all_of_it: bool = True) -> Iterator[LoggedTransaction]:
        """Yield what was logged since the last call, or a part of it. The iterator must be used up."""
        for thread, file in enumerate(self._files):
            for line in file.lines(all_of_it=all_of_it):
                yield self._parsed(thread, line.split(b" "))

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _parsed(self, thread: int, words: Sequence[bytes]) -> LoggedTransaction:
        time = words[2]
        failure = None if time.isdigit() else _FAILED.get(time, FailureKind.ERROR)
        return LoggedTransaction(
            thread,
            int(words[3]),
            int(words[4]) * 1_000_000 + int(words[5]),
            0 if failure else int(time),
            int(words[6]) if self._has_lag and not failure else 0,
            int(words[-1]) if self._has_retries else 0,
            failure,
        )
