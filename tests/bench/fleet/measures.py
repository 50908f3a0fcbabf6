"""What a command took, and a line of the table that compares it with its goal."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tabulate import tabulate

_MB = 1_000_000
_KB = 1024  # ru_maxrss


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its goal; ``is_met`` is None for one without a goal.

    ``is_rough`` is one that says little if servers are few or the machine is busy: ``--small`` does not fail for it.
    """

    what: str
    figure: str
    goal: str = ""
    is_met: bool | None = None
    is_rough: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process and its children took, and what it said."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    status: int
    output: str
    errors: str


def table(lines: Sequence[Measured]) -> str:
    """Return the table for a terminal or for a page of the documentation."""
    words = {True: "yes", False: "**no**", None: ""}
    rows = [(line.what, line.goal, line.figure, words[line.is_met]) for line in lines]
    return tabulate(rows, ("what", "goal", "measured", "met"), tablefmt="github")


class Running:
    """A command of ours in a process of its own; ``stdin`` is a file, and ``variables`` are added to its environment."""

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        stdin: Path = Path(os.devnull),
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.words = words
        self._said = [tempfile.TemporaryFile("w+", dir=folder) for _ in range(2)]  # noqa: SIM115 - closed by wait()
        self._began = time.monotonic()
        own = {"XDG_STATE_HOME": str(folder), "PYTHONHASHSEED": "0"}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        with stdin.open("rb") as given:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pgwatch_wed", *words],
                stdin=given,
                stdout=self._said[0],
                stderr=self._said[1],
                env={**inherited, **own, **variables},
            )

    def kill(self) -> str:
        """Kill it, unless it has ended; return what it said as errors until then."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._said[1].seek(0)
        return self._said[1].read()

    def wait(self) -> Spent:
        """Wait for the end; return what it took."""
        _, status, used = os.wait4(self.process.pid, 0)
        wall = time.monotonic() - self._began
        self.process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for each in self._said:
            each.seek(0)
            texts.append(each.read())
            each.close()
        cpu = used.ru_utime + used.ru_stime
        peak = used.ru_maxrss * _KB / _MB
        return Spent(wall, cpu, peak, self.process.returncode, *texts)


def spent(folder: Path, *words: str, allowed: Sequence[int] = (0, 1)) -> Spent:
    """Run ``db-analyze`` with these words; its history, unless named, is in the folder."""
    found = Running(words, folder).wait()
    if found.status not in allowed:
        command = " ".join(words)
        raise RuntimeError(f"{command}: status {found.status}\n{found.output}\n{found.errors}")
    return found


def run_words(file: Path, history: Path, threads: int) -> list[str]:
    """Return what reviews an inventory with so many threads, and prints the review alone."""
    words = ["fleet", "run", "--inventory", str(file), "--history", str(history), "--no-progress"]
    return [*words, "--concurrency", str(threads), "--format", "text"]


def inventory(
    folder: Path, name: str, targets: Mapping[str, str], databases: Sequence[str] = ()
) -> Path:
    """Write an inventory; ``databases`` are those to take of each, by default the one that the target names."""
    file = folder / f"{name}.toml"
    take = f"databases = {list(databases)}\n" if databases else ""
    clusters = (
        f'[[clusters]]\nname = "{name}"\ntarget = "{_escaped(dsn)}"\ngroup = "bench"\n{take}'
        for name, dsn in targets.items()
    )
    file.write_text("\n".join(clusters), encoding="utf-8")
    return file


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
