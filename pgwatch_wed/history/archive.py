"""Runs as files, out of the history and into it: in any order, any number of times, also damaged ones."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path

import sqlalchemy as sa

from pgwatch_wed import clock
from pgwatch_wed import paths as pathnames
from pgwatch_wed.errors import HistoryError, SnapshotError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.rows import Server
from pgwatch_wed.findings import Report
from pgwatch_wed.history import pairing, runs, states
from pgwatch_wed.history.runs import StoredRun
from pgwatch_wed.history.store import Store

Evaluate = Callable[[tuple[Snapshot, ...]], tuple[Report, str]]
"""Returns the report on the snapshots of one run, and its JSON."""

BROKEN = (HistoryError, SnapshotError)
_TOGETHER = timedelta(minutes=10)
_AHEAD = timedelta(days=1)
_SUFFIXES = (".json.zst", ".zst", ".json")


def write(connection: sa.Connection, run: StoredRun, folder: Path) -> list[Path]:
    """Write the snapshots of a run and its report. Raises :data:`BROKEN` before anything is written."""
    read = runs.read(connection, run)
    document = runs.document(connection, run)
    stem = f"run-{run.id}-{run.taken_at.astimezone(UTC):%Y%m%d-%H%M%S}"
    written = []
    for number, snapshot in enumerate(read):
        suffix = f"-{snapshot.server.database_oid}" if number else ""
        path = folder / f"{stem}{suffix}.json.zst"
        snapshot_file.save(snapshot, path)
        written.append(path)
    if document is not None:
        path = folder / f"{stem}.report.json"
        text = json.dumps(document, ensure_ascii=False, indent=2)
        snapshot_file.write_private(path, text.encode("utf-8", "surrogatepass"))
        written.append(path)
    return written


@dataclass(slots=True)
class Imported:
    """What was imported, and what was not, with the reasons."""

    added: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)
    clusters: set[int] = field(default_factory=set)


def groups(paths: Sequence[Path], done: Imported) -> Iterator[tuple[Snapshot, ...]]:
    """Yield the snapshots of each run, the earliest first; note what cannot be read."""
    for _, read in located_groups(paths, done):
        yield read


def located_groups(
    paths: Sequence[Path], done: Imported
) -> Iterator[tuple[Path, tuple[Snapshot, ...]]]:
    """Yield the snapshots of each run with the file of the first one, the earliest first; note what cannot be read.

    Only those of one run are in memory: each file is read twice, the first time no further than its first lines.
    """
    for run in _runs(_servers(paths, done)):
        read = list(_loaded(run, done))
        if read:
            yield read[0][0], tuple(snapshot for _, snapshot in read)


_Dated = tuple[Path, Server]


def _servers(paths: Sequence[Path], done: Imported) -> list[_Dated]:
    """Return the files with their servers, the earliest first."""
    found: list[_Dated] = []
    for path in _files(paths, done):
        try:
            found.append((path, snapshot_file.load_server(path)))
        except SnapshotError as error:
            done.refused.append(error.message)
    return sorted(found, key=lambda each: (each[1].taken_at, each[1].database_oid))


def _runs(files: Iterable[_Dated]) -> list[list[_Dated]]:
    found: list[list[_Dated]] = []
    for path, server in files:
        mine = next((run for run in reversed(found[-50:]) if _is_one_run(run, server)), None)
        if mine is None:
            found.append([(path, server)])
        else:
            mine.append((path, server))
    return found


def _loaded(run: Iterable[_Dated], done: Imported) -> Iterator[tuple[Path, Snapshot]]:
    for path, _ in run:
        try:
            yield path, snapshot_file.load(path)
        except SnapshotError as error:
            done.refused.append(error.message)


def _files(paths: Sequence[Path], done: Imported) -> Iterator[Path]:
    for path in paths:
        if pathnames.is_directory(path):
            inside = (p for p in sorted(path.rglob("*")) if p.name.endswith(_SUFFIXES))
            for each in inside:
                if pathnames.is_directory(each) or each.name.endswith(".report.json"):
                    continue
                if pathnames.exists(each) and not each.is_file():  # a pipe may never end
                    done.refused.append(f"{each} is not a regular file")
                    continue
                yield each
        elif pathnames.exists(path):
            yield path
        else:
            done.refused.append(f"there is no file {path}")


def _is_one_run(run: Sequence[_Dated], server: Server) -> bool:
    """Tell whether a file is of another database of the server, read by the same run."""
    _, first = run[0]
    same = (first.system_identifier, first.started_at) == (
        *(server.system_identifier, server.started_at),
    )
    others = {each.database_oid for _, each in run}
    is_near = server.taken_at - first.taken_at <= _TOGETHER
    return same and is_near and server.database_oid not in others


def add(
    opened: Store, read: tuple[Snapshot, ...], evaluate: Evaluate, done: Imported
) -> StoredRun | None:
    """Store a run and what is concluded from it, unless it is there; return it, or None if it is refused."""
    first = read[0]
    if any(map(pairing.is_redacted, read)):
        done.refused.append(
            f"the snapshot of {first.now:%Y-%m-%d %H:%M} has placeholders for names, which are others in each file"
        )
        return None
    if first.now > clock.now() + _AHEAD:
        done.refused.append(
            f"the snapshot of {first.server.database} is of {first.now:%Y-%m-%d %H:%M}, which is in the future"
        )
        return None
    try:
        with opened.writing() as connection:
            run, is_new = runs.add(connection, runs.NewRun(read))
            if is_new or run.report is None:
                report, document = evaluate(read)
                run = runs.conclude(connection, run, report, document, read)
                done.clusters.add(run.cluster_id)
    except HistoryError as error:
        done.refused.append(f"the run of {first.now:%Y-%m-%d %H:%M}: {error.message}")
        return None
    done.added += is_new
    done.known += not is_new
    return run


def finish(opened: Store, done: Imported) -> None:
    """Reckon the states of findings once, in the order in which the runs were taken."""
    for cluster_id in sorted(done.clusters):
        with opened.writing() as connection:
            states.rebuild(connection, cluster_id)
