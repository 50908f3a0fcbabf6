"""How many rows meet conditions, as the planner estimates it in the lab."""

from collections.abc import Callable, Collection, Hashable
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import CatalogTable
from pgwatch_wed.whatif.lab import skips
from pgwatch_wed.whatif.lab.lab_connections import LabConnections
from pgwatch_wed.whatif.lab.lab_indexes import LabIndexes
from pgwatch_wed.whatif.lab.shown_indexes import ShownIndexes
from pgwatch_wed.whatif.lab.skips import BTree
from pgwatch_wed.whatif.model import Candidate


class SatisfyingRows:
    """Estimates, each made once."""

    def __init__(
        self, connections: LabConnections, indexes: LabIndexes, shown: ShownIndexes
    ) -> None:
        self._connections, self._indexes, self._shown = connections, indexes, shown
        self._known: dict[tuple[Hashable, ...], float | None] = {}

    def in_order(self, node: PlanNode) -> float | None:
        """Return how many rows an index scan reads to its end, including those that it excludes; None if that is not known."""
        return self._of_scan(node, skips.bounds)

    def meeting(self, node: PlanNode, kinds: Collection[Kind] | None = None) -> float | None:
        """Return how many rows meet the conditions of an index scan, or those of some kinds, wherever they are in it; None if that is not known."""
        return self._of_scan(node, lambda each, _: skips.met(each, kinds))

    def _of_scan(
        self, node: PlanNode, conditions: Callable[[PlanNode, BTree], list[str]]
    ) -> float | None:
        name = node["Index Name"]
        tree, table = self._indexes.btree(name), self._indexes.catalog.table_of(node)
        if tree is None or table is None:
            return None
        predicate = self._indexes.predicate(name)
        where = [*conditions(node, tree), *([predicate] if predicate else [])]
        if not where:
            return table.rows
        condition = " and ".join(f"({text})" for text in where)
        return self._of(table, condition, self._indexes.candidate(name))

    def _of(
        self, table: CatalogTable, condition: str, index: Candidate | None = None
    ) -> float | None:
        """Return how many rows of a table satisfy a condition.

        What the planner knows of an expression, it knows of an index on it.
        """
        has_expression = index is not None and any(k.column is None for k in index.keys)
        shown = [index] if index is not None and has_expression else []
        known = (table.oid, condition, *shown)
        if known not in self._known:
            name = sql.Identifier(table.schema, table.name).as_string()
            text = f"select from {name} where {condition}"
            with self._connections.planning() as session:
                try:
                    self._shown.show(session, [self._indexes.built[i] for i in shown], [], None)
                    self._known[known] = estimated(session.connection, text, "generic_plan, ")
                except psycopg.Error:
                    self._known[known] = None
                finally:
                    session.connection.rollback()
        return self._known[known]


def estimated(connection: psycopg.Connection[Any], query: str, options: str = "") -> float:
    """Return how many rows the planner expects of a query of ours; ``options`` are those of EXPLAIN, each with a comma."""
    row = connection.execute(f"explain ({options}format json) {query}".encode()).fetchone()
    assert row is not None
    return float(row[0][0]["Plan"]["Plan Rows"])
