"""What `db-analyze now` and `run --only lock,connection,vacuum` take with many tables: ``python -m tests.bench.scale.moment 10000``.

Both are timed as programs, with their start; the quickest of several counts. ``--dsn`` measures a database that is there.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tabulate import tabulate

from pgwatch_wed.embedded import server as embedded
from tests.bench.scale import generate
from tests.bench.scale.__main__ import PROGRAM, SETTINGS

_TEXT = ("--format", "text", "--no-history", "--no-progress")
_ONLY = ("--only", "lock,connection,vacuum")
COMMANDS = {
    "now": ("now", "{dsn}"),
    "run --only lock,connection": (
        *("run", "{dsn}", "--only", "lock,connection"),
        *_TEXT,
    ),
    "run --only lock,connection,vacuum": ("run", "{dsn}", *_ONLY, *_TEXT),
    "run --no-advise": ("run", "{dsn}", "--no-advise", *_TEXT),
}


def timed(dsn: str, words: tuple[str, ...], folder: str) -> tuple[float, float]:
    """Return the seconds by the clock, and those of our own processor time."""
    args = [word.format(dsn=dsn) for word in words]
    output = ["-o", folder] if words[0] == "run" else []
    begun = time.monotonic()
    process = subprocess.Popen([*PROGRAM, *args, *output], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words} ended with {status}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=int)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--dsn", help="a database that is there; nothing is created in it")
    wanted = parser.parse_args()
    with _server(wanted.dsn, wanted.tables) as dsn, tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, words in COMMANDS.items():
            seconds, processor_s = min(timed(dsn, words, folder) for _ in range(wanted.times))
            rows.append((name, f"{seconds:.2f}", f"{processor_s:.2f}"))
        print(tabulate(rows, headers=("command", "s", "client's CPU, s"), tablefmt="github"))


@contextmanager
def _server(dsn: str | None, tables: int) -> Iterator[str]:
    if dsn is not None:
        yield dsn
        return
    with embedded.start(SETTINGS) as server:
        generate.tables(server.dsn(), 1, tables)
        yield server.dsn()


if __name__ == "__main__":
    main()
