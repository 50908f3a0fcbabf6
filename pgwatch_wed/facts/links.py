"""What one collection of a snapshot file takes from another: oids in the same order, and names that are made of others.

Besides the ways of :mod:`.columns`, a column of a file may be written as

``{"as": "indexes"}``     the oids of another collection, in its order;
``{"spelled": ["…_idx"]}`` texts in which the first character U+0001 is the name of the row's table, and so on: see _SPELLED.

Tables and columns are read before the others. A column is written in this way only if it reads back as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pgwatch_wed.facts import documents
from pgwatch_wed.facts.columns import column_of, values_of
from pgwatch_wed.quote import ident

FactRows = Mapping[str, tuple[Any, ...]]
_NameParts = list[tuple[str, ...]]
_RowValues = Mapping[str, list[Any]]

_AS = {
    "index_definitions": "indexes",
    "index_usage": "indexes",
    "table_activity": "tables",
}
# Parts are names of at most 63 bytes, and definitions have at most 32 columns.
_LONGEST = 8_000
_MARKS = tuple(map(chr, range(1, 5)))


def order(facts: Sequence[str]) -> list[str]:
    """Return names of facts so that each follows those that it takes something from."""
    first = ("tables", "columns", "indexes")
    return [n for n in first if n in facts] + [n for n in facts if n not in first]


def link(fact: str, document: dict[str, Any], rows: FactRows) -> None:
    """Write the columns of a collection as what other collections say, where that is shorter."""
    columns = document["columns"]
    mine = rows[fact]
    if fact in _AS and [r.oid for r in mine] == [r.oid for r in rows.get(_AS[fact], ())]:
        columns["oid"] = {"as": _AS[fact]}
    for name, (needed, parts_of) in _SPELLED.get(fact, {}).items():
        texts = [getattr(row, name) for row in mine]
        values = {n: [getattr(row, n) for row in mine] for n in needed}
        written = _spelled(texts, parts_of(values, rows))
        if written is not None and _size(written) < _size(columns[name]):
            columns[name] = written


def unlink(fact: str, document: Any, rows: FactRows) -> None:
    """Write the columns of a collection as they would be without others. Raises what :mod:`.columns` raises."""
    columns = document["columns"]
    oids = columns.get("oid")
    if isinstance(oids, dict) and "as" in oids:
        columns["oid"] = [row.oid for row in rows[_AS[fact]]]
    for name, (needed, parts_of) in _SPELLED.get(fact, {}).items():
        column = columns.get(name)
        if isinstance(column, dict) and "spelled" in column:
            texts = values_of(str | None, column["spelled"])
            values = {n: values_of(_HINTS[n], columns[n]) for n in needed}
            columns[name] = _told(texts, parts_of(values, rows))


def _size(column: Any) -> int:
    return len(documents.text(column))


# --- texts that are made of others ----------------------------------------------------------------


def _spelled(texts: list[str | None], parts: _NameParts) -> dict[str, Any] | None:
    found = [_marked(text, own) for text, own in zip(texts, parts, strict=True)]
    return {"spelled": column_of(found, str)} if _told(found, parts) == texts else None


def _marked(text: str | None, parts: tuple[str, ...]) -> str | None:
    for mark, part in zip(_MARKS, parts, strict=False):
        if text and part:
            text = text.replace(part, mark, 1)
    return text


def _told(texts: list[str | None], parts: _NameParts) -> list[str | None]:
    told: list[str | None] = []
    for text, own in zip(texts, parts, strict=True):
        if text is not None and sum(map(len, own)) < _LONGEST:
            for mark, part in zip(reversed(_MARKS[: len(own)]), reversed(own), strict=True):
                if part:
                    text = text.replace(mark, part, 1)
        told.append(text)
    return told


# --- of what --------------------------------------------------------------------------------------


def _of_table(oids: str, numbers: str) -> Callable[[_RowValues, FactRows], _NameParts]:
    """Return what makes names of a table's and of columns' names."""

    def parts(values: _RowValues, rows: FactRows) -> _NameParts:
        table = {t.oid: t.name for t in rows.get("tables", ())}
        column = _columns(rows)
        return [
            (table.get(oid, ""), "_".join(column.get((oid, n), "") for n in own if n))
            for oid, own in zip(values[oids], values[numbers], strict=True)
        ]

    return parts


def _columns(rows: FactRows) -> dict[tuple[int, int], str]:
    return {(c.table_oid, c.attnum): c.name for c in rows.get("columns", ())}


def _of_name(values: _RowValues, _: FactRows) -> _NameParts:
    return [(name,) for name in values["name"]]


def _of_index(values: _RowValues, rows: FactRows) -> _NameParts:
    """Return the parts of CREATE INDEX."""
    tables = {t.oid: ident(t.schema, t.name) for t in rows.get("tables", ())}
    quoted = {key: ident(name) for key, name in _columns(rows).items()}
    indexes = {
        i.oid: (
            f" {ident(i.name)} ON ",
            tables.get(i.table_oid, ""),
            f"({', '.join(quoted.get((i.table_oid, n), '') for n in i.columns[: i.key_count])})",
        )
        for i in rows.get("indexes", ())
    }
    return [indexes.get(oid, ()) for oid in values["oid"]]


_HINTS: Mapping[str, Any] = {
    "oid": int,
    "table_oid": int,
    "name": str,
    "columns": tuple[int, ...],
}
_SPELLED: Mapping[
    str, Mapping[str, tuple[tuple[str, ...], Callable[[_RowValues, FactRows], _NameParts]]]
] = {
    "indexes": {
        "name": (("table_oid", "columns"), _of_table("table_oid", "columns")),
        "constraint_name": (("name",), _of_name),
    },
    "constraints": {"name": (("table_oid", "columns"), _of_table("table_oid", "columns"))},
    "index_definitions": {"definition": (("oid",), _of_index)},
}
"""Which columns are spelled with the names of others: what of their own rows tells which, and the parts."""
