"""One set of values for all parameters of a statement, from sampled rows."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from pgwatch_wed.whatif.proof.parameter_uses import ParameterUse, ValueUse
from pgwatch_wed.whatif.proof.sampled_rows import BlockSample, SampledRow, ValueSpread

_WORD = re.compile(r"\w{3,}")
_LONGEST = 1000

Between = Callable[[int, str, str, float], str]
"""Returns a value of a parameter's type between two others."""


@dataclass(frozen=True, slots=True)
class ValueReach:
    """How much a call selects, which no statistic tells: so it is fitted to production's rows and blocks a call.

    ``rows`` is how many of the rows that are otherwise alike a range or a list selects; ``prefix``: patterns match
    beginnings of that length; 0: a word anywhere.
    """

    rows: float
    prefix: int = 0


def drawn(
    rows: Iterable[tuple[BlockSample, SampledRow]],
    reach: ValueReach,
    dice: Random,
    between: Between,
) -> dict[int, tuple[str, ...]]:
    """Return the values of parameters, as text; several for a list that was shortened."""
    found: dict[int, tuple[str, ...]] = {}
    for sample, row in rows:
        found.update(_of_row(sample.uses, row, reach, dice, between))
    return found


def _of_row(
    uses: Sequence[ParameterUse], row: SampledRow, reach: ValueReach, dice: Random, between: Between
) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {number: (value,) for number, value in row.values.items()}
    pairs = _pairs(uses)
    elements: dict[str, list[str]] = {}
    for use in uses:
        value, spread = row.values[use.number], row.spreads.get(use.expression)
        match use.use:
            case ValueUse.LIST:
                found[use.number] = (_array(_some(value, spread, reach, dice)),)
            case ValueUse.SHORTENED:
                found[use.number] = tuple(_some(value, spread, reach, dice))
            case ValueUse.ELEMENT:
                given = elements.setdefault(use.expression, [])
                given.append(_another(value, spread, given, dice))
                found[use.number] = (given[-1],)
            case ValueUse.PATTERN:
                found[use.number] = (_pattern(value, prefix=reach.prefix),)
            case _:
                pass
    for use in uses:
        spread = row.spreads.get(use.expression)
        if (
            spread is not None
            and use.use in (ValueUse.ABOVE, ValueUse.BELOW)
            and use.expression not in pairs
        ):
            found[use.number] = (_end(use, spread, reach),)
    for low, high in pairs.values():
        spread = row.spreads.get(low.expression)
        if spread is not None:
            least, most = _ends(low, spread, reach, dice, between)
            found[low.number], found[high.number] = (least,), (most,)
    return found


def _pairs(uses: Sequence[ParameterUse]) -> Mapping[str, tuple[ParameterUse, ParameterUse]]:
    """Return the two ends of ranges, by expression."""
    lows = {use.expression: use for use in uses if use.use is ValueUse.ABOVE}
    highs = {use.expression: use for use in uses if use.use is ValueUse.BELOW}
    return {e: (lows[e], highs[e]) for e in lows if e in highs}


def _end(use: ParameterUse, spread: ValueSpread, reach: ValueReach) -> str:
    step = min(len(spread.values) - 1, round(reach.rows / spread.rows_each))
    return spread.values[-1 - step if use.use is ValueUse.ABOVE else step]


def _ends(
    low: ParameterUse, spread: ValueSpread, reach: ValueReach, dice: Random, between: Between
) -> tuple[str, str]:
    known = spread.values
    step = reach.rows / spread.rows_each
    whole = min(int(step), len(known) - 1)
    start = dice.randrange(len(known) - whole)
    if step < 1 and start + 1 < len(known):
        return known[start], between(low.number, known[start], known[start + 1], step)
    return known[start], known[start + whole]


def _some(value: str, spread: ValueSpread | None, reach: ValueReach, dice: Random) -> list[str]:
    count = min(_LONGEST, max(1, round(reach.rows)))
    others = [v for v in dict.fromkeys(spread.values if spread else ()) if v != value]
    return [value, *dice.sample(others, min(count - 1, len(others)))]


def _another(value: str, spread: ValueSpread | None, given: Sequence[str], dice: Random) -> str:
    if not given or spread is None:
        return value
    others = [v for v in dict.fromkeys(spread.values) if v not in given]
    return dice.choice(others) if others else value


def _pattern(value: str, *, prefix: int) -> str:
    """Return a pattern that matches a value: by a word in it, or by its beginning."""
    if prefix:
        return f"{_escaped(value[:prefix])}%"
    words = _WORD.findall(value)
    return f"%{_escaped(max(words, key=len))}%" if words else _part(_escaped(value))


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _part(value: str) -> str:
    """Return a pattern that matches part of a value in its middle."""
    start = max(0, len(value) // 2 - 3)
    return f"%{value[start : start + 6]}%"


def _array(given: Iterable[str]) -> str:
    """Return values as the text of an array."""
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in given)
    return "{" + ",".join(quoted) + "}"
