"""A small line as SVG, without script and without style attributes."""

from collections.abc import Sequence

from markupsafe import Markup

from pgwatch_wed import units
from pgwatch_wed.serve.pages.recent import STEP_S, Measured

_WIDTH, _HEIGHT = 240.0, 44.0
_GAP_S = 3 * STEP_S


def line(points: Sequence[Measured], label: str) -> Markup:
    """Return a picture; its label says the same in words. Where nothing was measured, the line is broken."""
    if len(points) < 2:
        return Markup("")
    begin, end = points[0][0], points[-1][0]
    top = max(value for _, value in points) or 1.0
    parts: list[list[str]] = [[]]
    last = begin
    for at, value in points:
        if at - last > _GAP_S:
            parts.append([])
        last = at
        x = (at - begin) / max(end - begin, 1.0) * _WIDTH
        parts[-1].append(f"{x:.1f},{_HEIGHT - 2 - max(value, 0.0) / top * (_HEIGHT - 4):.1f}")
    lines = "".join(f'<polyline points="{" ".join(part)}"/>' for part in parts if len(part) > 1)
    return Markup(
        '<svg class="line" role="img" viewBox="0 0 240 44" preserveAspectRatio="none" aria-label="{}">'
    ).format(label) + Markup(f"{lines}</svg>")  # noqa: S704 - numbers of ours


def measured(value: float, unit: str) -> str:
    """Print a value with its unit."""
    match unit:
        case "seconds":
            return units.duration(value * 1000)
        case "bytes/s":
            return f"{units.size(value)}/s"
        case "rate":
            return f"{units.short(value)}/s"
    return f"{value:,.0f}"


def caption(points: Sequence[Measured], unit: str) -> str:
    """Say the newest value, and what it lay between."""
    values = [value for _, value in points]
    low, high = measured(min(values), unit), measured(max(values), unit)
    between = "" if low == high else f", {low} to {high} before"
    return f"{measured(values[-1], unit)} now{between}"
