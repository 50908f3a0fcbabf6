"""What the blocks that calls touched tell of their values, which the planner assumes.

If the present plan looks values up, and calls touched fewer blocks than it would for those that are assumed, their values are of
fewer rows. A new plan touches as many times fewer; or more, if they touched more. If LIMIT ends a scan that excludes rows, the part
that calls read of it tells how many rows match. If a statement has parts, for frequent and for other values, counted
blocks between those of the parts tell how many calls are of which: calls of likely parts move first. Where a list is looped over, they tell how long it is. A plan that reads a table whole and looks others up for its rows
tells nothing if calls touched as many blocks as all of them have: then the server, which knows the values, may have read all whole.
So does one that looks up rows of one table if they touched as many blocks as it has.
"""

from collections.abc import Sequence

from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.choose.tilted import mean_of, tilted

_ALL = 0.8  # of a scan, which the planner's sizes tell no better
_NEAR = 0.1
_SAME = 0.02
_BESIDE = 0.2  # of the blocks of a plan that looks rows up
_FETCHING = frozenset({"Index Scan", "Seq Scan"})
_FEWEST = 4.0  # blocks of a call that looks one row up
_APART = 1.5  # times as many blocks, from which on parts are told from each other
INEXACT = 1.2  # planned blocks are good within this factor
_UNLIKELY = 1e-6  # the share of calls for which there was no sign, but which blocks may tell
BEYOND = 2.0  # times the most, as many are still those of frequent values: how far LIMIT reads is not known better


def shares(
    weights: Sequence[float],
    planned: Sequence[float | None],
    counted: float | None,
    most_times: float = INEXACT,
) -> list[float]:
    """Return the shares of the parts of a statement, given their ``planned`` blocks, or rows, and those of a call that were counted."""
    total = sum(weights)
    found = [w / total for w in weights] if total > 0 else [1 / len(weights) for _ in weights]
    usual = mean(found, planned)
    if counted is None or usual is None or not tell(planned, counted, most_times):
        return found
    each = [blocks for blocks in planned if blocks is not None]
    if min(each) == max(each):
        return found
    likely = [max(share, _UNLIKELY) for share in found]
    return tilted(likely, each, _meant(likely, each, counted))


def _meant(likely: Sequence[float], blocks: Sequence[float], counted: float) -> float:
    """Return the mean blocks that parts should have together, given those of a call that were ``counted``.

    That is no less than the mean of those that are like the cheapest, and no more than that of those like the dearest. If even more was
    counted, more is planned too low than shares can tell: then calls of others remain, as far as planned blocks are inexact.
    """
    least, most = min(blocks), max(blocks)
    cheapest = [
        share * (each <= INEXACT * least) for share, each in zip(likely, blocks, strict=True)
    ]
    dearest = [share * (INEXACT * each >= most) for share, each in zip(likely, blocks, strict=True)]
    highest = mean_of(dearest, blocks)
    if counted <= highest:
        return max(counted, mean_of(cheapest, blocks))
    return max(mean_of(likely, blocks), highest * max(highest / counted, 1 / INEXACT))


def tell(
    planned: Sequence[float | None], counted: float | None, most_times: float = INEXACT
) -> bool:
    """Tell whether what was counted of a call lies between what is planned for the parts of a statement, which differ.

    It may be ``most_times`` as much as the most of them.
    """
    each = [number for number in planned if number is not None]
    if counted is None or len(each) < max(2, len(planned)):
        return False
    least, most = min(each), max(each)
    return least / INEXACT <= counted <= most * most_times and most >= _APART * least


def mean(of: Sequence[float], blocks: Sequence[float | None]) -> float | None:
    """Return the mean blocks of a call by the shares of the parts; None if those of one are not known."""
    known = [each for each in blocks if each is not None]
    if len(known) < len(blocks):
        return None
    return sum(share * each for share, each in zip(of, known, strict=True))


def fewer(
    blocks: float, counted: float, planned: float, certain: float, certain_now: float
) -> float:
    """Return the part of the blocks of a call that was counted of the ``planned`` ones, but no fewer than it takes to look a row up.

    The ``certain`` ones, and ``certain_now`` those of the new plan, do not depend on values, unless fewer were counted.
    """
    if counted < certain or planned <= certain:
        certain = certain_now = 0.0
    part, open_ = (counted - certain) / (planned - certain), max(0.0, blocks - certain_now)
    return certain_now + max(min(open_, _FEWEST), open_ * part)


def more(blocks: float, times: float, lookups: int = 1, certain: float = 0.0) -> float:
    """Return so many times the blocks of a call, beyond ``certain`` ones and those that it takes to look a row up in each of ``lookups`` partitions."""
    return blocks + max(0.0, blocks - certain - _FEWEST * lookups) * (times - 1)


def lookups(tree: PlanNode) -> int:
    """Return in how many partitions a plan looks rows up; 1 if the table is not partitioned."""
    scans = (
        sum("Index Cond" in str(child) for child in inputs(node))
        for node in walk(tree)
        if node["Node Type"] in ("Append", "Merge Append")
    )
    return max(1, max(scans, default=1))


def part_read(tree: PlanNode, whole: float, counted: float, catalog: Catalog) -> float | None:
    """Return the part that calls read of a scan that LIMIT ends, and that excludes rows; None for another plan.

    ``whole`` are the blocks of all of it. The server, which knows the values, may also have read and sorted the whole table.
    """
    below = inputs(tree)
    if tree["Node Type"] != "Limit" or len(below) != 1 or "Filter" not in below[0]:
        return None
    scan = below[0]
    table = catalog.table_of(scan)
    if table is None or scan["Node Type"] not in _FETCHING or whole <= 1:
        return None
    is_table = abs(counted - table.pages) <= _NEAR * table.pages
    return 1.0 if is_table or counted >= _ALL * whole else counted / whole


def is_loop_over_list(tree: PlanNode) -> bool:
    """Tell whether a plan reads tables whole for each element of a list, and nothing else: then blocks tell how long lists are."""
    node = tree
    while node["Node Type"] != "Nested Loop":
        below = inputs(node)
        if len(below) != 1:
            return False
        node = below[0]
    outer, inner = inputs(node)
    scans = [each for each in walk(inner) if "Relation Name" in each]
    is_list = not any("Relation Name" in each or "CTE Name" in each for each in walk(outer))
    return is_list and bool(scans) and all(each["Node Type"] == "Seq Scan" for each in scans)


def may_have_read_all(tree: PlanNode, counted: float, catalog: Catalog) -> bool:
    """Tell whether calls that touched ``counted`` blocks may have read all tables whole of which a plan looks some up."""
    scans = [node for node in walk(tree) if "Relation Name" in node]
    if tree["Node Type"] == "ModifyTable":
        return False
    names = {(node.get("Schema", ""), node["Relation Name"]) for node in scans}
    pages = [catalog.by_name[name].pages for name in names if name in catalog.by_name]
    is_any_whole = any(node["Node Type"] == "Seq Scan" for node in scans)
    if len(pages) == 1:
        return not is_any_whole and abs(counted - pages[0]) <= _SAME * pages[0]
    return is_any_whole and bool(pages) and counted >= sum(pages)


def looks_up(
    tree: PlanNode, planned: float, counted: float, certain: float, catalog: Catalog
) -> bool:
    """Tell whether a plan of ``planned`` blocks reads hardly any table as a whole, or looks up what was ``counted`` beyond the ``certain`` ones.

    Those are of tables that it reads once and whole. If they are many, calls must not have read another table whole, either, and what
    they read beyond must be rows of the values: not values that are stored out of line, nor what is looked up by a unique key.
    """
    whole, others, is_open = 0.0, [], True
    for node in walk(tree):
        table = catalog.table_of(node)
        if table is not None and node["Node Type"] == "Seq Scan":
            whole += table.pages
        elif table is not None:
            others.append(table.pages)
            is_open = is_open and float(node.get("Plan Rows", 0)) > 1
        is_open = is_open and (table is None or not catalog.has_toast(table))
    if whole <= _BESIDE * planned:
        return True
    return is_open and whole <= certain < counted < certain + min(others, default=0.0)
