"""What happened from block to block, as positions for a drawing: nothing is smoothed, and what failed is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.load.load_model import Block
from pgwatch_wed.load.load_words import TRANSACTION, short_rate

WIDTH, HEIGHT = 720.0, 150.0
_LEFT, _TOP, _BOTTOM = 4.0, 18.0, 4.0
_PERCENT = 95.0
_LEAST = 2  # fewer blocks are no course
_WIDEST = 48.0


@dataclass(frozen=True, slots=True)
class BlockBar:
    """A block: its bar in the drawing, whether its times can be believed, and a sentence."""

    x: float
    y: float
    width: float
    height: float
    is_believed: bool
    said: str


@dataclass(frozen=True, slots=True)
class BlockChart:
    """The 95th percentile of each block's latency, in their order. ``highest`` is where the scale ends."""

    bars: tuple[BlockBar, ...]
    highest: str
    limit_y: (
        float | None
    )  # where the objective for this percentile is, if there is one on the scale
    limit: str


def block_chart(
    blocks: Sequence[Block], limit_ms: float | None = None, what: str = TRANSACTION
) -> BlockChart | None:
    """Place bars for blocks; None where there is nothing to compare. ``what`` they count."""
    known = [(b, b.spent.latency.percentile(_PERCENT)) for b in blocks]
    values = [ms for _, ms in known if ms is not None]
    if len(values) < _LEAST:
        return None
    top = max(values)
    if limit_ms is not None and limit_ms <= 4 * top:
        top = max(top, limit_ms)
    room = HEIGHT - _TOP - _BOTTOM
    step = min((WIDTH - _LEFT) / len(known), _WIDEST)
    bars = tuple(
        _bar(number, ms, step, room / top if top else 0.0, _said(number, block, ms, what), block)
        for number, (block, ms) in enumerate(known)
    )
    shows_limit = limit_ms is not None and limit_ms <= top
    y = HEIGHT - _BOTTOM - room * (limit_ms or 0.0) / top if shows_limit and top else None
    shown = f"objective: {units.duration(limit_ms)}" if shows_limit and limit_ms else ""
    return BlockChart(bars, units.duration(top), None if y is None else round(y, 1), shown)


def _said(number: int, block: Block, ms: float | None, what: str) -> str:
    time = "unknown" if ms is None else units.duration(ms)
    failed = sum(block.failures.values())
    said = f"block {number + 1}: p95 {time}, {short_rate(block.tps)} {what}s/s"
    said += f", {failed:,} failed" if failed else ""
    return said + "".join(f"; {each.text}" for each in block.spoilt[:1])


def _bar(
    number: int, ms: float | None, step: float, scale: float, said: str, block: Block
) -> BlockBar:
    height = 0.0 if ms is None else max(ms * scale, 1.0)
    return BlockBar(
        round(_LEFT + number * step + step * 0.1, 1),
        round(HEIGHT - _BOTTOM - height, 1),
        round(step * 0.8, 1),
        round(height, 1),
        not block.spoilt,
        said,
    )
