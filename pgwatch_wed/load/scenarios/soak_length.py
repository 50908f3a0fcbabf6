"""How many checkpoints a soak lasts: what checkpoints cost shows only over several of them."""

from dataclasses import dataclass

from pgwatch_wed import units

MIN_CHECKPOINTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakLength:
    """How long a soak runs, and how many checkpoints by time will happen in it at least.

    ``note``: what to set if they are too few, else "". Checkpoints that WAL requests come on top.
    """

    seconds: float
    checkpoints: int
    note: str = ""


def soak_length(
    checkpoint_timeout_s: float, available_s: float, checkpoints: int = MIN_CHECKPOINTS
) -> SoakLength:
    """Return how long to soak within the available time.

    It is not made longer than that: a profile's time is a promise to whoever waits for it.
    """
    if checkpoint_timeout_s <= 0 or available_s <= 0:
        raise ValueError("times must be above 0")
    certain = int(available_s / checkpoint_timeout_s + 1e-9)
    if certain >= checkpoints:
        return SoakLength(seconds=available_s, checkpoints=certain)
    needed = units.duration(checkpoint_timeout_s * checkpoints * 1000)
    return SoakLength(
        seconds=available_s,
        checkpoints=certain,
        note=(
            f"a soak of {units.duration(available_s * 1000)} contains {units.count(certain, 'checkpoint')} by time, "
            f"fewer than {checkpoints}: checkpoint_timeout is {units.duration(checkpoint_timeout_s * 1000)}; "
            f"soak for {needed}, or lower it"
        ),
    )
