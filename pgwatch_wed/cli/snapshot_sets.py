"""Snapshot files that are to be evaluated together: the databases of one server, each once."""

from itertools import combinations
from pathlib import Path

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file

_Read = tuple[Path, Snapshot]


def load(files: tuple[Path, ...]) -> tuple[Snapshot, ...]:
    """Read files to report; refuse what cannot be one report: several servers, or two moments of a database."""
    snapshots = tuple(snapshot_file.load(path) for path in files)
    for one, other in combinations(zip(files, snapshots, strict=True), 2):
        if one[1].server.system_identifier != other[1].server.system_identifier:
            raise UsageError(
                f"{one[0]} and {other[0]} are from different servers",
                "write a separate report for each server",
            )
        if _is_same_database(one[1], other[1]):
            raise _two_moments(one, other)
    return snapshots


def load_earlier(files: tuple[Path, ...], option: str) -> tuple[Snapshot, ...]:
    """Read files to compare with; refuse two of one database, of which only one could be meant."""
    snapshots = tuple(snapshot_file.load(path) for path in files)
    for (one, first), (other, second) in combinations(zip(files, snapshots, strict=True), 2):
        if _is_same_database(first, second):
            raise UsageError(
                f"{one} and {other} are both snapshots of database {first.server.database}",
                f"use {option} once for each database",
            )
    return snapshots


def _is_same_database(one: Snapshot, other: Snapshot) -> bool:
    mine, theirs = one.server, other.server
    if mine.system_identifier != theirs.system_identifier:
        return False
    is_known = mine.system_identifier is not None
    return mine.database_oid == theirs.database_oid and (
        is_known or mine.database == theirs.database
    )


def _two_moments(one: _Read, other: _Read) -> UsageError:
    (old, earlier), (new, later) = sorted((one, other), key=lambda each: each[1].now)
    if earlier.now == later.now:
        return UsageError(f"{one[0]} and {other[0]} are the same snapshot", "give it once")
    times = [f"{each.now:%Y-%m-%d %H:%M:%S}" for each in (earlier, later)]
    return UsageError(
        f"{old} ({times[0]}) and {new} ({times[1]}) are two snapshots of database {later.server.database}",
        f"`report {new} --since {old}` evaluates what was counted in between, `report {new} --baseline {old}` tells"
        f" which findings are new, and `diff {old} {new}` shows all that differs",
    )
