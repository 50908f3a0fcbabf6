"""Indexes that the workload lacks, as confirmed by the planner.

## Why it matters
A query that reads a whole table to return a few rows does so on every call, and evicts other data from the cache.

## How sure we are
A: given the table's own statistics and the index as it would be built, the planner chose the index and the estimated cost
of the listed statements dropped. An estimated cost is not a time: where pg_stat_statements allows, the gain is scaled by
the time that each statement actually took. `db-analyze indexes --verify` measures it on a copy. B if the gain depends on which values are used: the measured rows differ
from the average that the planner assumes, or a column is skewed. C if a fifth of the gain rests on a guess: the planner
assumes a fixed share of the rows for a range of parameters. C if the server may plan one of the statements otherwise than the
lab, because it has something that the lab lacks; for GIN, GiST, SP-GiST and BRIN, whose estimates are rough, and if most of a statement's time cannot be its
plan's, but is waiting for locks, triggers or foreign keys: that time is not promised. What several indexes, or an index and
an easier remedy, save together counts once. C if the statistics are outdated, missing or not visible,
which ANALYZE, the first step of the remedy, corrects; or if the planner misestimates a statement's rows
(`query-misestimate`). The rows that pg_stat_statements counts are the least that any plan fetches, whatever the planner
expects. docs/benchmarks.md compares promised with measured gains.

## Not reported
Indexes that an existing one covers, indexes on tiny tables, indexes whose write cost exceeds their gain, and indexes whose
plan relies on many random probes into a large table (a common way for index advice to make queries slower).

## Remedy
CREATE INDEX CONCURRENTLY, one index at a time: build it, watch the listed statements, and keep or drop it. On a partitioned
table, a script that builds the index on each partition and attaches it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import MissingIndex, Snapshot
from pgwatch_wed.findings import (
    Effort,
    Finding,
    Grade,
    Impact,
    MeasuredTime,
    Object,
    Unknown,
)
from pgwatch_wed.postgres.index_grades import GUESSED_SHARE, promised
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.remedies.indexes import AdvisedIndex, IndexBuilder
from pgwatch_wed.rules import _gains, _trust
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import definitions
from pgwatch_wed.sqltext.reading import query
from pgwatch_wed.sqltext.statement_label import label
from pgwatch_wed.units import count, share

NEEDS = ("missing_indexes",)

_SHOWN = 3
_NAMED = 2
# A whole table, in either direction, as pg_dump does; not COPY (query).
_COPIES = re.compile(r"\s*copy\b(?!\s*\()", re.IGNORECASE)
_RANGES = frozenset({"<", "<=", ">", ">=", "between", "~~", "~~*"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # An index that saves a smaller fraction of the workload's cost is not worth it.
    min_gain_share: float = 0.01
    # One that saves less than this fraction of the elapsed time (86 ms a day) is not mentioned.
    min_of_elapsed: float = 0.000_001
    # Saving at least this fraction, or the time below, is a warning,
    warn_gain_share: float = 0.1
    # Saving at least this much time per day is a warning,
    warn_ms_per_day: float = 60_000
    # unless it is less than this fraction of the elapsed time (9 s a day).
    min_warn_of_elapsed: float = 0.000_1
    # If statements with this share of the load could not be planned, something is unknown.
    max_unplanned_share: float = 0.1


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each suggested index that is worth it."""
    load = q.Load.of(snapshot)
    yield from _trust.unseen(snapshot)
    for advised in IndexBuilder(snapshot).advised:
        saved = _saved(load, advised.advice)
        is_large = _share(advised.advice) >= limits.min_gain_share
        if is_large and _gains.matters(saved, limits.min_of_elapsed):
            yield _finding(load, advised, saved, limits)
    yield from _unplanned(snapshot, limits)


def _unplanned(snapshot: Snapshot, limits: Limits) -> Iterator[Unknown]:
    """Yield an unknown if the lab cannot plan much of the load, or not as the server does."""
    load = q.Load.of(snapshot)
    unhelped = {s.query_id for s in load.statements if _needs_no_index(s.text)}
    refused = {
        p.query_id: p.refused
        for p in snapshot.statement_plans
        if p.refused and (p.doubts or p.query_id not in unhelped)
    }
    unplanned = sum(load.share(s) for s in load.statements if s.query_id in refused)
    if unplanned >= limits.max_unplanned_share:
        why = "; ".join(sorted({str(reason) for reason in refused.values()})[:_SHOWN])
        yield Unknown(
            f"statements with {share(unplanned)} of the load could not be planned ({why})"
        )


def _needs_no_index(text: str | None) -> bool:
    """Tell whether it only adds rows, or copies a whole table: no index makes that faster, and it is often not planned."""
    if text is not None and _COPIES.match(text):
        return True
    parsed = query(text)
    return parsed is not None and parsed.kind == "InsertStmt"


def _share(advice: MissingIndex) -> float:
    return 1 - advice.cost_after / advice.cost_before if advice.cost_before > 0 else 0.0


def _saved(load: q.Load, advice: MissingIndex) -> MeasuredTime:
    """Return the time saved for each statement; a snapshot of an earlier version contains only the sum."""
    each = advice.saved_ms
    if not each:
        whole = max(advice.cost_before - advice.cost_after, 0.0)
        if not advice.query_ids:
            return MeasuredTime(whole, load_ms=load.total_ms)
        each = (whole / len(advice.query_ids),) * len(advice.query_ids)
    return load.times(dict(zip(advice.query_ids, each, strict=False)))


def _finding(load: q.Load, advised: AdvisedIndex, saved: MeasuredTime, limits: Limits) -> Finding:
    snapshot, advice = load.snapshot, advised.advice
    waiting, guessed = tuple(_waiting(load, advice)), tuple(_guessed(load, advice))
    held = _trust.reservations(snapshot, advice)
    first = {r.analyze for r in held if r.analyze is not None}
    return Finding(
        object=Object(
            "index",
            advice.name,
            database=snapshot.server.database,
            schema=advice.schema,
            table=advice.table,
        ),
        severity=_gains.severity(
            saved, limits.warn_gain_share, limits.warn_ms_per_day, limits.min_warn_of_elapsed
        ),
        grade=max([_grade(advice, waiting, guessed), *(r.grade for r in held)]),
        title=f"An index on {advice.schema}.{advice.table} {_shown(advice)} would serve "
        f"{count(len(advice.query_ids) or len(advice.queries), 'statement')}",
        detail=f"The planner would use it{_served(advice)}, which lowers the estimated cost of the whole workload by "
        f"{share(_share(advice))}.",
        evidence={
            "method": advice.method,
            "columns": list(advice.columns),
            "cost_before": advice.cost_before,
            "cost_after": advice.cost_after,
            "size_bytes": advice.size_bytes,
            "added_write_ms": advice.write_ms,
            "query_ids": list(advice.query_ids),
            "queries": list(advice.queries),
            "engine": advice.engine,
        },
        impact=Impact(gain=saved if saved.ms > 0 else None, effort=Effort.INDEX),
        remedy=(*map(maintenance.analyze, first), advised.script.remedy),
        caveats=(
            *(r.text for r in held),
            *(*waiting, *guessed, *_joint(snapshot, advice)),
            *(*advice.caveats, *(f"Not proven: {doubt}." for doubt in advice.doubts)),
        ),
        related=tuple(_partners(snapshot, advice)),
    )


def _served(advice: MissingIndex) -> str:
    """Name the statements by their tables and conditions."""
    names = list(dict.fromkeys(map(label, advice.queries)))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" for {'; '.join(names[:_NAMED])}{more}" if names else ""


def _shown(advice: MissingIndex) -> str:
    """Return what the statement has after the table: which rows and columns are in it decides what it serves."""
    text = definitions.read(advice.ddl)
    return f"({', '.join(advice.columns)})" if text is None else text.shown


def _grade(advice: MissingIndex, waiting: tuple[str, ...], guessed: tuple[str, ...]) -> Grade:
    if waiting:
        return Grade.C
    return promised(advice.method, is_doubted=bool(advice.doubts), is_guessed=bool(guessed))


def _guessed(load: q.Load, advice: MissingIndex) -> Iterator[str]:
    """Yield a caveat if the planner had to guess, for much of the gain, how many rows a range of parameters matches."""
    ranges = {
        s.query_id: found
        for s in load.queries
        if s.query_id in advice.query_ids and (found := _ranges(s.text, advice))
    }
    saved = dict(zip(advice.query_ids, advice.saved_ms, strict=False))
    resting = sum(saved.get(i, 0.0) for i in ranges)
    if ranges and resting >= GUESSED_SHARE * sum(saved.values()):
        columns = {column for found in ranges.values() for column in found}
        yield (
            f"How many rows match a range of {', '.join(sorted(columns))} depends on parameters, which are not known: the "
            "planner assumes a third of the table, or half a percent between two limits. The real gain may be larger or smaller."
        )


def _ranges(text: str | None, advice: MissingIndex) -> set[str]:
    parsed = query(text)
    return {
        c.column.column
        for c in (parsed.conditions if parsed is not None else ())
        if c.column is not None and c.operator in _RANGES and c.column.column in advice.columns
    }


def _waiting(load: q.Load, advice: MissingIndex) -> Iterator[str]:
    """Yield a caveat for each statement that spends most of its time on something other than its plan."""
    for s in load.queries:
        if s.query_id in advice.query_ids:
            for text in q.waiting(s):
                yield f"{text} An index does not save that, and it is not included in the gain."


def _partners(snapshot: Snapshot, advice: MissingIndex) -> Iterator[Object]:
    """Yield the other recommended indexes that serve the same statements."""
    for other in snapshot.missing_indexes:
        if other.name != advice.name and set(other.query_ids) & set(advice.query_ids):
            database = snapshot.server.database
            yield Object("index", other.name, database, other.schema, other.table)


def _joint(snapshot: Snapshot, advice: MissingIndex) -> Iterator[str]:
    names = [o.label for o in _partners(snapshot, advice)]
    if names and advice.is_joint:
        yield f"Alone it saves little: build it together with {', '.join(names)}."
    elif names:
        yield f"What it saves together with {', '.join(names)} is divided among them, not counted twice."
