"""Why no index could be tried for a query, or not for all of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.terms import OpenOperand
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ExistingIndex
from pgwatch_wed.whatif.choose import candidates
from pgwatch_wed.whatif.usage import TableUse

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Opening:
    """An expression over a table that contains parameters: an index would need their values."""

    table: CatalogTable
    operand: OpenOperand


@dataclass(frozen=True, slots=True)
class Untried:
    """What was found of a query that has no candidates, or of a part of it that has none."""

    openings: tuple[Opening, ...] = ()
    covered: tuple[str, ...] = ()
    refused: str = ""
    small: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    hindrance: str = ""
    paging: str = ""

    @property
    def reason(self) -> str:
        """Say why there are no candidates, without what :attr:`openings` say."""
        return "; ".join(filter(None, (self._reason, self.paging)))

    @property
    def _reason(self) -> str:
        if self.covered:
            return f"an index for it exists ({few(self.covered)})"
        if self.refused:
            return self.refused
        if self.empty:
            return (
                f"its statistics show no rows in {few(self.empty)}; if there are some, ANALYZE it"
            )
        if self.small:
            return f"an index on a table as small as {few(self.small)} saves nothing"
        if self.hindrance or self.openings:
            return self.hindrance
        return "no kind of index that is known here serves its conditions"


def untried(
    tree: PlanNode,
    uses: Sequence[TableUse],
    catalog: Catalog,
    covering: Iterable[ExistingIndex],
    hindrance: str,
    paging: str,
) -> Untried:
    """Return what is known of a query from its plan without indexes; ``covering`` do what candidates would."""
    tables = {use.table.oid: use.table for use in uses}.values()
    empty = [t for t in tables if catalog.pages(t) == 0 and catalog.rows(t) == 0]
    small = [t for t in tables if catalog.pages(t) < candidates.MIN_PAGES and t not in empty]
    others = len(tables) - len(small) - len(empty)
    return Untried(
        openings=tuple(openings(tree, [u for u in uses if u.table not in (*small, *empty)])),
        covered=tuple(dict.fromkeys(e.name for e in covering)),
        small=() if others or empty else _names(small),
        empty=() if others else _names(empty),
        hindrance=hindrance,
        paging=paging,
    )


def openings(tree: PlanNode, uses: Sequence[TableUse]) -> Iterable[Opening]:
    """Return the expressions over tables that contain parameters, each once: partitions are compared with the same one."""
    tables = {use.alias: use.table for use in uses}
    found: dict[tuple[int, str], Opening] = {}
    for text in (text for node in walk(tree) for text in usage.decisive(node)):
        for operand in terms.open_operands(text):
            table = tables.get(operand.alias)
            if table is not None:
                found.setdefault((table.oid, operand.text), Opening(table, operand))
    return found.values()


def _names(tables: Iterable[CatalogTable]) -> tuple[str, ...]:
    return tuple(ident(t.schema, t.name) for t in tables)


def few(names: Sequence[str]) -> str:
    """Return the first of several names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
