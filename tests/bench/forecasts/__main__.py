"""Count how often intervals hold, as a table for docs/forecasts.md.

python -m tests.bench.forecasts [--series 300] [--seed 1]
"""

import argparse
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from tests.bench.forecasts import recorded
from tests.bench.forecasts.holding import Score
from tests.bench.forecasts.simulated import Family, families

_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"

# Days of history, and days until the limit at the mean pace.
CASES = ((30, 40), (90, 40), (60, 20), (180, 90), (30, 120))


def simulated(series: int, seed: int) -> Iterator[str]:
    """Yield the lines of the table for simulated series."""
    yield "| series | variant | " + " | ".join(f"{k} days, {d} ahead" for k, d in CASES) + " |"
    yield "|---|---|" + "---|" * len(CASES)
    for family in families():
        scores = [_score(family, *case, series, seed) for case in CASES]
        cells = " | ".join(f"{s.share:.0%} (±{s.width / 2:.0%})" for s in scores)
        yield f"| {family.name} | {family.variant} | {cells} |"


def _score(family: Family, known: int, ahead: int, series: int, seed: int) -> Score:
    score = Score()
    for number in range(series):
        chance = random.Random(f"{seed} {family.variant} {known} {ahead} {number}")
        increments = family.increments(chance, known, ahead * 12)
        values = list(accumulate(increments, initial=1e6))
        score.add(values, known + 1, values[known] + family.pace * ahead)
    return score


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    lines = [*simulated(given.series, given.seed), "", *recorded.table()]
    print("\n".join(lines))
    if given.write is not None:
        write(given.write, "\n".join(lines))


def write(page: Path, figures: str) -> None:
    """Replace the figures of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    page.write_text(f"{before}{_BEGIN}\n\n{figures}\n\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
