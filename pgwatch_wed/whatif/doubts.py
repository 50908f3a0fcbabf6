"""Which doubts concern a plan: those about the tables and columns that decide it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Doubt

Named = tuple[str, str]


def about(tree: PlanNode, catalog: Catalog, doubts: Iterable[Doubt]) -> tuple[str, ...]:
    """Return the reasons why the target may plan a statement otherwise, each once."""
    found = tuple(doubts)
    if not found:
        return ()
    compared = _compared(tree, catalog)
    return tuple(dict.fromkeys(d.reason for d in found if _concerns(d, compared)))


def _concerns(doubt: Doubt, compared: Mapping[Named, set[str]]) -> bool:
    columns = compared.get((doubt.schema, doubt.table))
    if columns is None:
        return False
    return not doubt.columns or len(doubt.columns & columns) >= doubt.least


def _compared(tree: PlanNode, catalog: Catalog) -> dict[Named, set[str]]:
    """Return the columns that each table of a plan compares, joins, sorts or groups by; partitions count for their parents."""
    tables = _tables(tree, catalog)
    only = next(iter(tables)) if len(tables) == 1 else ""
    parents = {name for own in tables.values() for name in own if len(own) > 1}
    found: dict[Named, set[str]] = defaultdict(set)
    for names in tables.values():
        for name in names:
            found[name] |= set()
    for node in walk(tree):
        for text in usage.decisive(node):
            for alias, column in terms.references(text):
                # above the scans of partitions, columns are those of their parent
                for name in tables.get(alias or only, parents):
                    found[name].add(column)
    return found


def _tables(tree: PlanNode, catalog: Catalog) -> dict[str, set[Named]]:
    """Return tables, and those above them, by alias."""
    found: dict[str, set[Named]] = defaultdict(set)
    for node in walk(tree):
        if "Relation Name" in node and "Alias" in node:
            name = (node.get("Schema", ""), node["Relation Name"])
            found[node["Alias"]] |= {name, *_above(name, catalog)}
    return found


def _above(name: Named, catalog: Catalog) -> Iterable[Named]:
    table = catalog.by_name.get(name)
    while table is not None and table.parent is not None:
        table = catalog.tables.get(table.parent)
        if table is not None:
            yield table.schema, table.name
