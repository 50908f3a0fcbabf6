"""kill -9 of a whole load test at random moments: what stays, and that after the next start nothing does.

python -m tests.bench.load.kill_anytime [TARGET OWNED]

TARGET is a server of which nobody else creates databases, roles or settings meanwhile.
"""

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

TIMES = 5
_LONG = ("--users=20", "--think=0.5s", "--seconds=60")
_SHORT = ("--scenario=connection-storm-pooled", "--seconds=5", "--rate=20")
_WRITTEN = (
    "select 'database ' || datname from pg_database union all select 'role ' || rolname from pg_roles"
    " union all select 'setting ' || s::text from pg_db_role_setting s"
    " union all select 'schema ' || nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp_'"
)


def main(target: str | None, owned: str) -> None:
    """Kill, look, start, look."""
    where = (target, f"--i-own-this-server={owned}", "--even-if=busy") if target else ()
    chance = random.Random(14)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        first = _server(target)
        for _ in range(TIMES):
            seconds = chance.uniform(5, 45)
            _kill(_start(place, *where, *_LONG), seconds)
            print(f"killed after {seconds:.1f} s; left: {_left(place, target, first)}", flush=True)
            done = _start(place, *where, *_SHORT)
            said = done.communicate()[0]
            print(
                f"  the next run: {done.returncode}; left: {_left(place, target, first)}",
                flush=True,
            )
            if done.returncode:
                print(said[-800:])


def _start(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pgwatch_wed", "stress", *arguments, "-o", str(place / "out")],
        env=os.environ | {"TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _kill(run: subprocess.Popen[str], seconds: float) -> None:
    """Kill it with those that would clean up."""
    time.sleep(seconds)
    me = psutil.Process(run.pid)
    victims = [p for p in me.children(recursive=True) if "python" in p.name()]
    for victim in (me, *victims):
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    run.wait()
    time.sleep(2)  # the server notices that a session has ended


def _left(place: Path, target: str | None, first: set[str]) -> str:
    folders = [p.name for p in place.iterdir() if p.name != "out"]
    found = [*folders, *_processes(place), *(_server(target) - first)]
    return ", ".join(sorted(found)) or "nothing"


def _processes(place: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(place):
                yield f"process {process.name()}"


def _server(target: str | None) -> set[str]:
    if target is None:
        return set()
    with psycopg.connect(target) as session:
        return {str(row[0]) for row in session.execute(_WRITTEN.encode())}


if __name__ == "__main__":
    main(*sys.argv[1:3]) if len(sys.argv) > 2 else main(None, "")
