"""What the lab knows of values: types of expressions, usual values of columns, paths in documents."""

from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg import sql

from pgwatch_wed.target import queries
from pgwatch_wed.whatif.catalog import CatalogTable, ComputedShare
from pgwatch_wed.whatif.lab import samples, satisfying_rows
from pgwatch_wed.whatif.lab.lab_connections import LabConnections
from pgwatch_wed.whatif.operator_classes import ValueType
from pgwatch_wed.whatif.oracle import DocumentPath

_MOST_RARE = 0.1  # of the rows, with values that are not among the most common ones


class LabValues:
    """Asks the lab, once for each expression or column."""

    def __init__(self, connections: LabConnections) -> None:
        self._connections = connections
        self._types: dict[tuple[int, str], ValueType | None] = {}
        self._usual: dict[tuple[int, str], Sequence[tuple[str, float]]] = {}

    def type_of(self, table: CatalogTable, text: str) -> ValueType | None:
        """Return the type of an expression over a table's columns, or None if the server refuses it."""
        if (table.oid, text) not in self._types:
            self._types[table.oid, text] = None
            name = sql.Identifier(table.schema, table.name)
            asked = queries.composed(
                "lab", "typed_expression", expression=sql.SQL(text), table=name
            )
            connections = self._connections
            with (
                connections.guest() as reader,
                suppress(psycopg.Error),
                connections.searching(reader),
            ):
                described = reader.execute(asked)
                oid = described.description[0].type_code if described.description else 0
                kind = reader.execute(queries.composed("lab", "value_type"), {"type": oid})
                self._types[table.oid, text] = kind.fetchone()
        return self._types[table.oid, text]

    def usual(self, table: CatalogTable, column: str) -> Sequence[tuple[str, float]]:
        """Return values of a column with their shares of the rows, or 0 where that is not known."""
        known = (table.oid, column)
        if known not in self._usual:
            wanted = {"schema": table.schema, "table": table.name, "column": column}
            with self._connections.guest() as reader:
                row = reader.execute(queries.composed("lab", "usual_values"), wanted).fetchone()
            common, shares, bounds = (None, None, None) if row is None else row
            self._usual[known] = (
                *zip(common or (), shares or (), strict=False),
                *((b, 0.0) for b in bounds or ()),
            )
        return self._usual[known]

    def share_meeting(
        self, table: CatalogTable, column: str, condition: str
    ) -> ComputedShare | None:
        """Return the share of rows that meet a condition on a column, if its common values are nearly all; None if not known."""
        if table.rows < 1:
            return None
        name = sql.Identifier(table.schema, table.name).as_string()
        with (
            self._connections.guest() as reader,
            suppress(psycopg.Error),
            self._connections.searching(reader),
            samples.attempt(reader),
        ):
            values = {
                "sampled": samples.sampled(reader, table, table.columns[column]),
                "columns": sql.SQL("value as {}").format(sql.Identifier(column)),
                "alias": sql.Identifier(table.name),
                "expression": sql.SQL(condition),
            }
            rows = reader.execute(queries.composed("lab", "expression_values", **values)).fetchall()
            every = sum(share for _, _, _, share, _, _ in rows)
            rare = sum(share * (1 - common / times) for _, _, times, share, common, _ in rows)
            if every <= 0 or rare > _MOST_RARE * every:
                return None
            planned = satisfying_rows.estimated(reader, f"select from {name} where {condition}")
            met = sum(share for value, _, _, share, _, _ in rows if value == "true")
            return ComputedShare(met, max(1.0, planned) / table.rows)
        return None

    def document_paths(self, table: CatalogTable, column: str) -> tuple[DocumentPath, ...]:
        """Return the paths to values that most documents in a column have, as far as statistics show them."""
        found = table.columns.get(column)
        if found is None or found.base_type != "jsonb":
            return ()
        wanted = {"schema": table.schema, "table": table.name, "column": column}
        with self._connections.guest() as reader:
            rows = reader.execute(queries.composed("lab", "document_paths"), wanted).fetchall()
        return tuple(DocumentPath(tuple(names), kind or "", share) for names, kind, share in rows)
