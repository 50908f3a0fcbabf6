"""What is derived from a snapshot and needed repeatedly: computed once, and kept with it."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from pgwatch_wed.facts.snapshot import Snapshot

Result = TypeVar("Result")


def derived(work: Callable[[Snapshot], Result]) -> Callable[[Snapshot], Result]:
    """Call a function once per snapshot; its result must not be modified."""

    @wraps(work)
    def kept(snapshot: Snapshot) -> Result:
        if work not in snapshot.derived:
            snapshot.derived[work] = work(snapshot)
        found: Result = snapshot.derived[work]
        return found

    return kept
