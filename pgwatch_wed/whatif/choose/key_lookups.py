"""Rows that refer to those that a statement deletes: PostgreSQL looks for them by itself, once for each, whatever the foreign key then does to them.

No plan of the statement contains that, so it is planned as a query of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.quote import ident
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ForeignKey
from pgwatch_wed.whatif.choose import parts
from pgwatch_wed.whatif.choose.batches import with_full_batch
from pgwatch_wed.whatif.choose.candidates import MIN_PAGES
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Plan, PlanError, Query

# More rows that are only estimated would not make an index more useful, but hide what other statements need.
_MOST_ROWS = 100.0


@dataclass(frozen=True, slots=True)
class KeyLookup:
    """The search for the rows that refer to one; ``times``: for each row that the statement deletes. ``pages`` are those of the table."""

    query: Query
    plan: Plan
    times: float
    pages: int


def divided(
    costs: Costs, query: Query, plan: Plan, texts: Sequence[str]
) -> tuple[float, Sequence[tuple[Query, Plan]]]:
    """Return the share of a statement's weight that its own plan has, and the lookups for the rows that it deletes with theirs, weighted.

    The measured time of a statement contains its lookups; its estimated cost does not, so that its share is 1. ``texts`` are those of the workload:
    servers before 14 may list the lookups themselves. There are none where an index serves them, or on small tables.
    """
    rows = _deleted_rows(costs.oracle.catalog, query, plan)
    found = list(_lookups(costs, query, plan, texts)) if rows else []
    if not found:
        return 1.0, ()
    if query.total_ms is None:
        return 1.0, [_weighted(each, query.weight * rows, None) for each in found]
    if query.blocks is not None:  # each of these tables was read whole, or there were fewer rows
        rows = min(rows, query.blocks / sum(each.times * each.pages for each in found))
    own = query.total_ms / parts.weighted(query, costs.expected(query, plan)).weight
    whole = own + rows * sum(e.times * costs.expected(e.query, e.plan) for e in found)
    calls = None if query.calls is None else query.calls * rows
    return own / whole, [_weighted(e, query.total_ms * rows / whole, calls) for e in found]


def _weighted(each: KeyLookup, weight: float, calls: float | None) -> tuple[Query, Plan]:
    """Return a lookup and its plan by what one for each deleted row weighs, and how many of them there were."""
    calls = None if calls is None else calls * each.times
    return replace(each.query, weight=weight * each.times, calls=calls), each.plan


def keys_to(
    catalog: Catalog,
    table: CatalogTable,
    times: float = 1.0,
    seen: frozenset[ForeignKey] = frozenset(),
) -> Mapping[ForeignKey, float]:
    """Return the foreign keys by which rows are looked for when a row of a table is deleted, or others are with it, and how often.

    That is at most once: rows that many others refer to are seldom deleted. ``seen`` are left out.
    """
    found: dict[ForeignKey, float] = {}
    for key in catalog.foreign_keys:
        referring = catalog.tables.get(key.table_oid)
        if key.referenced_oid != table.oid or not key.is_checked or referring is None:
            continue
        if key in seen or key in found:
            continue
        found[key] = times
        if key.cascades:
            of_each = min(1.0, catalog.rows(referring) / max(1.0, catalog.rows(table)))
            found |= keys_to(catalog, referring, times * of_each, seen | found.keys())
    return found


def told(queries: Sequence[Query]) -> Iterator[str]:
    """Yield what an index is for if lookups are among the queries that use it, for its reader."""
    lookups = [q for q in queries if q.cause]
    if lookups:
        others = len({q.cause for q in lookups}) - 1
        more = f" and {units.count(others, 'other statement')}" if others else ""
        yield (
            f"It finds {lookups[0].name}{more}: because of the foreign key, PostgreSQL looks for them for each row that is"
            " deleted, and without an index reads the whole table."
        )


def _deleted_rows(catalog: Catalog, query: Query, plan: Plan) -> float:
    """Return how many rows a call deletes; 0 if it may delete none, as a trigger may decide, or if their number is a guess: 1."""
    tree = plan.tree
    table = catalog.table_of(tree)
    if tree["Node Type"] != "ModifyTable" or tree.get("Operation") != "Delete" or table is None:
        return 0.0
    if query.of is not None or query.total_ms == 0:
        return 0.0
    if query.rows is not None:
        return query.rows if query.blocks != 0 else 0.0
    if table.has_triggers:
        return 0.0
    if query.has_parameters and parts.is_guessed(tree):
        return 1.0
    below = with_full_batch(tree, query.sql).get("Plans", ())
    return min(_MOST_ROWS, max((float(n.get("Plan Rows", 1)) for n in below), default=1.0))


def _lookups(costs: Costs, query: Query, plan: Plan, texts: Sequence[str]) -> Iterator[KeyLookup]:
    """Yield the lookups that no index serves."""
    catalog, oracle = costs.oracle.catalog, costs.oracle
    deleted = catalog.table_of(plan.tree)
    for key, times in keys_to(catalog, deleted).items() if deleted is not None else ():
        table, pages = catalog.tables[key.table_oid], catalog.pages(catalog.tables[key.table_oid])
        if pages < MIN_PAGES or table.is_temporary or _is_listed(texts, table, key):
            continue
        lookup = _lookup(query, key, table, catalog.tables[key.referenced_oid])
        with suppress(PlanError):
            found = costs.plan(lookup)
            # PostgreSQL looks for them as their owner, to whom policies do not apply
            if not found.used_existing and not oracle.is_bound(lookup, found.tree):
                yield KeyLookup(lookup, found, times, pages)


def _lookup(query: Query, key: ForeignKey, table: CatalogTable, referenced: CatalogTable) -> Query:
    columns = sorted(key.columns)
    only = "" if table.kind == "p" else "ONLY "
    test = " AND ".join(f"x.{ident(c)} = ${number}" for number, c in enumerate(columns, 1))
    names = ", ".join(map(ident, columns))
    return Query(
        f"rows of {ident(table.name)} that refer to {ident(referenced.name)} by {names}, for {query.name}",
        f"SELECT x.ctid FROM {only}{ident(table.schema, table.name)} x WHERE {test}",  # noqa: S608
        query_id=query.query_id,
        has_parameters=True,
        user=query.user,
        others=query.others,
        cause=query.name,
    )


def _is_listed(texts: Sequence[str], table: CatalogTable, key: ForeignKey) -> bool:
    """Tell whether one of the texts is what PostgreSQL runs for a foreign key."""
    words = [
        f'"{table.schema}"."{table.name}"',
        *(f'OPERATOR(pg_catalog.=) "{column}"' for column in key.columns),
    ]
    return any(all(word in text for word in words) for text in texts)
