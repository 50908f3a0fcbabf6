"""Which statements became slower than they were: read from the series, judged, with what changed meanwhile."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.facts.rows import StatementShift
from pgwatch_wed.history import series
from pgwatch_wed.history.condense import BY_THE_HOUR
from pgwatch_wed.history.identity import Identity
from pgwatch_wed.history.interval_units import Observed
from pgwatch_wed.history.periods import Periods, periods
from pgwatch_wed.history.regressions import (
    Judged,
    Judgement,
    Proof,
    SeriesKey,
    Shift,
    Sides,
    judge,
)
from pgwatch_wed.history.shift_causes import Causes, causes_of
from pgwatch_wed.history.work_rows import StatementInterval

_WARMS = timedelta(hours=2)
"""A server's caches are filled within this time; a longer interval is mostly of the time after."""


def facts_of(
    connection: sa.Connection, snapshot: Snapshot, owner: Identity | None
) -> tuple[StatementShift, ...] | Missing:
    """Return the statements with enough load to be judged, or why they cannot be."""
    if owner is None:
        return Missing("this is the first run", "run it again, every hour", Cause.OTHER)
    since = snapshot.now - BY_THE_HOUR
    known = series.intervals_of(connection, owner.database_id, since, snapshot.now)
    found = periods([i for i in known if not i.reason], snapshot.now)
    if isinstance(found, Missing):
        return found
    rows = series.of_all_statements(connection, owner.database_id, since, snapshot.now)
    sides: dict[SeriesKey, Sides] = {
        number: _sides(snapshot, each, found) for number, each in rows.items()
    }
    judged = judge(sides, Proof())
    query_ids = {s.id: s.query_id for s in series.known_statements(connection, owner.database_id)}
    facts = tuple(
        _fact(shift, judged, found, query_ids[int(shift.key)])
        for shift in judged.shifts
        if shift.outcome is not Judged.SMALL
    )
    regressed = [f for f in facts if f.is_regressed]
    if not regressed:
        return facts
    causes = causes_of(connection, owner.database_id, snapshot, found, regressed)
    return tuple(_explained(f, causes.get(f.query_id)) for f in facts)


def _explained(fact: StatementShift, causes: Causes | None) -> StatementShift:
    if causes is None:
        return fact
    return replace(fact, causes=causes.found, compared=causes.compared)


def _sides(snapshot: Snapshot, rows: Sequence[StatementInterval], found: Periods) -> Sides:
    seen = [_observed(snapshot, r) for r in rows]
    return Sides(
        tuple(i for i in seen if i.ends <= found.current_begins),
        tuple(i for i in seen if i.begins >= found.current_begins),
    )


def _observed(snapshot: Snapshot, row: StatementInterval) -> Observed:
    return Observed(
        row.began_at,
        row.ended_at,
        row.calls,
        row.exec_ms,
        row.rows,
        row.blocks,
        row.temp_blocks,
        row.wal_bytes,
        math.sqrt(max(row.squares_ms2, 0.0) / row.calls) if row.calls else None,
        row.plan_hash,
        _is_cold(snapshot, row),
    )


def _is_cold(snapshot: Snapshot, row: StatementInterval) -> bool:
    started = snapshot.server.started_at
    return row.began_at < started <= row.ended_at and row.ended_at - started < _WARMS


def _fact(shift: Shift, judged: Judgement, found: Periods, query_id: int) -> StatementShift:
    days = found.current_days
    return StatementShift(
        query_id=query_id,
        outcome=shift.outcome.value,
        is_regressed=shift.outcome is Judged.REGRESSED,
        grade=shift.grade,
        ratio=shift.ratio,
        p_value=shift.p_value,
        ms_before=shift.ms_before,
        ms_after=shift.ms_after,
        extra_ms=shift.extra_ms_per_day * days,
        load_share=shift.load_share,
        base_intervals=shift.base_units,
        current_intervals=shift.current_units,
        base_calls=shift.base_calls,
        current_calls=shift.current_calls,
        blocks_ratio=shift.blocks_ratio,
        rows_ratio=shift.rows_ratio,
        temp_before=shift.temp_before,
        temp_after=shift.temp_after,
        is_new_plan=shift.is_new_plan,
        server_ratio=judged.server_ratio,
        is_server_slower=judged.is_server_slower,
        base_begins=found.base_begins,
        current_begins=found.current_begins,
        current_ends=found.current_ends,
    )
