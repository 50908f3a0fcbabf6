"""Plans of the lab that a server of an earlier version cannot make, and that no setting forbids.

What a setting forbids is off in the lab (:func:`pgwatch_wed.whatif.planner.without_newer_paths`), and skipped keys are prevented
(:mod:`pgwatch_wed.whatif.lab.skips`), as are the order of an index beside an array (:mod:`pgwatch_wed.whatif.lab.ordered_arrays`) and
most arrays of OR (:mod:`pgwatch_wed.sqltext.either_value`). What is left is recognized here, and becomes a doubt.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgwatch_wed.facts.features import Feature, Features
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import INDEX_SCANS, PlanNode, walk
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.lab import skips


@dataclass(frozen=True, slots=True)
class _NewPath:
    """A kind of plan, the feature that it takes, and how it is recognized in a statement's text and plan."""

    feature: Callable[[Features], Feature]
    is_in: Callable[[str, PlanNode], bool]


def doubts(features: Features, text: str, tree: PlanNode) -> Iterator[str]:
    """Yield why a server cannot make this plan of a statement."""
    for each in _NEW:
        feature = each.feature(features)
        if not feature and each.is_in(text, tree):
            yield feature.why_not


def looks_up_arrays(tree: PlanNode) -> bool:
    """Tell whether an index scan, other than a bitmap's, looks up an array."""
    return any(node["Node Type"] in INDEX_SCANS and _has_array(node) for node in walk(tree))


def _is_array_of_or(text: str, tree: PlanNode) -> bool:
    """Tell whether an OR became an array that an index scan, other than a bitmap's, looks up."""
    return not skips.has_arrays(text) and looks_up_arrays(tree)


def _has_array(scan: PlanNode) -> bool:
    found = terms.of_index(scan)
    return any(t.kind is Kind.IN for t in found)


def _joins(kind: str) -> Callable[[str, PlanNode], bool]:
    return lambda _, tree: any(node.get("Join Type") == kind for node in walk(tree))


def _below(parent: str, child: str) -> Callable[[str, PlanNode], bool]:
    return lambda _, tree: any(
        node["Node Type"] == parent and any(c["Node Type"] == child for c in node.get("Plans", ()))
        for node in walk(tree)
    )


def _is_series_of_times(_text: str, tree: PlanNode) -> bool:
    return any(
        node.get("Function Name") == "generate_series"
        and "interval" in str(node.get("Function Call", ""))
        for node in walk(tree)
    )


_NEW = (
    _NewPath(Features.has_incremental_sort_for_windows, _below("WindowAgg", "Incremental Sort")),
    _NewPath(Features.has_incremental_sort_for_distinct, _below("Unique", "Incremental Sort")),
    _NewPath(Features.has_right_anti_joins, _joins("Right Anti")),
    _NewPath(Features.has_ordered_unions, _below("Unique", "Merge Append")),
    _NewPath(Features.has_right_semi_joins, _joins("Right Semi")),
    _NewPath(Features.has_incremental_sort_for_joins, _below("Merge Join", "Incremental Sort")),
    _NewPath(Features.has_arrays_of_or, _is_array_of_or),
    _NewPath(Features.has_estimated_series, _is_series_of_times),
)
