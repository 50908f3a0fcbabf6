"""Facts that take more than reading catalogs: plans, exact bloat, index advice.

Each is added if it is requested and fits the budget; otherwise the snapshot says why it is absent.
Plans and advice come from the lab, a copy of schema and statistics: nothing is planned on the target.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgwatch_wed.errors import Error, said
from pgwatch_wed.facts import (
    Cause,
    Index,
    IndexDropTrial,
    Missing,
    MissingIndex,
    Snapshot,
    StatementPlan,
)
from pgwatch_wed.gather.wanted import Budget, Wanted
from pgwatch_wed.postgres import pace, planned, privileges, statements
from pgwatch_wed.progress import Progress
from pgwatch_wed.sqltext.plan_trees import tables_of
from pgwatch_wed.target import exact_bloat, plans

if TYPE_CHECKING:
    from pgwatch_wed.whatif.choose.advise import Advice
    from pgwatch_wed.whatif.model import Query, Rejected
    from pgwatch_wed.whatif.oracle import Oracle

Facts = tuple[Any, ...] | Missing

# A dump of schema and statistics locks every table (ACCESS SHARE) for its duration.
MAX_TABLES = 2_000
_SHARE = 0.4
_MOST_SECONDS = 60.0
_MOST_SECONDS_THERE = 15.0
_TRIALS = 200
_MOST_TREES = 50
_ADVICE = ("missing_indexes", "index_drop_trials", "statement_plans")
_COMMAND = "it is a command such as CALL, DO or REFRESH, which runs statements that are not known"
_NO_STATEMENT = Missing("no user statement has been recorded yet", "run again later")


def enrich(
    conninfo: str, snapshot: Snapshot, wanted: Wanted, budget: Budget, progress: Progress
) -> Snapshot:
    """Add what is requested; if one addition fails, only that one is missing."""
    if wanted.exact_bloat:
        progress("measuring bloat", 0.9)
        snapshot = put(snapshot, exact_bloat=_exact_bloat(conninfo, snapshot, wanted, budget))
    if not wanted.advise:
        return snapshot
    reason = _why_not(snapshot)
    if reason is None:
        progress("building the lab", 0.9)
        found = attempt("the lab", lambda: _in_the_lab(conninfo, snapshot, budget, progress))
        reason = found if isinstance(found, Missing) else None
        if not isinstance(found, Missing):
            return put(snapshot, **dict(zip(_ADVICE, found, strict=True)))
    advised = put(
        snapshot, **dict.fromkeys(_ADVICE, reason or Missing("the lab produced no result"))
    )
    return put(advised, statement_plans=_planned_there(conninfo, snapshot, budget))


def foreseen(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with what is known beforehand of the lab: why there will be none, or that it will tell something."""
    reason = _why_not(snapshot) or privileges.tables_closed(snapshot) or _nothing_to_plan(snapshot)
    if reason is None:
        return put(snapshot, **dict.fromkeys(_ADVICE, ()))
    there = snapshot.missing.get("statements", ())
    return put(snapshot, **{**dict.fromkeys(_ADVICE, reason), "statement_plans": there})


def _nothing_to_plan(snapshot: Snapshot) -> Missing | None:
    from pgwatch_wed.whatif.lab import source
    from pgwatch_wed.whatif.workload import from_snapshot

    try:
        source.check_major(snapshot.server.version_num // 10_000)
    except Error as error:
        return Missing(f"the lab: {error.message}", error.hint, Cause.FAILED, error.message)
    return None if from_snapshot(snapshot).queries else _NO_STATEMENT


def _planned_there(conninfo: str, snapshot: Snapshot, budget: Budget) -> Facts:
    """Get the plans from the target itself if the lab could not provide them."""
    if "statements" in snapshot.missing:
        return snapshot.missing["statements"]
    left = budget.left(_SHARE)
    seconds = _MOST_SECONDS_THERE if left is None else min(left, _MOST_SECONDS_THERE)
    return attempt("planning", lambda: plans.statement_plans(conninfo, snapshot, seconds))


def _proven_there(
    conninfo: str, snapshot: Snapshot, planned: tuple[StatementPlan, ...], budget: Budget
) -> tuple[StatementPlan, ...]:
    """Replace the plans that the lab cannot prove by the target's own, where it may be asked."""
    doubted = {p.query_id for p in planned if p.doubts}
    if not doubted:
        return planned
    left = budget.left(_SHARE)
    seconds = _MOST_SECONDS_THERE if left is None else min(left, _MOST_SECONDS_THERE)
    there = attempt(
        "planning", lambda: plans.statement_plans(conninfo, snapshot, seconds, only=doubted)
    )
    if isinstance(there, Missing):
        return planned
    better = {p.query_id: p for p in there if not p.refused}
    return tuple(better.get(p.query_id, p) if p.doubts else p for p in planned)


def put(snapshot: Snapshot, **facts: Facts) -> Snapshot:
    """Return the snapshot with facts filled in, or with the reason why they are absent."""
    absent = {name: value for name, value in facts.items() if isinstance(value, Missing)}
    found: dict[str, Any] = {n: v for n, v in facts.items() if not isinstance(v, Missing)}
    missing = {n: m for n, m in snapshot.missing.items() if n not in found} | absent
    return replace(snapshot, missing=missing, **found)


def attempt(what: str, work: Callable[[], Facts]) -> Facts:
    """Run one addition; an error that a target or this machine may raise becomes a reason."""
    try:
        return work()
    except Error as error:
        text, mend = error.message, error.hint
    except psycopg.Error as error:
        text, mend = said(error), ""
    except OSError as error:
        text, mend = error.strerror or str(error), ""
    return Missing(f"{what}: {text}", mend, Cause.FAILED, text)


def _why_not(snapshot: Snapshot) -> Missing | None:
    for fact in ("statements", "tables", "column_statistics"):
        if fact in snapshot.missing:
            lacking = snapshot.missing[fact]
            return replace(lacking, reason=f"{fact.replace('_', ' ')}: {lacking.reason}")
    if len(snapshot.tables) > MAX_TABLES:
        return Missing(
            f"the database has more than {MAX_TABLES:,} tables, and reading their definitions would "
            "lock each of them (ACCESS SHARE) for a while",
            "run db-analyze indexes during off-peak hours, or on a copy",
            Cause.LEFT_OUT,
        )
    return None


def _in_the_lab(
    conninfo: str, snapshot: Snapshot, budget: Budget, progress: Progress
) -> tuple[Facts, Facts, Facts] | Missing:
    from pgwatch_wed.whatif import engines
    from pgwatch_wed.whatif.choose import advise
    from pgwatch_wed.whatif.workload import from_snapshot

    left = budget.left(_SHARE)
    seconds = _MOST_SECONDS if left is None else min(left, _MOST_SECONDS)
    if seconds < 2:
        return Missing("the time budget was exhausted", "increase --budget", Cause.OUT_OF_TIME)
    found = from_snapshot(snapshot)
    queries = found.queries
    if not queries:
        return _NO_STATEMENT
    users = {user for query in queries for user in (query.user, *query.others) if user}
    with engines.oracle(conninfo, "lab", seconds, users) as oracle:
        planned = (*_plans(oracle, snapshot, queries), *_unreadable(found.rejected))
        trials = tuple(_trials(oracle, snapshot, queries))
        advice = advise.advise(
            oracle,
            found,
            advise.AdviceOptions(seconds=seconds / 2, tries_keys=False),
            lambda what, share: progress(what, 0.9 + 0.08 * share),
            snapshot.relation_names,
        )
        trees = _trees(oracle, snapshot, queries, advice)
    planned = _proven_there(conninfo, snapshot, planned, budget)
    return tuple(_missing(snapshot, advice, trees)), trials, planned


def _plans(
    oracle: "Oracle", snapshot: Snapshot, queries: tuple["Query", ...]
) -> Iterator[StatementPlan]:
    from pgwatch_wed.whatif import refusals
    from pgwatch_wed.whatif.model import PlanError, WithheldError

    for query in queries:
        try:
            tree = oracle.plan(query).tree
        except WithheldError as error:
            yield StatementPlan(query.query_id or 0, refused=str(error), doubts=(str(error),))
        except PlanError as error:
            yield StatementPlan(query.query_id or 0, refused=refusals.told(error))
        else:
            found = planned.described(query.query_id or 0, tree, snapshot)
            yield replace(found, doubts=oracle.doubts(query, tree))


def _unreadable(rejected: Iterable["Rejected"]) -> Iterator[StatementPlan]:
    for each in rejected:
        if each.query_id is not None:
            words = "its text is not one statement that can be planned"
            yield StatementPlan(each.query_id, refused=_COMMAND if each.is_utility else words)


def _trees(
    oracle: "Oracle", snapshot: Snapshot, queries: tuple["Query", ...], advice: "Advice"
) -> dict[int, str]:
    """Plan the statements that gain again, with the whole recommended set; return plan trees by query."""
    from pgwatch_wed.whatif.model import PlanError

    indexes = {one.index: one.name for one in advice.indexes}
    gaining = {q for one in advice.indexes for q in one.query_ids}
    own = {i.name for i in snapshot.indexes}
    found: dict[int, str] = {}
    for query in queries:
        if query.query_id in gaining and len(found) < _MOST_TREES:
            try:
                plan = oracle.plan(query, indexes)
            except PlanError:
                continue
            names = [indexes[i] for i in plan.used if i in indexes]
            found[query.query_id or 0] = planned.tree(_renamed(plan.tree, own, names))
    return found


def _renamed(node: Mapping[str, Any], own: set[str], names: list[str]) -> dict[str, Any]:
    """Use the recommended name for the lab's index, if there is only one."""
    changed = dict(node)
    if node.get("Index Name") not in (None, *own):
        changed["Index Name"] = names[0] if len(names) == 1 else "one of the recommended"
    if node.get("Plans"):
        changed["Plans"] = [_renamed(child, own, names) for child in node["Plans"]]
    return changed


def _trials(
    oracle: "Oracle", snapshot: Snapshot, queries: tuple["Query", ...]
) -> Iterator[IndexDropTrial]:
    """Hide each index that only queries could need, and plan the statements that use it again."""
    from pgwatch_wed.whatif.model import PlanError, WithheldError

    by_name = {(e.schema, e.name): oid for oid, e in oracle.catalog.indexes.items()}
    base: dict[str, Any] = {}
    withheld: dict[str, str] = {}
    for query in queries:
        try:
            base[query.name] = (query, oracle.plan(query))
        except WithheldError as error:
            withheld[query.sql] = str(error)
        except PlanError:
            continue
    candidates = [i for i in snapshot.indexes if _might_go(i) and (i.schema, i.name) in by_name]
    for index in candidates[:_TRIALS]:
        oid = by_name[index.schema, index.name]
        table = oracle.catalog.tables[oracle.catalog.indexes[oid].table_oid].name
        unseen = {why for text, why in withheld.items() if table in text}
        found = _trial(oracle, index, oid, list(base.values()))
        yield replace(found, doubts=(*found.doubts, *sorted(unseen)))


def _might_go(index: Index) -> bool:
    return index.is_usable and not index.is_unique and index.parent_oid is None


def _trial(oracle: "Oracle", index: Index, oid: int, base: list[tuple[Any, Any]]) -> IndexDropTrial:
    before = after = 0.0
    table = oracle.catalog.tables[oracle.catalog.indexes[oid].table_oid]
    involved = [(q, p) for q, p in base if (table.schema, table.name) in tables_of(p.tree)]
    worst: tuple[float, int | None] = (1.0, None)
    for query, plan in base:
        weight = (query.total_ms or 0.0) / max(plan.cost, 0.01)
        cost = oracle.plan(query, (), (oid,)).cost if oid in plan.used_existing else plan.cost
        before += plan.cost * weight
        after += cost * weight
        worst = max(worst, (cost / max(plan.cost, 0.01), query.query_id), key=lambda w: w[0])
    return IndexDropTrial(
        index_oid=index.oid,
        cost_before=round(before, 3),
        cost_after=round(after, 3),
        worst_query_id=worst[1],
        worst_ratio=round(worst[0], 3),
        statements=len(base),
        doubts=tuple(
            dict.fromkeys(
                doubt for query, plan in involved for doubt in oracle.doubts(query, plan.tree)
            )
        ),
    )


def _missing(
    snapshot: Snapshot, advice: "Advice", trees: Mapping[int, str]
) -> Iterator[MissingIndex]:
    texts = {s.query_id: s.text for s in snapshot.statements if s.text}
    seconds = statements.window_seconds(snapshot)
    for one in advice.indexes:
        yield MissingIndex(
            name=one.name,
            ddl=one.ddl,
            schema=one.index.schema,
            table=one.index.table,
            columns=one.index.columns,
            method=one.index.method,
            size_bytes=one.size_bytes,
            cost_before=round(one.cost_without, 3),
            cost_after=round(one.cost_with, 3),
            ms_per_day=pace.per_day(sum(one.saved), seconds),
            write_ms_per_day=pace.per_day(one.write_cost, seconds),
            query_ids=one.query_ids,
            queries=tuple(texts[q] for q in one.query_ids if q in texts),
            engine=advice.engine,
            caveats=one.caveats,
            trees=tuple(trees.get(q, "") for q in one.query_ids),
            doubts=one.doubts,
            saved_ms=tuple(round(ms, 3) for ms in one.saved),
            write_ms=round(one.write_cost, 3),
            is_joint=one.is_joint,
        )


def _exact_bloat(conninfo: str, snapshot: Snapshot, wanted: Wanted, budget: Budget) -> Facts:
    left = budget.left(_SHARE)
    seconds = 600.0 if left is None else left
    most = wanted.exact_bloat or 0
    return attempt("pgstattuple", lambda: exact_bloat.measure(conninfo, snapshot, most, seconds))
