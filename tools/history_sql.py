"""Print the statements that create the history's tables: `python tools/history_sql.py sqlite|postgresql`.

For a first draft of a migration; what has been released never changes.
"""

import sys
from types import ModuleType

from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from pgwatch_wed.history.schema import SCHEMA, metadata

_DIALECTS: dict[str, ModuleType] = {"sqlite": sqlite, "postgresql": postgresql}


def copy(schema: str) -> MetaData:
    """Return the tables in a schema."""
    found = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(found, schema=schema)
    return found


def statements(kind: str) -> list[str]:
    """Return CREATE TABLE and CREATE INDEX of every table."""
    dialect = _DIALECTS[kind].dialect()
    found = []
    tables = copy(SCHEMA) if kind == "postgresql" else metadata
    for table in tables.sorted_tables:
        indexes = sorted(table.indexes, key=lambda i: str(i.name))
        elements: list[DDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
        for element in elements:
            text = str(element.compile(dialect=dialect))
            found.append("\n".join(line.rstrip() for line in text.strip().splitlines()))
    return found


if __name__ == "__main__":
    for each in statements(sys.argv[1]):
        sys.stdout.write(f"{each};\n\n")
