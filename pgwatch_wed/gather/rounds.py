"""Snapshots again and again, at the times that were asked for, with what was sampled in between."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.target import collect as collecting
from pgwatch_wed.target.sampler import FACTS, Sampler

# What makes samples readable: settings, and the texts of statements.
_LAST = ("sessions", "prepared_transactions", "databases", "settings")
_LAST_STATEMENTS = ("statements_info", "statements")
_LAST_S = 10.0


@dataclass(frozen=True, slots=True)
class Repetition:
    """``every_s``: None for a single snapshot at the end; ``length_s``: None for until it is interrupted."""

    every_s: float | None
    length_s: float | None

    def offsets(self) -> Iterator[float]:
        """Yield when each round begins, in seconds from the start."""
        if self.every_s is None:
            yield self.length_s or 0.0
            return
        number = 0
        while self.length_s is None or number * self.every_s <= self.length_s:
            yield number * self.every_s
            number += 1


@dataclass(frozen=True, slots=True)
class Round:
    """What a round has read, or why nothing."""

    number: int
    snapshots: tuple[Snapshot, ...]
    failure: str = ""


def rounds(
    conninfo: str,
    wanted: Wanted,
    repetition: Repetition,
    sampler: Sampler | None,
    progress: Progress,
) -> Iterator[Round]:
    """Yield each round. One whose time is past when it could begin is skipped; errors do not end it."""
    if repetition.every_s is not None:
        # a round is over when the next one begins
        limit = max(0.8 * repetition.every_s, 5.0)
        wanted = replace(wanted, budget_s=min(wanted.budget_s or limit, limit))
    begun = time.monotonic()
    for number, offset in enumerate(repetition.offsets(), 1):
        late = time.monotonic() - begun - offset
        if repetition.every_s is not None and late >= repetition.every_s:
            yield Round(number, (), f"skipped: it would have been {late:.0f} s late")
            continue
        time.sleep(max(0.0, -late))
        yield _round(conninfo, wanted, number, sampler if offset else None, progress)


def _round(
    conninfo: str, wanted: Wanted, number: int, sampler: Sampler | None, progress: Progress
) -> Round:
    try:
        first, *others = gather.gather(conninfo, wanted, progress)
    except UsageError:
        raise
    except Error as error:
        return Round(number, (), error.message)
    if sampler is not None:
        first = sampler.add_to(first)
    return Round(number, (first, *others))


def last(conninfo: str, sampler: Sampler) -> Snapshot:
    """Return what was sampled until now, with the little that is needed to read it: nobody likes to wait."""
    names = (*_LAST, *_LAST_STATEMENTS)
    snapshot = collecting.collect(conninfo, budget_s=_LAST_S, progress=silent, only=names)
    left_out = Missing("the run was interrupted", "run again", Cause.NOT_ASKED)
    missing = {name: left_out for name in collecting.ORDER if name not in names}
    return sampler.add_to(replace(snapshot, missing={**missing, **snapshot.missing}))


def is_sampled(snapshot: Snapshot) -> bool:
    """Tell whether it has any samples."""
    return FACTS[0] not in snapshot.missing
