"""Lists of which pg_stat_statements tells only the first element: how many they are likely to have.

``state IN ($1 /*, ... */)`` had two elements or more. The planner takes a list that it does not know to have ten, which is the whole table
if the column has six values. If the list is all that a statement asks for, as where rows are loaded for others, those that were counted
tell how many elements it has.
"""

import re
from dataclasses import replace
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.equal_parameters import equal_parameters
from pgwatch_wed.sqltext.text import SQUASHED
from pgwatch_wed.whatif.choose.skew import compared_columns
from pgwatch_wed.whatif.model import Query
from pgwatch_wed.whatif.oracle import Oracle

_ASSUMED = 10  # elements of a list of which nothing is known
_LEAST = 2
_PART = 3.0  # who wants more than a third of the values often asks for what is not among the others
_LIST = re.compile(r"(\$(\d+))\s*" + re.escape(SQUASHED))


def with_few_elements(oracle: Oracle, query: Query) -> Query:
    """Return a query with short lists of values of columns that have few; the same query if there are none."""
    if SQUASHED not in query.sql:
        return query
    few: dict[int, int] = {}
    rows = query.rows if _is_all(query.sql) else None
    for each in equal_parameters(query.sql):
        columns = list(compared_columns(oracle, query.sql, each.column))
        if not each.is_array and columns:
            table, column = max(columns, key=lambda found: found[1].distinct)
            likely = column.distinct / _PART
            if rows is not None and column.distinct > 0:
                of_each = max(1.0, table.rows * (1 - column.null_fraction) / column.distinct)
                likely = min(likely, rows / of_each)
            few[each.number] = max(_LEAST, round(likely))

    def written(found: re.Match[str]) -> str:
        number = few.get(int(found[2]), _ASSUMED)
        return found[0] if number >= _ASSUMED else ", ".join([found[1]] * number)

    text = _LIST.sub(written, query.sql)
    return query if text == query.sql else replace(query, sql=text)


def _is_all(text: str) -> bool:
    """Tell whether a statement returns the rows of one table that a list selects, and does nothing else with them."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return False
    select: Any = statement
    sources = select.fromClause or () if isinstance(select, ast.SelectStmt) else ()
    if len(sources) != 1:
        return False
    others = (select.groupClause, select.distinctClause, select.limitCount, select.limitOffset)
    is_computed = any(isinstance(n, ast.FuncCall) for n in trees.walk(select.targetList))
    condition = select.whereClause
    return (
        isinstance(sources[0], ast.RangeVar)
        and isinstance(condition, ast.A_Expr)
        and condition.kind == A_Expr_Kind.AEXPR_IN
        and not is_computed
        and not any(others)
    )
