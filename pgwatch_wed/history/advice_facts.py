"""What became of earlier advice, as facts of a snapshot that the rules evaluate."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.facts import FollowedAdvice, Missing, Snapshot
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.history import advice
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.identity import Identity

# What was settled so long ago is only in the record.
_SHOWN = timedelta(days=120)
_APPLIED = (AppliedState.APPLIED, AppliedState.PARTLY)


def facts_of(
    connection: sa.Connection, snapshot: Snapshot, owner: Identity | None
) -> tuple[FollowedAdvice, ...] | Missing:
    """Return what became of the advice about a database, the latest first; what was not applied is left out."""
    if owner is None:
        return ()
    known = advice.listed(connection, database_id=owner.database_id)
    rows = [row_of(a) for a in known if a.standing is not AppliedState.UNKNOWN]
    shown = [
        r
        for r in rows
        if r.state != AppliedState.ABSENT
        and (r.since or r.advised_at) > snapshot.now - _SHOWN
        and r.advised_at < snapshot.now
    ]
    return tuple(sorted(shown, key=lambda r: (r.since or r.advised_at, r.label), reverse=True))


def row_of(own: StoredAdvice) -> FollowedAdvice:
    """Return stored advice as a row of facts."""
    measured = own.measured or {}
    about = own.predicted.get("object", {})
    is_there = own.standing in _APPLIED
    return FollowedAdvice(
        rule=own.rule,
        grade=own.grade,
        kind=about.get("kind", ""),
        schema=about.get("schema"),
        table=about.get("table"),
        name=about.get("name") or own.label,
        state=own.state,
        found=own.structure.get("detail", ""),
        advised_at=own.advised_at,
        absent_at=own.absent_at if own.standing is not AppliedState.BEFORE else None,
        since=own.state_at if own.standing is not AppliedState.ABSENT else None,
        outcome=own.outcome,
        outcome_reason=measured.get("detail", ""),
        ready_at=_moment(measured.get("ready_at")),
        predicted_ms_per_day=own.predicted.get("ms_per_day"),
        predicted_ratio=predicted_ratio(own),
        saved_ms_per_day=measured.get("saved_ms_per_day"),
        lost_ms_per_day=measured.get("lost_ms_per_day"),
        blocks_ratio=measured.get("blocks_ratio"),
        time_ratio=measured.get("time_ratio"),
        calls_after=measured.get("calls_after"),
        oids=tuple(own.structure.get("oids", ())) if is_there else (),
        undo=tuple(own.predicted.get("undo", ())),
        slower=tuple(h["text"] for h in measured.get("harms", ()) if h.get("text")),
    )


def predicted_ratio(own: StoredAdvice) -> float | None:
    """Return what part of its statements' time advice promised to leave: 1 saves nothing."""
    saved, whole = own.predicted.get("ms"), own.predicted.get("of_ms")
    if saved is None or not whole:
        return None
    return round(max(1 - float(saved) / float(whole), 0.0), 4)


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
