"""Patterns of paths in a tree, ``path ~ 'top.*.blue.*'``, which a GiST index hardly narrows down.

An inner page tells of the labels below it by few bits, which hundreds of labels set all of. Only labels that a pattern begins with
tell where paths are; after no more than the root's, all pages are read.
"""

import re
from itertools import takewhile

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.oracle import IndexShape

_PATTERN = re.compile(r" ~ '([^']*)'::(?:\w+\.)?lquery")
_LABEL = re.compile(r"[\w-]+")


def reads_all_pages(scan: PlanNode, shape: IndexShape) -> bool:
    """Tell whether a scan of an index looks for a pattern of a path that begins with any label, or with the root only."""
    found = _PATTERN.search(str(scan.get("Index Cond") or ""))
    if shape.method != "gist" or found is None:
        return False
    return sum(1 for _ in takewhile(_LABEL.fullmatch, found[1].split("."))) <= 1
