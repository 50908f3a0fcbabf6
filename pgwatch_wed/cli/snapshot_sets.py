"""Snapshot files that are to be evaluated together: the databases of one server, each once."""

from itertools import combinations
from pathlib import Path

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.together import check_together, is_same_database


def load(files: tuple[Path, ...]) -> tuple[Snapshot, ...]:
    """Read files to report; refuse what cannot be one report: several servers, or two moments of a database."""
    snapshots = tuple(snapshot_file.load(path) for path in files)
    check_together(snapshots, [str(path) for path in files], _meant)
    return snapshots


def load_earlier(files: tuple[Path, ...], option: str) -> tuple[Snapshot, ...]:
    """Read files to compare with; refuse two of one database, of which only one could be meant."""
    snapshots = tuple(snapshot_file.load(path) for path in files)
    for (one, first), (other, second) in combinations(zip(files, snapshots, strict=True), 2):
        if is_same_database(first, second):
            raise UsageError(
                f"{one} and {other} are both snapshots of database {first.server.database}",
                f"use {option} once for each database",
            )
    return snapshots


def _meant(old: str, new: str) -> str:
    return (
        f"`report {new} --since {old}` evaluates what was counted in between, `report {new} --baseline {old}` tells"
        f" which findings are new, and `diff {old} {new}` shows all that differs"
    )
