"""A plan in words, out of EXPLAIN's JSON."""

from collections.abc import Mapping
from typing import Any


def outline(node: Mapping[str, Any]) -> str:
    """Return a plan's nodes and relations in one line."""
    name = node.get("Relation Name")
    what = f"{node['Node Type']} {node.get('Schema')}.{name}" if name else str(node["Node Type"])
    below = ", ".join(outline(child) for child in node.get("Plans", ()))
    return f"{what}({below})" if below else what
