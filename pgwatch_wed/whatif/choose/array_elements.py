"""Arrays of which an element is sought that is not known: ``tags && ARRAY[$1]``.

The planner takes a hundredth or a two hundredth of the rows to have it. Where ANALYZE has counted the elements, an average one has
as many rows as there are elements in all rows, by the number of different ones.
"""

import re

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable

_GIVEN = re.compile(r"(&&|@>) (?:CAST\()?ARRAY\[((?:\$\d+(?:, )?)+)\]")


def rows_of_elements(catalog: Catalog, table: CatalogTable, scan: PlanNode) -> float | None:
    """Return how many rows a bitmap scan finds that looks for unknown elements alone; None for another, or if nothing is known of elements."""
    group = terms.conditions(str(scan.get("Recheck Cond") or ""))
    if len(group.terms) != 1 or group.arms or group.terms[0].operand.column is None:
        return None
    given = _GIVEN.search(group.terms[0].text)
    average = _average(catalog, table, group.terms[0].operand.column)
    if given is None or average is None:
        return None
    # rows with all of several elements are fewer than those with one of them
    return average * (given[2].count("$") if given[1] == "&&" else 1)


def _average(catalog: Catalog, table: CatalogTable, column: str) -> float | None:
    """Return how many rows have an average element of a column."""
    found = (
        content
        for (oid, key), content in catalog.contents.items()
        if oid == table.oid and key.column == column
    )
    content = next(found, None)
    number = sum(each.number for each in content.elements) if content is not None else 0.0
    if content is None or number <= 0:
        return None
    return sum(each.number * each.rows for each in content.elements) / number
