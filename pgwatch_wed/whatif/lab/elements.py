"""What a GIN index will contain, from statistics: its entries, and how many rows contain each.

ANALYZE counts the elements of arrays and tsvectors. For texts and JSON documents, the statistics contain
some values, which are split in the lab as the operator class would.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.postgres import key_groups
from pgwatch_wed.target import queries
from pgwatch_wed.whatif import spreads
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.lab import samples
from pgwatch_wed.whatif.model import Candidate, Key
from pgwatch_wed.whatif.sizes.postings import Content, Elements

_DEFAULT_TARGET = 100
_FLAT = 0.3
_STEP = 1.25

# what an operator class stores for an entry if that is not its text
_HASHED = 4.0


@dataclass(frozen=True, slots=True)
class _Part:
    """An entry, the number of sampled values that contain it, and the share of rows.

    ``kind`` is its place in a document; ``is_common`` means that its rows were counted.
    """

    kind: str
    values: int
    share: float
    size: int
    is_common: bool


def read(
    connection: psycopg.Connection[Any],
    catalog: Catalog,
    table: CatalogTable,
    index: Candidate,
) -> None:
    """Add the contents of a GIN index's keys, if known from statistics; repeated calls do nothing."""
    for key in index.keys if index.method == "gin" else ():
        if not catalog.is_first_try("contents", table.oid, key):
            continue
        with samples.attempt(connection):
            content = _content(connection, catalog, table, key)
            if content is not None:
                catalog.contents[table.oid, key] = content


def _content(
    connection: psycopg.Connection[Any], catalog: Catalog, table: CatalogTable, key: Key
) -> Content | None:
    column = catalog.column(table, key)
    source = column if key.column is not None else next(iter(spreads.inputs_of(table, key)), None)
    if column is None or source is None or (key.column is None and source.category == "A"):
        return None
    if key.column is not None and "trgm" not in key.operator_class:
        counted = _counted(connection, table, column)
        if counted is not None:
            return counted
    parts = _parts_of(column, key)
    return _taken_apart(connection, table, key, source, parts) if parts else None


def _parts_of(column: CatalogColumn, key: Key) -> sql.Composed | None:
    """Return SQL that splits values, or None if it is not known how."""
    if "trgm" in key.operator_class:
        schema = key.operator_class.rpartition(".")[0]
        function = f"{schema}.show_trgm" if schema else "show_trgm"
        return _entries(f"unnest({function}(value::text))")
    if column.base_type == "tsvector":
        return _entries("unnest(tsvector_to_array(value))")
    if column.category == "A":
        return _entries("unnest(value)")
    if column.base_type == "jsonb":
        scalars, is_path = queries.fragment("lab", "json_scalars"), "path" in key.operator_class
        return queries.fragment(
            "lab", "jsonb_path_ops" if is_path else "jsonb_ops", scalars=scalars
        )
    return None


def _entries(text: str) -> sql.Composed:
    return queries.fragment("lab", "entries_of_values", entries=sql.SQL(text))


# Elements that ANALYZE counted


def _counted(
    connection: psycopg.Connection[Any], table: CatalogTable, column: CatalogColumn
) -> Content | None:
    wanted = {
        "schema": table.schema,
        "table": table.name,
        "column": column.name,
        "is_parent": table.kind == "p",
    }
    row = connection.execute(queries.composed("lab", "counted_elements"), wanted).fetchone()
    if row is None:
        return None
    frequencies, counts, width = row
    # followed by the lowest and highest frequency, and for arrays that of NULL elements
    common = sorted(frequencies[: -3 if counts else -2], reverse=True)
    if not common:
        return None
    each = counts[-1] if counts else _words_a_row(column, width)
    size = float(width) if column.base_type in ("tsvector", "_text", "_varchar") else 8.0
    return Content(tuple(_spread(common, each, table, column)), size + 1)


def _words_a_row(column: CatalogColumn, word: float) -> float:
    """Return how many words a tsvector has: each takes four bytes of header, and four for a position."""
    return max(1.0, column.mean_width / (4 + word + 4.5))


def _spread(
    common: Sequence[float], each: float, table: CatalogTable, column: CatalogColumn
) -> list[Elements]:
    """Return all elements, from the shares of the most common and the mean number per row."""
    rows = table.rows * (1 - column.null_fraction)
    found = [Elements(1.0, rows * share) for share in common]
    rest = each - sum(common)
    if rest <= 0.01 * each:
        return found
    slope = _slope(common)
    if slope < _FLAT:
        number = _number_if_even(common, each, table, column)
        return [Elements(number, max(1.0, rows * each / number))]
    return [*found, *_tail(common, slope, rest, rows)]


def _slope(common: Sequence[float]) -> float:
    """Return the exponent of Zipf's law that fits the shares; the lowest are ignored as noise."""
    ranks = range(max(1, len(common) // 20), max(3, len(common) // 2))
    points = [(math.log(r), math.log(common[r - 1])) for r in ranks if r <= len(common)]
    if len(points) < 3:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return -sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _tail(common: Sequence[float], slope: float, rest: float, rows: float) -> list[Elements]:
    """Continue Zipf's law after the last share until the rest is used up."""
    middle = max(1, len(common) // 2)
    scale = common[middle - 1] * middle**slope
    found, rank = [], float(len(common))
    while rest > 0 and rank < 1e9:
        number = max(1.0, rank * (_STEP - 1))
        share = scale * (rank + number / 2) ** -slope
        number = min(number, rest / share)
        rest -= number * share
        rank += number
        # only some of the very rare ones are present
        there = number * -math.expm1(-rows * share)
        found.append(Elements(there, number * share * rows / there))
    return found


def _number_if_even(
    common: Sequence[float], each: float, table: CatalogTable, column: CatalogColumn
) -> float:
    """Return how many elements there are if all are equally frequent.

    Then ANALYZE's most common elements are those that happened to be sampled most often: by the Poisson
    distribution, a certain number have at least that many rows in the sample.
    """
    target = column.bins or _DEFAULT_TARGET
    sampled = min(table.rows, float(key_groups.BLOCKS_A_TARGET * target))
    least = max(1, round(common[-1] * sampled))
    low, high = math.log(len(common)), math.log(max(len(common) + 1.0, table.rows * each))
    for _ in range(60):
        middle = (low + high) / 2
        number = math.exp(middle)
        expected = number * _at_least(least, sampled * each / number)
        low, high = (middle, high) if expected > len(common) else (low, middle)
    return math.exp(low)


def _at_least(count: int, mean: float) -> float:
    probability, total = math.exp(-mean), 0.0
    for number in range(count):
        total += probability
        probability *= mean / (number + 1)
    return max(0.0, 1 - total)


# Split values


def _taken_apart(
    connection: psycopg.Connection[Any],
    table: CatalogTable,
    key: Key,
    source: CatalogColumn,
    parts: sql.Composed,
) -> Content | None:
    text = key.text if key.column is None else sql.Identifier(source.name).as_string()
    query = queries.composed(
        "lab",
        "entries",
        sampled=samples.sampled(connection, table, source),
        expression=sql.SQL(text),
        name_as_column=sql.Identifier(source.name),
        alias=sql.Identifier(table.name),
        parts=parts,
    )
    with connection.cursor() as cursor:
        rows = cursor.execute(query).fetchall()
    found = [_Part(*row) for row in rows]
    if not found:
        return None
    is_hashed = "trgm" in key.operator_class or "path" in key.operator_class
    size = _HASHED if is_hashed else 1 + sum(part.size for part in found) / len(found)
    return Content(tuple(_elements(found, table.rows)), size)


def _elements(parts: Sequence[_Part], rows: float) -> list[Elements]:
    """Return entries by rows; those in only one value stand for others that are in none of the values."""
    known = [part for part in parts if part.values > 1 or part.is_common]
    found = [Elements(1.0, max(1.0, part.share * rows)) for part in known]
    for kind in {part.kind for part in parts}:
        alike = [part for part in parts if part.kind == kind and not part.is_common]
        once = [part for part in alike if part.values == 1]
        if once:
            twice = sum(part.values == 2 for part in alike)
            together = max(1.0, sum(part.share for part in once) * rows)
            number = _number_of_rare(len(once), twice, together)
            found.append(Elements(number, together / number))
    return found


def _number_of_rare(once: int, twice: int, most: float) -> float:
    """Return how many entries there are if ``once`` of them appear a single time in the sample.

    Chao's estimator; without pairs it is a lower bound, and the middle to the upper one is used.
    """
    if twice:
        return min(most, max(float(once), once * once / (2 * twice)))
    return min(most, max(float(once), math.sqrt(once * once / 2 * most)))
