"""Snapshots that are to be evaluated together: the databases of one server, each once."""

from collections.abc import Callable, Sequence
from itertools import combinations

from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts.snapshot import Snapshot


def check_together(
    snapshots: Sequence[Snapshot], names: Sequence[str], meant: Callable[[str, str], str]
) -> None:
    """Refuse what cannot be one report: several servers, or two moments of a database, which add up to nothing.

    ``meant`` returns what to do with an earlier and a later snapshot of a database, by their names.
    """
    for one, other in combinations(zip(names, snapshots, strict=True), 2):
        if one[1].server.system_identifier != other[1].server.system_identifier:
            raise UsageError(
                f"{one[0]} and {other[0]} are from different servers",
                "write a separate report for each server",
            )
        if is_same_database(one[1], other[1]):
            raise _two_moments(one, other, meant)


def is_same_database(one: Snapshot, other: Snapshot) -> bool:
    """Tell whether two snapshots are of one database."""
    mine, theirs = one.server, other.server
    if mine.system_identifier != theirs.system_identifier:
        return False
    is_known = mine.system_identifier is not None
    return mine.database_oid == theirs.database_oid and (
        is_known or mine.database == theirs.database
    )


def _two_moments(
    one: tuple[str, Snapshot], other: tuple[str, Snapshot], meant: Callable[[str, str], str]
) -> UsageError:
    (old, earlier), (new, later) = sorted((one, other), key=lambda each: each[1].now)
    if earlier.now == later.now:
        return UsageError(f"{one[0]} and {other[0]} are the same snapshot", "give it once")
    times = [f"{each.now:%Y-%m-%d %H:%M:%S}" for each in (earlier, later)]
    return UsageError(
        f"{old} ({times[0]}) and {new} ({times[1]}) are two snapshots of database {later.server.database}",
        meant(old, new),
    )
