"""Snapshots of a cluster → its report; large ones are judged by a process of their own.

Rules hold the interpreter: one catalog of ten thousand tables would make all other threads wait. The process reads a
task from standard input and writes the result to standard output; if it dies, the cluster is judged here.
"""

import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass, replace

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.render import json_v1

LARGE = 20_000
"""From how many rows of facts on a process of its own is worth its start of half a second."""

_MOST_PROCESSES = 2
_turns = threading.BoundedSemaphore(_MOST_PROCESSES)
_COUNTED = ("tables", "indexes", "columns", "constraints", "statements", "column_statistics")


@dataclass(frozen=True, slots=True)
class JudgedCluster:
    """The report of a cluster, and as the JSON document that the history keeps."""

    report: Report
    document: str


def judged(
    snapshots: tuple[Snapshot, ...], settings: Config, label: str, most_s: float | None = None
) -> JudgedCluster:
    """Judge the databases of one server, here or in another process.

    Raises :class:`TimeoutError` if another process takes longer than ``most_s`` seconds; it is ended.
    """
    if size(snapshots) >= LARGE:
        with _turns:
            found = _elsewhere(snapshots, settings, label, most_s)
        if found is not None:
            return found
    return _here(snapshots, settings, label)


def size(snapshots: tuple[Snapshot, ...]) -> int:
    """Return how many rows the rules will look at, roughly."""
    return sum(len(getattr(snapshot, name)) for snapshot in snapshots for name in _COUNTED)


def _here(snapshots: tuple[Snapshot, ...], settings: Config, label: str) -> JudgedCluster:
    report = analyse(snapshots, settings, target=label or None)
    return JudgedCluster(report, json_v1.render(report, snapshots))


def _elsewhere(
    snapshots: tuple[Snapshot, ...], settings: Config, label: str, most_s: float | None
) -> JudgedCluster | None:
    command = [sys.executable, "-m", "pgwatch_wed.fleet.cluster_judging"]
    facts = tuple(replace(snapshot) for snapshot in snapshots)  # without what was computed of them
    task = pickle.dumps((facts, settings, label), protocol=pickle.HIGHEST_PROTOCOL)
    try:
        # Ctrl-C is for us; what we no longer wait for ends when it finds its pipe closed
        done = subprocess.run(  # noqa: S603 - ourselves
            command,
            input=task,
            capture_output=True,
            check=True,
            start_new_session=True,
            timeout=most_s,
        )
        found = pickle.loads(done.stdout)  # noqa: S301 - of a process that we have started
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    except (OSError, subprocess.SubprocessError, pickle.UnpicklingError, EOFError):
        return None
    return found if isinstance(found, JudgedCluster) else None


def main() -> None:
    """Judge what comes on standard input."""
    snapshots, settings, label = pickle.load(sys.stdin.buffer)  # noqa: S301 - of the process that started us
    pickle.dump(_here(snapshots, settings, label), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    # what is pickled names the module, not the program
    from pgwatch_wed.fleet import cluster_judging

    cluster_judging.main()
