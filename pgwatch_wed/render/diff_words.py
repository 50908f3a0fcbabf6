"""How changes and windows are worded, in text and HTML."""

from pgwatch_wed import units
from pgwatch_wed.history.change import Change, ChangeKind, ChangeValue
from pgwatch_wed.history.run_difference import RunDifference
from pgwatch_wed.history.workloads import LoadWindow, StatementSide

_ARROW = "→"


def subject(c: Change) -> str:
    """Name what changed."""
    aspect = f", {c.aspect}" if c.aspect else ""
    kind = "" if c.kind in (ChangeKind.SETTING, ChangeKind.ROLE_SETTING) else f"{_kind(c)} "
    return f"{kind}{c.object.label}{aspect}"


def _kind(c: Change) -> str:
    if c.kind in (ChangeKind.SIZE, ChangeKind.ROWS, ChangeKind.DEAD_ROWS):
        return c.object.kind if c.kind is ChangeKind.SIZE else f"{c.kind.value} of"
    return c.kind.value


def values(c: Change) -> str:
    """Print what it was and is; "" if its name says all."""
    before, after = (_value(c, v) for v in (c.before, c.after))
    if c.before is None and c.after is None:
        return ""
    if c.before is None or c.after is None:
        only = after if c.before is None else before
        if c.aspect or c.kind in (ChangeKind.SETTING, ChangeKind.ROLE_SETTING):
            return f"{before} {_ARROW} {after}"
        return "" if only == c.object.label else only
    return "" if before == after else f"{before} {_ARROW} {after}"


def _value(c: Change, value: ChangeValue) -> str:
    if value is None:
        return "not set"
    if c.kind is ChangeKind.SIZE and isinstance(value, int | float):
        return units.size(value)
    return f"{value:,}" if isinstance(value, int | float) else value


def span(window: LoadWindow) -> str:
    """Print the time that a window covers."""
    if window.begins is None:
        return f"an unknown time up to {window.ends:%Y-%m-%d %H:%M}"
    length = units.duration((window.ends - window.begins).total_seconds() * 1000)
    return f"{window.begins:%Y-%m-%d %H:%M} to {window.ends:%Y-%m-%d %H:%M} ({length})"


def cells(side: StatementSide | None) -> tuple[str, str, str, str]:
    """Print share of the load, calls, mean time and blocks per call; dashes where it was not seen."""
    if side is None:
        return ("–", "–", "–", "–")
    return (
        units.share(side.share),
        f"{side.calls:,}",
        units.duration(side.mean_ms),
        units.short(side.blocks_per_call),
    )


def heading(found: RunDifference) -> str:
    """Say how far the two runs are apart, and what limits the comparison."""
    apart = found.second.taken_at - found.first.taken_at
    order = "later" if apart.total_seconds() >= 0 else "earlier"
    said = f"The second is {units.words(abs(apart))} {order}."
    if found.by_name:
        said += f" Compared by names: {found.by_name}."
    if found.only:
        said += f" Only in one of them: {', '.join(found.only)}."
    return said
