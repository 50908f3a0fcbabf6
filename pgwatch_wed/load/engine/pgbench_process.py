"""pgbench as a process: started, watched, and ended."""

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from types import TracebackType

from pgwatch_wed import clock
from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine.generator_machine import GeneratorTimes, generator_times
from pgwatch_wed.load.engine.pgbench_complaints import Complaints
from pgwatch_wed.load.load_model import LoadScript
from pgwatch_wed.target.programs import Client

_END_S = 5.0


class PgbenchProcess:
    """A running pgbench; it has ended when the ``with`` block has."""

    def __init__(self, client: Client, arguments: Sequence[str], scripts: Sequence[LoadScript]):
        self.started = clock.now().timestamp()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a PostgreSQL program, arguments are a list
                [str(client.path), *arguments],
                env={**client.environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                process_group=0,  # Ctrl-C in a terminal is for us; then we end it
            )
        except OSError as error:
            raise Error(f"{client.path} does not start: {error}") from None
        assert self._process.stderr is not None
        self.complaints = Complaints(self._process.stderr, scripts)
        self._first = self._last = generator_times(self.pid)

    @property
    def pid(self) -> int:
        """The process ID, which is in the names of its log files."""
        return self._process.pid

    @property
    def status(self) -> int:
        """The exit status, once it has ended."""
        return self._process.returncode

    def wait(self, seconds: float) -> bool:
        """Wait so long for its end; return whether it has ended."""
        self._last = generator_times(self.pid) or self._last
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self.complaints.wait()
        return True

    def times(self) -> tuple[GeneratorTimes, GeneratorTimes] | None:
        """Return its CPU times when it was started, and shortly before it ended."""
        if self._first is None or self._last is None:
            return None
        return self._first, self._last

    def interrupt(self) -> None:
        """End it. What it had not yet written to its log is lost."""
        self._process.send_signal(signal.SIGINT)
        if not self.wait(_END_S):
            self._process.kill()
            self.wait(_END_S)

    def __enter__(self) -> "PgbenchProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self.complaints.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()
