"""What statements are likely to cost, before they are planned: so the costliest come first."""

from collections.abc import Sequence

from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Query


def likely_costs(queries: Sequence[Query], catalog: Catalog) -> dict[str, float]:
    """Return by name the time that was measured, or else the pages of the tables that a statement names, weighted."""
    pages: dict[str, int] = {}
    for table in catalog.tables.values():
        pages[table.name] = max(pages.get(table.name, 0), catalog.pages(table))
    return {
        q.name: q.weight * _pages(q.sql, pages) if q.total_ms is None else q.total_ms
        for q in queries
    }


def _pages(text: str, pages: dict[str, int]) -> float:
    try:
        relations = statement.parse(text).relations
    except UnsupportedError:
        return 1.0
    return 1.0 + sum(pages.get(each.name, 0) for each in relations)
