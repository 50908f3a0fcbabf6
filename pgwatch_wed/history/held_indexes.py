"""Whether a snapshot has an index as advised, no longer has one, or has one that was rebuilt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.history import index_forms
from pgwatch_wed.history.index_forms import IndexForm
from pgwatch_wed.history.structure import Status, Structure
from pgwatch_wed.quote import ident
from pgwatch_wed.units import count

# An index that was rebuilt is smaller by at least this fraction.
_SMALLER = 0.1


def wanted(snapshot: Snapshot, table: Table, definition: str, form: IndexForm) -> Structure:
    """Return the structure of an index to be built; indexes that exist now are not the one advised."""
    columns = {c.name: c.attnum for c in snapshot.columns_of[table.oid]}
    existing = [[i.oid, i.schema, i.name] for i in snapshot.indexes_of[table.oid]]
    return Structure(
        "index",
        f"{table.qualified} {_shown(form, definition)}",
        {**_of_table(table), "ddl": definition, "columns": columns, "existing": existing},
    )


def unwanted(snapshot: Snapshot, index: Index) -> Structure:
    """Return the structure of an index to be dropped: how many are like it on its table is remembered."""
    definition = snapshot.definition_by_oid.get(index.oid, "")
    form = index_forms.read(definition)
    return Structure(
        "no index",
        index.qualified,
        {
            "oid": index.oid,
            "table_oid": index.table_oid,
            "schema": index.schema,
            "name": index.name,
            "ddl": definition,
            "alike": len(_alike(snapshot, index.table_oid, form)) if form else None,
        },
    )


def rebuilt(snapshot: Snapshot, index: Index) -> Structure:
    """Return the structure of an index to be rebuilt."""
    stale = [c.name for c in snapshot.collation_versions if index.oid in c.index_oids]
    return Structure(
        "rebuilt index",
        index.qualified,
        {
            "oid": index.oid,
            "table_oid": index.table_oid,
            "schema": index.schema,
            "name": index.name,
            "pages": index.pages,
            "was_valid": index.is_usable,
            "collations": stale,
        },
        is_event=True,
    )


def _of_table(table: Table) -> dict[str, Any]:
    return {"table_oid": table.oid, "schema": table.schema, "table": table.name}


def _shown(form: IndexForm, definition: str) -> str:
    names = [str(k[1]) if k and k[0] == "column" else "(expression)" for k in form.keys]
    extra = f" INCLUDE ({', '.join(form.include)})" if form.include else ""
    where = " partial" if form.predicate else ""
    method = "" if form.method == "btree" else f" {form.method}"
    return f"({', '.join(names)}){method}{extra}{where}" if definition else ""


def table_of(snapshot: Snapshot, known: Mapping[str, Any]) -> Table | None:
    """Find a table by its oid, so that a new name does not matter, or else by its name: it was created again."""
    found = snapshot.table_by_oid.get(known["table_oid"])
    if found is not None:
        return found
    named = snapshot.tables_named.get(known["table"], ())
    return next((t for t in named if t.schema == known["schema"]), None)


# An index to be built


@dataclass(frozen=True, slots=True)
class _Found:
    index: Index
    differences: tuple[str, ...]


def index_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether an index of this structure is there, whatever its name."""
    lacking = snapshot.missing.get("indexes") or snapshot.missing.get("index_definitions")
    if lacking is not None:
        return Status(AppliedState.UNKNOWN, lacking.reason)
    known = structure.known
    table = table_of(snapshot, known)
    if table is None:
        return Status(
            AppliedState.GONE, f"the table {known['schema']}.{known['table']} is no longer there"
        )
    renamed = _renamed(snapshot, table, known)
    if renamed is None:
        return Status(AppliedState.GONE, "a column of it is no longer there")
    form = index_forms.read(known["ddl"], renamed)
    if form is None:
        return Status(AppliedState.UNKNOWN, "its definition cannot be read")
    return _in_tree(snapshot, table, form, known)


def _renamed(snapshot: Snapshot, table: Table, known: Mapping[str, Any]) -> dict[str, str] | None:
    """Return the present names of the index's columns; None if one was dropped."""
    if table.oid != known["table_oid"]:
        return {}
    form = index_forms.read(known["ddl"])
    used = {str(k[1]) for k in form.keys if k and k[0] == "column"} if form else set()
    names: dict[str, str] = {}
    for name, attnum in known["columns"].items():
        column = snapshot.column_by_key.get((table.oid, attnum))
        if column is not None:
            names[name] = column.name
        elif name in used and "columns" not in snapshot.missing:
            return None
    return names


def _in_tree(snapshot: Snapshot, table: Table, form: IndexForm, known: Mapping[str, Any]) -> Status:
    own = _best(snapshot, table, form, known)
    if own is not None and not own.differences and own.index.is_usable:
        oids = (own.index.oid, *_attached(snapshot, own.index))
        return Status(AppliedState.APPLIED, _named(own.index, table, known), oids)
    parts = [_best(snapshot, part, form, known) for part in _leaves(snapshot, table)]
    there = [f for f in parts if f is not None and not f.differences and f.index.is_usable]
    if there:
        return _on_partitions(own, there, len(parts))
    return _other(own) if own is not None else Status(AppliedState.ABSENT)


def _on_partitions(own: _Found | None, there: list[_Found], partitions: int) -> Status:
    oids = tuple(f.index.oid for f in there)
    if len(there) < partitions:
        detail = f"on {len(there)} of {count(partitions, 'partition')}"
    elif own is not None and not own.differences:
        detail = "on all partitions, but the index of the partitioned table is INVALID"
    else:
        detail = "on all partitions, but not on the partitioned table: new partitions will lack it"
    return Status(AppliedState.PARTLY, detail, oids)


def _other(own: _Found) -> Status:
    name = ident(own.index.schema, own.index.name)
    if own.index.is_usable or own.differences:
        detail = f"{name}: {', '.join(own.differences)}"
        broken = "" if own.index.is_usable else ", INVALID"
        return Status(AppliedState.PARTLY, f"{detail}{broken}", (own.index.oid,))
    return Status(AppliedState.PARTLY, f"{name} is INVALID: the build failed or is not finished")


def _named(index: Index, table: Table, known: Mapping[str, Any]) -> str:
    note = (
        ""
        if table.name == known["table"]
        else f" on {table.qualified}, which was {known['schema']}.{known['table']}"
    )
    return f"as {ident(index.schema, index.name)}{note}"


def _best(
    snapshot: Snapshot, table: Table, form: IndexForm, known: Mapping[str, Any]
) -> _Found | None:
    """Return the index that is most like the one advised, if one is.

    Indexes that were there before do not count, unless they are exactly what was advised, now that they are valid.
    """
    existing = {tuple(e) for e in known["existing"]}
    oids, names = {e[0] for e in existing}, {e[1:] for e in existing}
    found = []
    for index in snapshot.indexes_of[table.oid]:
        own = index_forms.read(snapshot.definition_by_oid.get(index.oid, ""))
        if own is None or not index.is_live:
            continue
        differs = tuple(index_forms.differences(form, own, index))
        was_there = index.oid in oids or (index.schema, index.name) in names
        if not differs or (not was_there and _begins_alike(form, own)):
            found.append(_Found(index, differs))
    return min(
        found,
        key=lambda f: (len(f.differences), not f.index.is_usable, f.index.oid),
        default=None,
    )


def _begins_alike(wanted_form: IndexForm, other: IndexForm) -> bool:
    return bool(other.keys) and other.keys[0] in wanted_form.keys


def _leaves(snapshot: Snapshot, table: Table, above: frozenset[int] = frozenset()) -> list[Table]:
    if table.kind != "p" or table.oid in above:
        return []
    found: list[Table] = []
    for part in snapshot.partitions_of[table.oid]:
        deeper = _leaves(snapshot, part, above | {table.oid}) if part.kind == "p" else [part]
        found.extend(deeper)
    return found


def _attached(snapshot: Snapshot, index: Index) -> Iterator[int]:
    for part in snapshot.partition_indexes_of[index.oid]:
        yield part.oid
        yield from _attached(snapshot, part)


# An index to be dropped, or rebuilt


def dropped_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether an index is gone, or another one that was equal to it."""
    if "indexes" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["indexes"].reason)
    known = structure.known
    same = _same(snapshot, known)
    form = index_forms.read(known["ddl"]) if known["ddl"] else None
    before = known["alike"]
    if form is not None and before:
        alike = _alike(snapshot, known["table_oid"], form)
        if len(alike) < before:
            return Status(
                AppliedState.APPLIED, "" if same is None else "its copy was dropped instead"
            )
        if same is None:
            kept = ident(alike[0].schema, alike[0].name)
            return Status(AppliedState.ABSENT, f"the same index was created again, as {kept}")
    return Status(AppliedState.APPLIED) if same is None else Status(AppliedState.ABSENT)


def _alike(snapshot: Snapshot, table_oid: int, form: IndexForm) -> list[Index]:
    found = []
    for index in snapshot.indexes_of[table_oid]:
        own = index_forms.read(snapshot.definition_by_oid.get(index.oid, ""))
        is_like = own is not None and own.is_unique == form.is_unique
        if is_like and own and not any(index_forms.differences(form, own, index)):
            found.append(index)
    return found


def _same(snapshot: Snapshot, known: Mapping[str, Any]) -> Index | None:
    """Find an index by its oid, or by its name: REINDEX CONCURRENTLY gives it another oid."""
    found = snapshot.index_by_oid.get(known["oid"])
    if found is not None:
        return found
    of_table = snapshot.indexes_of[known["table_oid"]]
    return next(
        (i for i in of_table if (i.schema, i.name) == (known["schema"], known["name"])), None
    )


def rebuilt_state(snapshot: Snapshot, structure: Structure) -> Status:
    """Tell whether an index was rebuilt: it became valid, is smaller, or has another oid under its name."""
    if "indexes" in snapshot.missing:
        return Status(AppliedState.UNKNOWN, snapshot.missing["indexes"].reason)
    known = structure.known
    index = _same(snapshot, known)
    if index is None:
        return Status(AppliedState.GONE, "the index is no longer there")
    if not known["was_valid"]:
        return Status(AppliedState.APPLIED if index.is_usable else AppliedState.ABSENT)
    if index.oid != known["oid"] or index.pages < known["pages"] * (1 - _SMALLER):
        return Status(AppliedState.APPLIED, oids=(index.oid,))
    stale = {c.name for c in snapshot.collation_versions if index.oid in c.index_oids}
    if known["collations"] and not stale.intersection(known["collations"]):
        return Status(AppliedState.APPLIED, oids=(index.oid,))
    return Status(AppliedState.ABSENT)
