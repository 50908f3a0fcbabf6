"""The callback by which long work reports its progress."""

from collections.abc import Callable

# the current step, and the share of the work that is done (0…1)
Progress = Callable[[str, float], None]


def silent(_what: str, _share: float) -> None:
    """Report nothing."""
