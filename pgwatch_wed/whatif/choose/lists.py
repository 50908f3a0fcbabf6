"""Lists of which pg_stat_statements tells only the first element: how many they are likely to have.

``state IN ($1 /*, ... */)`` had two elements or more. The planner takes a list that it does not know to have ten, which is the whole table
if the column has six values.
"""

import re
from dataclasses import replace

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
    for each in equal_parameters(query.sql):
        columns = list(compared_columns(oracle, query.sql, each.column))
        if not each.is_array and columns:
            values = max(column.distinct for _, column in columns)
            few[each.number] = max(_LEAST, round(values / _PART))

    def written(found: re.Match[str]) -> str:
        number = few.get(int(found[2]), _ASSUMED)
        return found[0] if number >= _ASSUMED else ", ".join([found[1]] * number)

    text = _LIST.sub(written, query.sql)
    return query if text == query.sql else replace(query, sql=text)
