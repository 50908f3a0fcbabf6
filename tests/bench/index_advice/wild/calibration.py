"""What promises of each grade are worth: predicted and measured remaining shares of the statements that got an index."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median

from tests.bench.index_advice.wild.verdict import GOAL_PREDICTED, NEAR, Outcome, line, share

HEADER = (
    "grade",
    "statements",
    "predicted remaining",
    "measured",
    "within 1.5 or 1%",
    "worse than 2 and 1%",
)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a row for each grade; a statement has the worst grade of the indexes that it uses."""
    yield line(HEADER)
    yield line(["---"] * len(HEADER))
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for outcome in outcomes:
        for name, grade in outcome.advised.grades.items():
            before, after = outcome.before.statements[name], outcome.ours.statements[name]
            if not before.is_write:
                measured = after.blocks / max(before.blocks, 1.0)
                pairs[grade].append((outcome.advised.promises[name].remaining, measured))
    for grade, found in sorted(pairs.items()):
        kept = sum(_is_kept(*pair) for pair in found) / len(found)
        worse = sum(m > 2 * p and m - p > NEAR for p, m in found) / len(found)
        medians = (median(p for p, _ in found), median(m for _, m in found))
        yield line((grade, str(len(found)), *map(share, medians), f"{kept:.0%}", f"{worse:.0%}"))


def _is_kept(predicted: float, measured: float) -> bool:
    low, high = sorted((predicted, measured))
    return high <= GOAL_PREDICTED * low or high - low <= NEAR
