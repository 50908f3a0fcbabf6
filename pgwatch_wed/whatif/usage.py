"""A plan → how each of its tables is used: conditions, joins, sort orders, and the columns read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.terms import Conjunction, SortKey, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable

_CONDITIONS = (
    *("Filter", "Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter"),
    *("TID Cond", "One-Time Filter", "Conflict Filter", "Rows Removed by Filter"),
)
_LISTS = ("Sort Key", "Group Key", "Presorted Key", "Hash Key", "Cache Key")
# Nodes that compute their output; all others pass on their input.
_PROJECTING = frozenset(
    {"Nested Loop", "Hash Join", "Merge Join", "Aggregate", "WindowAgg", "Group", "Result"}
) | {"ProjectSet", "ModifyTable", "SetOp"}
_EXACT_BELOW = frozenset(
    {"Append", "Merge Append", "Subquery Scan", "ModifyTable", "Recursive Union"}
)


@dataclass(slots=True)
class TableUse:
    """What one occurrence of a table in a query requires."""

    table: CatalogTable
    alias: str
    groups: list[Conjunction] = field(default_factory=list)
    sorts: list[tuple[SortKey, ...]] = field(default_factory=list)
    grouped: list[tuple[SortKey, ...]] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)
    is_target: bool = False

    def mine(self, group: Conjunction) -> list[Term]:
        """Return the conditions in a group that are on this table."""
        return [t for t in group.terms if t.operand.alias == self.alias]


def uses(tree: PlanNode, catalog: Catalog) -> list[TableUse]:
    """Return the uses of the catalog's tables in a plan; partitions count as their root."""
    found = dict(_scans(tree, catalog))
    for node in walk(tree):
        _add_conditions(node, found)
        _add_orders(node, found)
    only = next(iter(found)) if len(found) == 1 else ""
    for alias, column in _read(tree):
        # with only one table, EXPLAIN prints output columns without an alias
        if (alias or only) in found:
            found[alias or only].needed.add(column)
    for use in found.values():
        use.needed &= use.table.columns.keys()
    return list(_merged(found.values()))


def decisive(node: PlanNode) -> Iterator[str]:
    """Yield the texts of a node that decide how many rows there are, and in which order."""
    yield from _texts(node, (*_CONDITIONS, *_LISTS))


def conditions(node: PlanNode) -> Iterator[str]:
    """Yield the texts of a node that decide how many rows there are."""
    yield from _texts(node, _CONDITIONS)


def _scans(tree: PlanNode, catalog: Catalog) -> Iterator[tuple[str, TableUse]]:
    targets = {
        n.get("Alias") for n in walk(tree) if n["Node Type"] == "ModifyTable" and "Alias" in n
    }
    for node in walk(tree):
        key = (node.get("Schema", ""), node.get("Relation Name", ""))
        table = catalog.by_name.get(key)
        alias = node.get("Alias")
        if table is not None and alias is not None and node["Node Type"] != "ModifyTable":
            yield alias, TableUse(catalog.root(table), alias, is_target=alias in targets)


def _add_conditions(node: PlanNode, found: Mapping[str, TableUse]) -> None:
    if node["Node Type"] in ("Aggregate", "WindowAgg", "Group"):
        return  # HAVING: applies to groups, not to rows
    for text in _texts(node, _CONDITIONS):
        group = terms.conditions(text)
        for alias in _aliases(group) & found.keys():
            found[alias].groups.append(group)


def _aliases(group: Conjunction) -> set[str]:
    below = (alias for arm in group.arms for alias in _aliases(arm))
    return {t.operand.alias for t in group.terms} | set(below)


def _add_orders(node: PlanNode, found: Mapping[str, TableUse]) -> None:
    match node["Node Type"]:
        case "Sort" | "Incremental Sort":
            _add_order(node.get("Sort Key", ()), found, is_sort=True)
        case "Aggregate" | "Group" | "Unique":
            _add_order(node.get("Group Key", ()), found, is_sort=False)
            _add_extremes(node, found)
        case _:
            return


def _add_order(texts: Iterable[str], found: Mapping[str, TableUse], *, is_sort: bool) -> None:
    keys: list[SortKey] = []
    for text in texts:
        key = terms.sort_key(text)
        if key is None or (keys and key.operand.alias != keys[0].operand.alias):
            break
        keys.append(key)
    if keys and keys[0].operand.alias in found:
        use = found[keys[0].operand.alias]
        (use.sorts if is_sort else use.grouped).append(tuple(keys))


def _add_extremes(node: PlanNode, found: Mapping[str, TableUse]) -> None:
    """Note min(x) and max(x) without GROUP BY: the first entry of an index on x provides them."""
    if node.get("Group Key"):
        return
    for text in node.get("Output", ()):
        for operand in terms.extremes(text):
            if operand.alias in found:
                found[operand.alias].sorts.append((SortKey(operand, ""),))


def _read(tree: PlanNode) -> Iterator[tuple[str, str]]:
    """Yield every column that is really read in or above a scan."""
    for node, is_exact in _with_parents(tree):
        texts = list(decisive(node))
        if is_exact or node["Node Type"] in _PROJECTING:
            texts += node.get("Output", ())
        for text in texts:
            yield from terms.references(text)


def _with_parents(tree: PlanNode) -> Iterator[tuple[PlanNode, bool]]:
    """Yield nodes, and whether their output is exactly what is required of them."""
    stack: list[tuple[PlanNode, bool]] = [(tree, True)]
    while stack:
        node, is_exact = stack.pop()
        yield node, is_exact
        below = node["Node Type"] in _EXACT_BELOW
        stack += [
            (child, below or child.get("Parent Relationship") in ("InitPlan", "SubPlan"))
            for child in node.get("Plans", ())
        ]


def _texts(node: PlanNode, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        value: Any = node.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (each for each in value if isinstance(each, str))


def _merged(found: Iterable[TableUse]) -> Iterator[TableUse]:
    """Yield each use once: all partitions of a table are used alike."""
    seen: dict[tuple[int, tuple[str, ...]], TableUse] = {}
    for use in found:
        key = (use.table.oid, tuple(sorted(_signature(use))))
        if key not in seen:
            seen[key] = use
            yield use
        else:
            seen[key].needed.update(use.needed)


def _signature(use: TableUse) -> set[str]:
    return {t.text for g in use.groups for t in use.mine(g)} or {use.alias}
