"""Queries for the advisor, and what a real server plans for them."""

from typing import Any

import psycopg

from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.whatif.model import Query
from pgwatch_wed.whatif.workload import query_of


def query(text: str, **more: Any) -> Query:
    """Make a query that the advisor takes; its text is its name unless another is given."""
    found = query_of(more.pop("name", text), text, **more)
    assert isinstance(found, Query), found
    return found


def real_plan(connection: psycopg.Connection[Any], text: str) -> PlanNode:
    """Return the root of a statement's plan on a real server."""
    row = connection.execute(f"explain (verbose, format json) {text}".encode()).fetchone()
    assert row is not None
    tree: PlanNode = row[0][0]["Plan"]
    return tree


def shape(tree: PlanNode) -> list[str]:
    """Return a plan's nodes with their tables, by which plans are compared."""
    return [f"{n['Node Type']} {n.get('Relation Name', '')}" for n in walk(tree)]
