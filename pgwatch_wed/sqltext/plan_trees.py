"""Reading EXPLAIN (VERBOSE, FORMAT JSON)."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

PlanNode = Mapping[str, Any]


def walk(node: PlanNode) -> Iterator[PlanNode]:
    """Yield a node and all below it, parents first."""
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def inputs(node: PlanNode) -> list[PlanNode]:
    """Return the nodes below one whose rows it reads: not those that compute a value for its conditions."""
    return [c for c in node.get("Plans", ()) if c.get("Parent Relationship") not in _ASIDE]


def condition_texts(node: PlanNode) -> Iterator[str]:
    """Yield what a node of a plan requires of the rows of a table: bounds of an index, what is checked again, and its filter."""
    return (str(node[name]) for name in _REQUIRED if name in node)


INDEX_SCANS = frozenset({"Index Scan", "Index Only Scan"})
_ASIDE = ("InitPlan", "SubPlan")
_REQUIRED = ("Index Cond", "Recheck Cond", "Filter")
_IDENTIFYING = (
    "Node Type",
    "Schema",
    "Relation Name",
    "Index Name",
    "Join Type",
    "Strategy",
    "Scan Direction",
)


def shape_hash(text: str) -> str | None:
    """Return a hash of a plan's nodes, relations, indexes and join order; None if there is no plan.

    ``text`` is EXPLAIN's JSON. Costs, rows and conditions do not count.
    """
    try:
        nodes = list(walk(json.loads(text)[0]["Plan"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    parts = [
        [node.get(name) for name in _IDENTIFYING] + [len(node.get("Plans", ()))] for node in nodes
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def used_names(tree: PlanNode) -> set[str]:
    """Return the names of the indexes that a plan reads."""
    return {node["Index Name"] for node in walk(tree) if "Index Name" in node}


def tables_of(tree: PlanNode) -> set[tuple[str, str]]:
    """Return the tables that a plan reads, with their schemas."""
    nodes = (node for node in walk(tree) if "Relation Name" in node)
    return {(node.get("Schema", ""), node["Relation Name"]) for node in nodes}


def outline(node: PlanNode) -> str:
    """Return a plan's nodes, relations and indexes in one line."""
    name, index = node.get("Relation Name"), node.get("Index Name")
    what = f"{node['Node Type']} {node.get('Schema')}.{name}" if name else str(node["Node Type"])
    what += f" using {index}" if index else ""
    below = ", ".join(outline(child) for child in node.get("Plans", ()))
    return f"{what}({below})" if below else what
