"""How many periods of two columns overlap another one near the end of all, such as today's: ``tstzrange(starts_at, ends_at) && …``.

The planner takes those that have begun before its end, without those that have ended before its beginning. It spreads the latest
hundredth of the ends evenly up to the last one: if a few periods last for months, as if hundreds went on today. Where
ends lie that much further apart than beginnings, those are taken that have begun no longer ago than a period usually lasts.
"""

import re
from datetime import UTC, datetime
from statistics import median

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable

_RANGE = re.compile(r"(?:tstzrange|tsrange|daterange)\((\w+), (\w+)(?:, [^()]*(?:\([^()]*\))?)?\)")
_PERIOD = re.compile(r"""&& CAST\('[\[(]"?([^",]+)"?,"?([^",]+?)"?[\])]' AS""")
_MOMENT = re.compile(r"@> CAST\('([^']+)' AS")
_APART = 2.0  # times as far as beginnings


def times_overlapping(
    catalog: Catalog, table: CatalogTable, scan: PlanNode, rows: float
) -> float | None:
    """Return how many times the ``rows`` that the planner expects overlap the period that a scan looks for; None if it knows no worse."""
    found = terms.conditions(str(scan.get("Index Cond") or scan.get("Recheck Cond") or ""))
    if len(found.terms) != 1 or found.arms:
        return None
    columns = _RANGE.fullmatch(found.terms[0].operand.text)
    given = _given(found.terms[0])
    if columns is None or given is None:
        return None
    starts, ends = (catalog.times.get((table.oid, name)) for name in columns.groups())
    empty = max(table.columns[name].null_fraction for name in columns.groups())
    if starts is None or ends is None or empty > 0 or len(starts.bounds) != len(ends.bounds):
        return None
    first, last = given
    if not (ends.bounds[-2] < first <= ends.bounds[-1]):
        return None
    if ends.bounds[-1] - ends.bounds[-2] <= _APART * (starts.bounds[-1] - starts.bounds[-2]):
        return None
    lasting = median(e - s for s, e in zip(starts.bounds, ends.bounds, strict=True))
    share = starts.before(last) - starts.before(first - lasting)
    return max(1.0, share * table.rows) / max(1.0, rows)


def _given(term: Term) -> tuple[float, float] | None:
    """Return the beginning and the end of a period that is given, in seconds."""
    period, moment = _PERIOD.search(term.text), _MOMENT.search(term.text)
    texts = period.groups() if period else (moment[1], moment[1]) if moment else None
    try:
        return None if texts is None else (_seconds(texts[0]), _seconds(texts[1]))
    except ValueError:
        return None


def _seconds(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
