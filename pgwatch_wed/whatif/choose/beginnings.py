"""How many rows begin with a prefix, or are below a node of a tree, if a histogram is too coarse to tell.

The planner counts the bounds of the histogram that match. If none does, it expects the least that it expects of anything, a ten-thousandth of
the rows; if one does by chance, as many as are between two bounds. But the bounds tell how many different beginnings there are: of
paths such as ``1/12/102/4711/``, one of one label and thirty of two. So there may be thirty times as many of three, until there are as many as there
are values. Of texts without labels, that is so for each character if they are codes; in words, characters tell the less, the later they come.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif.catalog import BeginningsSeen, Catalog, CatalogColumn, CatalogTable

_FEWEST_BOUNDS = 100  # with fewer, the planner does not rely on them alone
# The least and the most of the values that are not common that the planner takes to match.
_LEAST, _MOST = 0.0001, 0.9999
_GIVEN = re.compile(r"^\S.* (?:~~|\^@|<@|OPERATOR\(\S+<@\)) (?:CAST\()?'((?:[^']|'')*)'")
_PATTERN = re.compile(r"((?:[^%_\\]|\\.)*)%")
_SEPARATORS = "/.:"
_CONDITIONS = ("Recheck Cond", "Index Cond", "Filter")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The ``share`` of a table's rows that begin with what a scan looks for, and how many ``times`` the planner's share it is."""

    column: str
    share: float
    times: float


def beginning(catalog: Catalog, table: CatalogTable, scan: PlanNode) -> Beginning | None:
    """Return what is known of the prefix or of the node of a tree that a scan looks below; None if there is none, or the planner knows better."""
    for condition in _CONDITIONS:
        for term in terms.conditions(str(scan.get(condition) or "")).terms:
            column = table.columns.get(term.operand.column or "")
            seen = None if column is None else catalog.beginnings.get((table.oid, column.name))
            given = _given(term) if seen is not None else None
            if column is not None and seen is not None and given is not None:
                return _of_column(column, table, seen, given, is_tree=term.operator == "<@")
    return None


def _given(term: Term) -> str | None:
    found = _GIVEN.match(term.text)
    if found is None:
        return None
    value = found[1].replace("''", "'")
    if term.operator in ("<@", "^@"):
        return value
    whole = _PATTERN.fullmatch(value)
    is_prefix = term.kind is Kind.PREFIX and whole is not None and whole[1]
    return re.sub(r"\\(.)", r"\1", whole[1]) if is_prefix and whole else None


def _of_column(
    column: CatalogColumn, table: CatalogTable, seen: BeginningsSeen, given: str, *, is_tree: bool
) -> Beginning | None:
    inner = seen.bounds[1:-1]  # the planner leaves out the ends
    matching = sum(_is_below(bound, given, is_tree=is_tree) for bound in inner)
    if matching > 1 or len(seen.bounds) <= _FEWEST_BOUNDS:
        return None
    common = sum(
        share
        for value, share in zip(seen.common, seen.shares, strict=False)
        if _is_below(value, given, is_tree=is_tree)
    )
    rest = max(0.0, 1 - column.null_fraction - sum(seen.shares))
    planned = common + rest * min(_MOST, max(_LEAST, matching / len(inner)))
    distinct = max(1.0, min(column.distinct, table.rows) - len(seen.common))
    number = _different(seen.bounds, given, distinct, is_tree=is_tree)
    share = common + rest * min(1 / number, (matching + 1) / len(inner))
    return Beginning(column.name, share, share / planned) if planned > 0 else None


@dataclass(frozen=True, slots=True)
class _Depths:
    """What the bounds of a histogram tell of how many beginnings of each depth there are, in labels or in characters.

    ``numbers`` are those that they tell, ``whole`` is how deep they are on average, ``lengths`` how long the labels of each depth are.
    """

    separator: str
    whole: float
    numbers: tuple[int, ...]
    lengths: tuple[float, ...]
    are_codes: bool

    def different(self, depth: int, distinct: float) -> float:
        """Return how many beginnings of a depth the ``distinct`` values have."""
        if depth < 1:
            return 1.0
        known, number = len(self.numbers), float(self.numbers[-1] if self.numbers else 1)
        if depth <= known:
            return float(self.numbers[depth - 1])
        if depth >= self.whole or distinct <= number:
            return max(distinct, number)
        same = sum(each == 1 for each in self.numbers)
        further = depth - known
        # all of the first ones may have one beginning
        factor = number ** (1 / (known - same)) if number > 1 else float(_FEWEST_BOUNDS)
        alike = min(distinct, number * factor**further)
        if self.separator or self.are_codes:
            return alike
        even = number * (distinct / number) ** (further / (self.whole - known))
        return float(math.sqrt(alike * even))


def _different(bounds: tuple[str, ...], given: str, distinct: float, *, is_tree: bool) -> float:
    """Return how many different beginnings such as a given one the ``distinct`` values have."""
    depths = _depths(bounds, "." if is_tree else "")
    for separator in "" if is_tree else _SEPARATORS:
        if separator in given and all(bound.count(separator) > 1 for bound in bounds):
            found = _depths(bounds, separator)
            depths = found if max(found.numbers, default=1) > 1 else depths
            break
    if not depths.separator:
        return depths.different(len(given), distinct)
    *labels, begun = given.split(depths.separator)
    if is_tree:
        return depths.different(len(labels) + 1, distinct)
    depth = len(labels)
    length = depths.lengths[depth] if depth < len(depths.lengths) else 1.0
    part = min(1.0, len(begun) / max(1.0, length))
    ends = (depths.different(depth, distinct), depths.different(depth + 1, distinct))
    return float(ends[0] ** (1 - part) * ends[1] ** part)


@lru_cache(maxsize=1000)
def _depths(bounds: tuple[str, ...], separator: str) -> _Depths:
    each = [
        tuple(bound.rstrip(separator).split(separator) if separator else bound) for bound in bounds
    ]
    whole = sum(map(len, each)) / len(each)
    numbers = (len({b[:depth] for b in each}) for depth in range(1, math.ceil(whole)))
    lengths = []
    for depth in range(max(map(len, each)) if separator else 0):
        found = [len(b[depth]) for b in each if len(b) > depth]
        lengths.append(sum(found) / len(found))
    letters = [letter for bound in bounds for letter in bound if letter.isalnum()]
    are_codes = 2 * sum(map(str.isdigit, letters)) > len(letters)
    # with more, each bound may be of another, and there may be any number between them
    known = tuple(takewhile(lambda number: number <= len(bounds) / 2, numbers))
    return _Depths(separator, whole, known, tuple(lengths), are_codes)


def _is_below(value: str, given: str, *, is_tree: bool) -> bool:
    return f"{value}.".startswith(f"{given}.") if is_tree else value.startswith(given)
