"""Statements that became slower than they were.

## Why it matters
Nothing failed, and no threshold was crossed, but since some day each call takes longer: a plan changed, an index is gone, or a
table grew. It is easiest to mend while it is known what else changed on that day.

## How sure we are
The unit of proof is the interval between two runs. The latest intervals (a day, or the last quarter of what is known) are
compared with those before at the same hours, less what all statements did at the same time. A statement is reported if such a
shift is too large for chance, with all statements that were compared counted (Benjamini–Hochberg, 5%), 1.3 times larger than
any within its own base, and at least a factor of 1.25 in time.
A if blocks per call rose too and the generic plan is new; B if blocks per call rose; C if only the time did.
docs/regressions.md says how often it is wrong, and what it misses.

## Not reported
- Less than 10 seconds a day or 1% of the load; fewer than 30 calls before or after.
- A server that became slower as a whole is one finding, whatever the number of its statements.
- Statements that return or change more rows per call in step: the work grew.
- A changed mix of fast and slow calls of one statement; the first calls after a start of the server.
- What the statement also did earlier, within the base.
- With fewer than 12 intervals nothing is told: two runs prove nothing about time.

## Remedy
An index that was dropped meanwhile is created again; a table that was not analyzed since it changed is analyzed. Otherwise
what differs is listed, and what was ruled out: no SQL is certain to help.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.facts.rows import ShiftCause, StatementShift
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    MeasuredTime,
    Object,
    Remedy,
    Severity,
    Unknown,
)
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import named
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.remedies.indexes import IndexBuilder
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import reading

NEEDS = ("statement_shifts", "statements", "statements_info", "tables")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # What is this many times as slow is worth looking at today.
    warn_ratio: float = 2.0
    # A smaller share of the load can wait.
    warn_load_share: float = 0.05
    # Only the costliest are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that became slower, and one for a server that did."""
    shifts = snapshot.statement_shifts
    compared = [s for s in shifts if s.outcome not in ("too little", "cold")]
    if shifts and not compared:
        yield Unknown(
            "no statement has enough calls in enough intervals to be compared",
            "db-analyze run --no-advise every hour: each run is kept in the history",
        )
    slower = [s for s in shifts if s.is_server_slower]
    if slower:
        yield _server(slower)
    known = {s.query_id: s for s in q.Load.of(snapshot).queries}
    regressed = sorted((s for s in shifts if s.is_regressed), key=lambda s: -s.extra_ms)
    told = [s for s in regressed if s.query_id in known]
    if len(told) < len(regressed):
        yield Unknown(
            "a statement that became slower is no longer among those of pg_stat_statements",
            "see db-analyze why QUERY",
        )
    for shift in told[: limits.max_statements]:
        yield _finding(snapshot, known[shift.query_id], shift, limits)


def _server(shifts: list[StatementShift]) -> Finding:
    first = shifts[0]
    ratio = first.server_ratio or 1.0
    affected = [s.query_id for s in shifts if s.outcome == "server"]
    return Finding(
        object=Object("server", "execution times"),
        severity=Severity.WARNING,
        grade=Grade.C,
        title=f"The server as a whole is {units.short(ratio)} times as slow as before: statements of all kinds take longer",
        detail=(
            f"Since {first.current_begins:%Y-%m-%d %H:%M} UTC calls take "
            f"{ratio:.2f} times as long as before, whatever the statement. A plan or an index cannot be the cause: the CPUs, the "
            "disks, or other work on the machine can."
        ),
        evidence={
            "ratio": round(ratio, 2),
            "query_ids": affected,
            "statements_compared": len(shifts),
            **_period(first),
        },
        impact=Impact(risk="all statements take longer"),
    )


def _period(shift: StatementShift) -> dict[str, object]:
    return {
        "base_begins": shift.base_begins.isoformat(),
        "current_begins": shift.current_begins.isoformat(),
        "current_ends": shift.current_ends.isoformat(),
    }


_SHORT_BASE = "Less than a day is known from before: what is slow at this hour each day, such as during a backup, looks the same."


def _finding(snapshot: Snapshot, s: Statement, shift: StatementShift, limits: Limits) -> Finding:
    load = q.Load.of(snapshot)
    tables = tuple(_tables(snapshot, s))
    seconds = (shift.current_ends - shift.current_begins).total_seconds()
    is_bad = shift.ratio >= limits.warn_ratio or shift.load_share >= limits.warn_load_share
    remedy, caveats = _remedies(snapshot, shift, tables)
    if shift.current_begins - shift.base_begins < timedelta(days=1):
        caveats += (_SHORT_BASE,)
    plan = _plan(shift)
    return Finding(
        object=load.object_of(s),
        severity=Severity.WARNING if is_bad else Severity.INFO,
        grade=Grade(shift.grade),
        title=f"{q.short(s)} takes {units.short(shift.ratio)} times as long as before",
        detail=" ".join((_measured(shift), *_likely(shift), _ruled_out(shift))),
        evidence={
            "query_ids": [s.query_id],
            "query": s.text,
            "mean_before_ms": round(shift.ms_before, 3),
            "mean_after_ms": round(shift.ms_after, 3),
            "ratio": round(shift.ratio, 2),
            "server_ratio": _rounded(shift.server_ratio),
            "blocks_ratio": _rounded(shift.blocks_ratio),
            "rows_ratio": _rounded(shift.rows_ratio),
            "plan_before": plan.before if plan else None,
            "plan_after": plan.after if plan else None,
            "intervals_before": shift.base_intervals,
            "intervals_after": shift.current_intervals,
            "calls_before": round(shift.base_calls),
            "calls_after": round(shift.current_calls),
            "p_value": float(f"{shift.p_value:.1g}"),
            "lost_ms": round(shift.extra_ms, 1),
            "load_share": round(shift.load_share, 4),
            **_period(shift),
        },
        impact=Impact(
            cost=MeasuredTime(shift.extra_ms, seconds, None, {s.query_id: shift.extra_ms}),
            risk="each call takes longer",
        ),
        remedy=remedy,
        caveats=caveats,
        related=tuple(ix.table_object(snapshot, t) for t in tables),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _tables(snapshot: Snapshot, s: Statement) -> Iterator[Table]:
    read = reading.query(s.text)
    for each in sorted(read.relations, key=str) if read else ():
        table = named.table(snapshot, each.schema, each.name)
        if table is not None:
            yield table


# --- what it says -----------------------------------------------------------------------------------


def _measured(shift: StatementShift) -> str:
    return (
        f"A call took {units.duration(shift.ms_before)} in {shift.base_intervals} intervals ({units.count(round(shift.base_calls), 'call')}) and "
        f"takes {units.duration(shift.ms_after)} in the {shift.current_intervals} since {shift.current_begins:%Y-%m-%d %H:%M} UTC "
        f"({units.count(round(shift.current_calls), 'call')})."
    )


def _likely(shift: StatementShift) -> Iterator[str]:
    """Yield what may be the cause, the most likely first."""
    ordered = sorted((c for c in shift.causes if c.kind != "plan"), key=_rank)
    plan = _plan(shift)
    if plan is not None:
        yield f"Its generic plan was {plan.before}, and is {plan.after}."
    elif shift.is_new_plan:
        yield "Its generic plan is another one than before."
    for each in ordered[:6]:
        yield _told(each)
    if shift.temp_after > 2 * shift.temp_before + 1:
        yield f"It writes {shift.temp_after:,.0f} blocks per call to temporary files, and wrote {shift.temp_before:,.0f} before."
    blocks = shift.blocks_ratio
    if blocks is not None and blocks >= 1.2:
        yield f"It reads {units.short(blocks)} times as many blocks per call."
    elif blocks is not None and not ordered:
        yield (
            "It reads as many blocks per call as before, so the plan is hardly the cause: waiting for locks, colder caches, and "
            "other work on the machine are possible."
        )


def _plan(shift: StatementShift) -> ShiftCause | None:
    return next((c for c in shift.causes if c.kind == "plan" and c.before and c.after), None)


_RANKS = {
    ("index", "dropped"): 0,
    ("index", "became invalid"): 0,
    ("index", "re-created"): 2,
    ("version", "altered"): 1,
    ("setting", "altered"): 1,
    ("dead rows", "grew"): 3,
    ("rows", "grew"): 3,
    ("size", "grew"): 3,
}


def _rank(cause: ShiftCause) -> tuple[int, str]:
    return _RANKS.get((cause.kind, cause.what), 4), cause.name


def _told(cause: ShiftCause) -> str:
    name = f"{cause.schema}.{cause.name}" if cause.schema else cause.name
    what = cause.what.removeprefix("became ")
    change = f" from {cause.before} to {cause.after}" if cause.before and cause.after else ""
    if cause.kind == "index" and cause.what in ("dropped", "re-created", "created"):
        change = ""
    aspect = f" ({cause.aspect})" if cause.aspect and cause.aspect != "definition" else ""
    verb = "became" if cause.what.startswith("became ") else "was" if what.endswith("ed") else ""
    kind = {"dead rows": "The dead rows of", "rows": "The rows of", "size": "The size of"}.get(
        cause.kind, f"The {cause.kind}"
    )
    return f"{kind} {name} {verb} {what}{aspect}{change}.".replace("  ", " ")


_CAUSES = {
    "plan": "its generic plan",
    "index": "the indexes of its tables",
    "setting": "the settings of the planner and of memory",
    "version": "the server's version",
    "size": "the size of its tables",
    "dead rows": "their dead rows",
}


def _ruled_out(shift: StatementShift) -> str:
    changed = {c.kind for c in shift.causes}
    same = [_CAUSES[k] for k in _CAUSES if k in shift.compared and k not in changed]
    if shift.rows_ratio is not None and 0.8 < shift.rows_ratio < 1.25:
        same.append("the rows per call")
    if shift.server_ratio is not None and shift.server_ratio < 1.1:
        same.append("the speed of other statements")
    said = f"Ruled out, since they are the same or nearly so: {', '.join(same)}." if same else ""
    blind = [_CAUSES[k] for k in _CAUSES if k not in shift.compared]
    unseen = (
        f"Not compared, since the facts of then or now are missing: {', '.join(blind)}."
        if blind
        else ""
    )
    return " ".join(filter(None, (said, unseen)))


# --- what to do -------------------------------------------------------------------------------------


def _remedies(
    snapshot: Snapshot, shift: StatementShift, tables: Iterable[Table]
) -> tuple[tuple[Remedy, ...], tuple[str, ...]]:
    builder = IndexBuilder(snapshot)
    present = {(i.schema, i.name) for i in snapshot.indexes}
    found = [
        builder.named(c.schema, c.table, c.ddl, c.name).remedy
        for c in shift.causes
        if c.ddl and c.schema and c.table and (c.schema, c.name) not in present
    ]
    caveats = ["If the index was dropped on purpose, look for another way."] if found else []
    found += [maintenance.analyze(t) for t in tables if _is_outdated(snapshot, t)]
    return tuple(found), tuple(caveats)


def _is_outdated(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether a fifth of a table, and more than a few rows, changed since it was analyzed."""
    activity = snapshot.activity_by_oid.get(table.oid)
    return activity is not None and activity.n_mod_since_analyze > max(1000, table.rows / 5)
