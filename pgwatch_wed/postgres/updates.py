"""Which columns statements change and how often, and which they read in a way that needs a full B-tree."""

import re
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import named
from pgwatch_wed.postgres.statements import readable
from pgwatch_wed.sqltext.reading import updated


@dataclass(frozen=True, slots=True)
class Update:
    """A statement that updates a table: the columns it sets, and the rows it changed."""

    statement: Statement
    columns: frozenset[str]

    @property
    def rows(self) -> int:
        """Rows changed since the counters began."""
        return self.statement.rows


@derived
def updates(snapshot: Snapshot) -> dict[int, list[Update]]:
    """Return the visible updates by the OID of the table that they name.

    Nested statements count: an update in a function is like any other.
    """
    found: dict[int, list[Update]] = {}
    for statement, text in readable(snapshot):
        for target in updated(text) if statement.rows else ():
            table = named.table(snapshot, target.schema, target.table)
            if table is not None:
                found.setdefault(table.oid, []).append(Update(statement, target.columns))
    return found


def reads_in_order_or_null(snapshot: Snapshot, table: Table, column: str) -> bool:
    """Tell whether a visible statement on a table needs a column's NULLs, order, minimum or maximum.

    Such statements need a full B-tree. The text is only searched for words, which errs on the safe side.
    """
    name = re.escape(column)
    wanted = re.compile(
        rf"\b{name}\"?\s+is\s+(?:not\s+distinct|null)|order\s+by[^;)]*\b{name}\b|"
        rf"\b(?:min|max)\s*\(\s*[\w.\"]*\b{name}\b",
        re.IGNORECASE,
    )
    return any(
        table.name in text and wanted.search(text) is not None for _, text in readable(snapshot)
    )
