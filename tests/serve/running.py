"""The service as its user runs it: a process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ARGUMENTS = (sys.executable, "-c", "from pgwatch_wed.cli import main; main()", "serve")


@dataclass(slots=True)
class Running:
    """A service that answers at ``url``."""

    process: subprocess.Popen[str]
    url: str

    def terminate(self) -> tuple[int, float]:
        """Return the exit status after SIGTERM, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10), time.monotonic() - began

    def log(self) -> str:
        """Return what it logged, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "DATABASE_URL"))}
    return kept | dict(given)


@contextmanager
def serving(config: Path, *arguments: str, **environ: str) -> Iterator[Running]:
    """Run ``db-analyze serve`` on any free port."""
    environ.setdefault("XDG_STATE_HOME", str(config.parent / "state"))
    process = subprocess.Popen(
        [*ARGUMENTS, "--config", str(config), "--listen", "127.0.0.1:0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(environ),
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"serving on (http\S+)/", line):
                yield Running(process, found[1])
                return
        raise AssertionError(f"it did not start: {process.wait(5)}")
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
