"""How much a remedy must save to be a warning, or to be mentioned at all."""

from pgwatch_wed.findings import MeasuredTime, Severity


def severity(gain: MeasuredTime, share: float, least_per_day: float, of_elapsed: float) -> Severity:
    """Return a warning for a large share of the load or much time per day, unless the server hardly works.

    ``of_elapsed`` is the floor: the time saved relative to the length of the window.
    """
    is_large = (gain.share or 0.0) >= share or gain.least_per_day >= least_per_day
    return Severity.WARNING if is_large and matters(gain, of_elapsed) else Severity.INFO


def matters(gain: MeasuredTime, of_elapsed: float) -> bool:
    """Tell whether the time saved is at least this fraction of the window; true if the window is unknown."""
    return gain.of_elapsed is None or gain.of_elapsed >= of_elapsed
