"""What in a query keeps indexes from helping it, and what its author can do about that."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pgwatch_wed import units
from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import terms, trees
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.sqltext.terms import Conjunction, Kind, Term
from pgwatch_wed.sqltext.trees import UnreadableError
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.model import Candidate
from pgwatch_wed.whatif.usage import TableUse

_MUCH = 0.1  # of a table's rows; to find that many, reading the whole table is often as fast
_FILTERS = ("Filter", "Join Filter")
_RANDOM = re.compile(r"\b(random|clock_timestamp|gen_random_uuid|nextval|timeofday)\(")
_OF_TIME = re.compile(
    r"(?:CAST\(.* AS (?:date|timestamp|time)\b|\bdate_trunc\(|\bdate_part\(|EXTRACT\()"
)
_ELEMENT = re.compile(r"^\(*(\S+) = ANY ?\(([a-z_][\w.]*)\)+$")
_ZONED = "timestamptz"
_NEGATIONS = frozenset({"<>", "!~~", "!~~*", "!~", "!~*"})
_SIMPLE = frozenset({Kind.EQUAL, Kind.IN, Kind.RANGE, Kind.PREFIX, Kind.IS_NULL, Kind.BOOLEAN})


def hindrances(
    sql: str, tree: PlanNode, uses: Sequence[TableUse], catalog: Catalog, *, has_trigrams: bool
) -> str:
    """Return what is in the way, from a query and its plan without indexes; empty if nothing is known to be."""
    found = [*_of_conditions(tree, uses, has_trigrams=has_trigrams)]
    if not found:
        found = [*_of_whole(sql, tree, uses, catalog)]
    return "; ".join(dict.fromkeys(found))


def refused(index: Candidate, table: CatalogTable | None, error: str) -> str:
    """Say what to do if the server refuses an index, which is mostly for an expression that is not immutable."""
    expressions = [key.text for key in index.keys if key.column is None]
    if not expressions or "IMMUTABLE" not in error:
        return f"the server refuses an index for it ({error})"
    text = expressions[0]
    names = terms.columns(text)
    shown = terms.plain(text)
    column = min(names, default="")
    known = table.columns.get(column) if table is not None else None
    if (
        known is not None
        and known.base_type == _ZONED
        and (_OF_TIME.search(text) or "to_char" in text)
    ):
        what = ident(column)
        why = f"{shown} depends on the session's time zone, so it cannot be indexed"
        return (
            f"{why}: compare {what} with both ends of the range instead ({what} >= … AND {what} < …),"
            f" or index and compare an expression of ({what} AT TIME ZONE 'UTC')"
        )
    return (
        f"{shown} cannot be indexed, since one of its functions is not declared IMMUTABLE; if it always returns the same for the"
        " same arguments, ALTER FUNCTION … IMMUTABLE"
    )


def _of_conditions(
    tree: PlanNode, uses: Sequence[TableUse], *, has_trigrams: bool
) -> Iterator[str]:
    every = (t for u in uses for g in u.groups for t in _terms(g))
    served = {terms.plain(t.text) for t in every if t.kind in _SIMPLE}
    for text in _conditions(tree):
        for part in _parts(text):
            if terms.plain(part) not in served or _RANDOM.search(part):
                yield from _of_condition(part, uses, has_trigrams=has_trigrams)


def _of_condition(text: str, uses: Sequence[TableUse], *, has_trigrams: bool) -> Iterator[str]:
    aliases = {alias for alias, _ in terms.references(text)}
    columns = {column for _, column in terms.references(text)}
    shown = terms.plain(text)
    group = terms.conditions(text)
    found = [t for t in group.terms if t.operand.alias in {u.alias for u in uses}]
    kinds = {t.kind for t in found}
    if call := _RANDOM.search(text):
        yield f"{call[1]}() has another value for each row, so that no index can serve {shown}"
    elif element := _ELEMENT.search(shown):
        yield (
            f"{shown} looks into each array, which no index spares; written {element[2]} @> ARRAY[{element[1]}], a GIN"
            " index serves it"
        )
    elif _operators(text) & _NEGATIONS or text.startswith("NOT"):
        yield (
            f"{shown} says what is not wanted, which no index finds; if few rows remain, a partial index"
            " with this condition does"
        )
    elif Kind.PATTERN in kinds and not has_trigrams:
        yield (
            f"{shown} searches within texts, which takes a trigram index: CREATE EXTENSION pg_trgm,"
            " and run this again"
        )
    elif Kind.NOT_NULL in kinds:
        yield f"{shown} is true of most rows"
    elif len(aliases) == 1 and len(columns) > 1 and not kinds & _SIMPLE and not group.arms:
        yield (
            f"{shown} compares columns of the same row, which only a partial index"
            " with this condition serves"
        )


def _operators(text: str) -> set[str]:
    return set(re.findall(r"(?<= )[<>=!~*]+(?= )", text))


def _conditions(tree: PlanNode) -> Iterator[str]:
    for node in walk(tree):
        if node["Node Type"] in ("Aggregate", "WindowAgg", "Group"):
            continue
        yield from (node[name] for name in _FILTERS if isinstance(node.get(name), str))


def _parts(text: str) -> Iterable[str]:
    """Return the conditions that must all be true."""
    return (t for t in terms.parts(text) if terms.references(t))


def _terms(group: Conjunction) -> Iterator[Term]:
    yield from group.terms
    yield from chain.from_iterable(map(_terms, group.arms))


def of_paging(sql: str) -> str:
    """Say what to do about OFFSET, if there is one."""
    try:
        (statement,) = trees.parse(sql)
    except (UnreadableError, ValueError):
        return ""
    if getattr(statement, "limitOffset", None) is None:
        return ""
    return (
        "OFFSET reads all rows of the pages before; to continue where the last page ended,"
        " compare its last key: WHERE (…) > (…) ORDER BY … LIMIT …"
    )


def _of_whole(
    sql: str, tree: PlanNode, uses: Sequence[TableUse], catalog: Catalog
) -> Iterator[str]:
    """Say how much of its largest table a query reads, if that is much of it."""
    if not uses:
        yield "it reads no table that could have an index"
        return
    largest = max(uses, key=lambda use: use.table.pages).table
    rows, has_filter = _read(tree, largest, catalog)
    total = max(catalog.rows(largest), 1.0)
    name = ident(largest.schema, largest.name)
    is_first = read(sql).has_limit and tree["Node Type"] == "Limit" and not has_filter
    if is_first and not any(use.sorts for use in uses):
        yield f"it takes the first rows of {name} that it finds, which needs no index"
    elif not has_filter and rows >= total * _MUCH:
        keeps = any(n["Node Type"] == "Aggregate" for n in walk(tree))
        advice = (
            "; if that is too slow, keep the result in a table or materialized view"
            if keeps
            else ""
        )
        yield f"it needs all rows of {name}, which no index spares{advice}"
    elif rows >= total * _MUCH:
        share = units.share(min(rows / total, 1.0))
        yield f"it needs about {share} of the rows of {name}, which are read as fast without an index"


def _read(tree: PlanNode, table: CatalogTable, catalog: Catalog) -> tuple[float, bool]:
    """Return how many rows the scans of a table return, and whether any of them has a condition."""
    scans = [
        n
        for n in walk(tree)
        if (known := catalog.table_of(n)) is not None
        and catalog.root(known) is table
        and n["Node Type"] != "ModifyTable"
    ]
    rows = sum(
        float(n.get("Plan Rows", 0)) * max(1.0, float(n.get("Workers Planned", 1))) for n in scans
    )
    return rows, any(name in n for n in scans for name in ("Filter", "Index Cond", "Recheck Cond"))
