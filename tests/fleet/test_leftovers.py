"""Visits leave nothing behind that adds up."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from pgwatch_wed.fleet import leftovers


class _Circle:
    """Refers to itself, and so is never freed by counting references."""

    def __init__(self) -> None:
        self.other = self


@pytest.fixture(name="without_collector")
def _without_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.usefixtures("without_collector")
def test_what_visits_leave_behind_is_freed_within_a_few_of_them() -> None:
    leftovers.begin()
    left = weakref.ref(_Circle())
    assert left() is not None
    for _ in range(8):
        leftovers.visited()
    assert left() is None
