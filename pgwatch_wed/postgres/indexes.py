"""What several rules know about indexes: identity, coverage and protection."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Constraint, Index, Snapshot, Table, TableActivity
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Object

# Storage parameters that change what an index can answer, not only how it is stored.
_MEANINGFUL_OPTIONS = ("pages_per_range", "length", "col")
_DEFAULT_OPTIONS = frozenset(("pages_per_range=128", "length=80"))


def object_of(snapshot: Snapshot, index: Index) -> Object:
    """Name an index for a finding."""
    return Object(
        "index",
        index.name,
        database=snapshot.server.database,
        schema=index.schema,
        table=table_name(snapshot, index.table_oid),
    )


def table_object(snapshot: Snapshot, table: Table) -> Object:
    """Name a table for a finding."""
    return Object(
        "table",
        table.name,
        database=snapshot.server.database,
        schema=table.schema,
        table=table.name,
    )


def constraint_object(snapshot: Snapshot, constraint: Constraint, table: Table) -> Object:
    """Name a table's constraint for a finding."""
    return Object(
        "constraint",
        constraint.name,
        database=snapshot.server.database,
        schema=table.schema,
        table=table.name,
    )


def table_name(snapshot: Snapshot, oid: int) -> str | None:
    """Return a table's bare name."""
    table = snapshot.table_by_oid.get(oid)
    return table.name if table else None


def partitions(snapshot: Snapshot, table_oid: int) -> Iterator[int]:
    """Yield a table's oid and those of its partitions and inheritance children, at every level."""
    seen, open_ = {table_oid}, [table_oid]
    while open_:
        oid = open_.pop()
        yield oid
        below = [t.oid for t in snapshot.partitions_of[oid] if t.oid not in seen]
        seen.update(below)
        open_ += below


def with_parts(snapshot: Snapshot, index: Index) -> Iterator[Index]:
    """Yield an index and those of partitions that belong to it, at every level."""
    seen, open_ = {index.oid}, [index]
    while open_:
        one = open_.pop()
        yield one
        children = [c for c in snapshot.partition_indexes_of.get(one.oid, ()) if c.oid not in seen]
        seen.update(c.oid for c in children)
        open_ += children


def leaves(snapshot: Snapshot, index: Index) -> Iterator[Index]:
    """Yield the indexes with storage: itself, or its partitions' at every level."""
    if index.oid not in snapshot.partition_indexes_of:
        yield index  # as nearly all are: hundreds of thousands of times a run
        return
    seen, open_ = {index.oid}, [index]
    while open_:
        one = open_.pop()
        children = [c for c in snapshot.partition_indexes_of[one.oid] if c.oid not in seen]
        seen.update(c.oid for c in children)
        open_ += children
        if not children:
            yield one


def size_bytes(snapshot: Snapshot, index: Index) -> int:
    """Return an index's size as recorded by VACUUM, ANALYZE or CREATE INDEX; partitions together."""
    return sum(i.pages for i in leaves(snapshot, index)) * snapshot.server.block_size


def reads_like(index: Index) -> tuple[object, ...]:
    """Return what determines which queries an index can answer: if equal, both can answer the same."""
    options = tuple(
        sorted(
            o
            for o in index.options
            if o.startswith(_MEANINGFUL_OPTIONS) and o not in _DEFAULT_OPTIONS
        )
        if index.access_method in ("brin", "bloom")
        else ()
    )
    return (
        index.access_method,
        index.keys,
        index.opclasses,
        index.collations,
        index.indoptions,
        index.expressions,
        index.predicate,
        frozenset(index.included),
        index.key_options,
        options,
    )


def enforces_as_much(keeper: Index, other: Index) -> bool:
    """Tell whether dropping ``other`` loses no uniqueness, given that both can answer the same queries."""
    if not other.is_unique and not other.is_exclusion:
        return True
    return (
        keeper.is_unique
        and not other.is_exclusion
        and keeper.nulls_not_distinct == other.nulls_not_distinct
        and keeper.is_immediate == other.is_immediate
    )


def is_bound(index: Index) -> bool:
    """Tell whether something other than queries needs the index."""
    return (
        index.is_primary
        or index.is_exclusion
        or index.is_replica_identity
        or index.is_clustered
        or index.referenced_by_foreign_keys > 0
        or index.parent_oid is not None
        or index.is_in_extension
    )


def is_being_built(snapshot: Snapshot, index: Index) -> bool:
    """Tell whether a session is building, rebuilding or dropping it.

    REINDEX CONCURRENTLY works on several indexes of a table but reports only one of them; DROP INDEX
    CONCURRENTLY reports no progress, but locks the index.
    """
    if index.table_oid in snapshot.tables_being_indexed:
        return not index.is_usable
    return index.oid in snapshot.relations_in_use


def is_prefix(narrow: Index, wide: Index) -> bool:
    """Tell whether ``wide`` can answer every scan that ``narrow`` can, with its leading keys.

    Only B-trees have leading keys in this sense. INCLUDE columns must be INCLUDE columns there, too: as
    keys they would change size and deduplication.
    """
    n = narrow.key_count
    return (
        n <= wide.key_count
        and narrow.columns[:n] == wide.columns[:n]
        and narrow.access_method == wide.access_method == "btree"
        and (n, set(narrow.included)) != (wide.key_count, set(wide.included))
        and narrow.opclasses == wide.opclasses[:n]
        and narrow.collations == wide.collations[:n]
        and narrow.indoptions == wide.indoptions[:n]
        and narrow.predicate == wide.predicate
        and not (narrow.key_options or wide.key_options)
        and set(narrow.included) <= set(wide.included)
        and _expressions_lead(narrow.expressions, wide.expressions)
    )


def _expressions_lead(narrow: str | None, wide: str | None) -> bool:
    if narrow is None:
        return True  # the keys are equal: the wide one's expressions come after them
    if wide is None:
        return False
    inner, longer = narrow.strip("()"), wide.strip("()")
    return longer == inner or longer.startswith(f"{inner} {{")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An index that can be dropped, and the one that replaces it."""

    index: Index
    keeper: Index


@derived
def duplicates(snapshot: Snapshot) -> tuple[Duplicate, ...]:
    """Return every index that is identical to, and ranks below, another one of the same table."""
    found: list[Duplicate] = []
    for same in _alike(snapshot):
        ordered = sorted(same, key=lambda i: _rank(snapshot, i))
        for place, index in enumerate(ordered):
            keepers = (k for k in ordered[:place] if enforces_as_much(k, index))
            keeper = next(keepers, None)
            if keeper is not None and not is_bound(index):
                found.append(Duplicate(index, keeper))
    return tuple(found)


@derived
def prefixes(snapshot: Snapshot) -> tuple[Duplicate, ...]:
    """Return every plain index whose keys are the leading keys of a wider one that stays."""
    going = {copy.index.oid for copy in duplicates(snapshot)}
    found: list[Duplicate] = []
    for index in snapshot.indexes:
        if index.oid in going or index.is_unique or is_bound(index) or not index.is_usable:
            continue
        cover = _cover(snapshot, index, going)
        if cover is not None:
            found.append(Duplicate(index, cover))
    return tuple(found)


def _cover(snapshot: Snapshot, index: Index, going: set[int]) -> Index | None:
    """Return the smallest index that covers this one and is not itself covered."""
    wider = [
        other
        for other in snapshot.indexes_of[index.table_oid]
        if other.oid != index.oid
        and other.oid not in going
        and other.is_usable
        and is_prefix(index, other)
    ]
    lasting = [w for w in wider if w.is_unique or is_bound(w) or not _is_covered(w, wider)]
    return min(lasting, key=lambda w: (w.pages, w.oid), default=None)


def _is_covered(index: Index, others: list[Index]) -> bool:
    return any(o.oid != index.oid and is_prefix(index, o) for o in others)


def _alike(snapshot: Snapshot) -> Iterator[list[Index]]:
    groups: dict[tuple[object, ...], list[Index]] = {}
    for index in snapshot.indexes:
        if index.is_usable and not is_being_built(snapshot, index):
            groups.setdefault((index.table_oid, *reads_like(index)), []).append(index)
    for same in groups.values():
        if len(same) > 1:
            yield same


def _rank(snapshot: Snapshot, index: Index) -> tuple[object, ...]:
    """Order identical indexes: needed ones first, then constraints', then the most used and smallest."""
    return (
        not is_bound(index),
        not index.is_primary,
        index.constraint_oid is None,
        not index.is_unique,
        not index.is_immediate,
        -scans(snapshot, index),
        index.pages,
        index.oid,
    )


def foreign_keys(snapshot: Snapshot, table_oid: int) -> Iterator[Constraint]:
    """Yield a table's foreign keys."""
    return (c for c in snapshot.constraints_of[table_oid] if c.kind == "f")


def covers_foreign_key(snapshot: Snapshot, index: Index, key: Constraint) -> bool:
    """Tell whether the referential check of a foreign key can use an index.

    The leading keys must be the foreign key's columns, in any order, with the columns' own
    collations; a predicate may only require what the check itself implies, that they are not null.
    PostgreSQL's check uses equality, so a B-tree or, for one column, a hash index will do; GiST only if
    it supports equality, through btree_gist, as in exclusion constraints and temporal keys (18).
    """
    wanted = _compared(snapshot, key)
    demanded = index.predicate_not_null
    if demanded is None or not index.is_usable or not _leads(snapshot, index, wanted):
        return False
    return is_implied(snapshot, index, demanded, key.columns)


def is_implied(
    snapshot: Snapshot, index: Index, demanded: Iterable[int], compared: Iterable[int]
) -> bool:
    """Tell whether the planner knows that columns are not null: because they are compared, or declared so (19)."""
    if not snapshot.server.features.has_predicates_implied_by_declarations():
        return set(demanded) <= set(compared)
    columns = (snapshot.column_by_key.get((index.table_oid, a)) for a in demanded)
    never_null = {c.attnum for c in columns if c is not None and c.is_not_null}
    return set(demanded) <= set(compared) | never_null


def _compared(snapshot: Snapshot, key: Constraint) -> tuple[int, ...]:
    """Return the columns that the check compares by equality: all except a temporal key's period."""
    target = snapshot.index_by_oid.get(key.index_oid or 0)
    temporal = target is not None and target.access_method == "gist" and len(key.columns) > 1
    return key.columns[:-1] if temporal else key.columns


def _leads(snapshot: Snapshot, index: Index, wanted: tuple[int, ...]) -> bool:
    n = len(wanted)
    first = index.keys[:n]
    equality = index.access_method == "btree" or (
        index.access_method == "gist"
        and all(o.startswith("gist_") for o in index.opclass_names[:n])
    )
    if index.access_method == "hash":
        equality = n == 1
    return (
        equality
        and set(first) == set(wanted)
        and len(index.opclass_names[:n]) == n
        and all(
            c in (0, collation(snapshot, index.table_oid, a))
            for a, c in zip(first, index.collations, strict=False)
        )
    )


def collation(snapshot: Snapshot, table_oid: int, attnum: int) -> int:
    """Return the collation of a column; 0 if it has none."""
    column = snapshot.column_by_key.get((table_oid, attnum))
    return column.collation_oid if column else 0


def is_foreign_key_covered(snapshot: Snapshot, key: Constraint) -> bool:
    """Tell whether an index supports a foreign key's check on its table, or on every partition."""
    seen, open_ = {key.table_oid}, [key]
    while open_:
        one = open_.pop()
        if any(covers_foreign_key(snapshot, i, one) for i in snapshot.indexes_of[one.table_oid]):
            continue
        parts = snapshot.partitions_of[one.table_oid]
        table = snapshot.table_by_oid.get(one.table_oid)
        own = {c.table_oid: c for p in parts for c in _inherited(snapshot, p, one)}
        if (
            table is None
            or table.kind != "p"
            or not parts
            or seen & set(own)
            or len(own) < len(parts)
        ):
            return False
        seen.update(own)
        open_ += own.values()
    return True


def _inherited(snapshot: Snapshot, part: Table, key: Constraint) -> Iterator[Constraint]:
    return (c for c in snapshot.constraints_of[part.oid] if c.parent_oid == key.oid)


def changes(snapshot: Snapshot, table_oid: int | None) -> tuple[int, int]:
    """Count the deletes from and the updates of a table, partitions included."""
    found = _activities(snapshot, table_oid or 0)
    return sum(a.n_tup_del for a in found), sum(a.n_tup_upd for a in found)


def _activities(snapshot: Snapshot, table_oid: int) -> list[TableActivity]:
    known = snapshot.activity_by_oid
    return [known[oid] for oid in partitions(snapshot, table_oid) if oid in known]


def scans(snapshot: Snapshot, index: Index) -> int:
    """Count the scans of an index, or of all its partitions, on every node."""
    oids = {index.oid} | {leaf.oid for leaf in leaves(snapshot, index)}
    nodes = (snapshot.usage_by_oid, *snapshot.usage_on_nodes)
    return sum(u.idx_scan for usages in nodes for oid in oids if (u := usages.get(oid)))


def writes(snapshot: Snapshot, table_oid: int) -> int:
    """Count the row versions that went into every index of a table: inserts and non-HOT updates."""
    return sum(
        a.n_tup_ins + max(a.n_tup_upd - a.n_tup_hot_upd, 0)
        for a in _activities(snapshot, table_oid)
    )


def is_touched(snapshot: Snapshot, table_oid: int) -> bool:
    """Tell whether a table or its partitions have been read or written since the counters began."""
    return any(
        a.seq_scan + a.idx_scan + a.n_tup_ins + a.n_tup_upd + a.n_tup_del
        for a in _activities(snapshot, table_oid)
    )


def _stored(snapshot: Snapshot, table: Table) -> Iterator[Table]:
    """Yield a table and its partitions, except for partitioned tables, whose own numbers are sums."""
    for oid in partitions(snapshot, table.oid):
        found = table if oid == table.oid else snapshot.table_by_oid.get(oid)
        if found is not None and found.kind != "p":
            yield found


def rows(snapshot: Snapshot, table: Table) -> float:
    """Estimate a table's rows from the counters or the catalog; partitions together."""
    known = snapshot.activity_by_oid
    return sum(
        max(t.rows, float(known[t.oid].n_live_tup) if t.oid in known else 0.0, 0.0)
        for t in _stored(snapshot, table)
    )


def table_bytes(snapshot: Snapshot, table: Table) -> int:
    """Return a table's heap size; partitions together."""
    return sum(t.pages for t in _stored(snapshot, table)) * snapshot.server.block_size
