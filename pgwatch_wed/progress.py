"""What long work calls to say how far it is."""

from collections.abc import Callable

# what is being done, and the share of the work that is done (0…1)
Progress = Callable[[str, float], None]


def silent(_what: str, _share: float) -> None:
    """Say nothing."""
