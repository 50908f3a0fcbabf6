"""Advice of an earlier run was applied, and did more harm than good.

## Why it matters
An index is paid for by every write, and the planner may choose it where another plan was better. Whether it pays off shows
only once it is there. What harms should be reverted.

## How sure we are
B: measured. The statements that the advice should have made faster, others on the same table, and those that write it are
compared with their own past, interval by interval, and with statements that do not touch the table, so that a server
that became slower as a whole is not blamed on the advice. It takes at least 6 intervals before and 3 after; the first one
after the change is skipped. docs/closed-loop.md tells how often such verdicts are right. Something else that was
changed for the same statements at the same time cannot be told apart: `db-analyze why TABLE` lists it.

## Not reported
Losses of less than 10 seconds per day or 10%, losses that are smaller than the gain, and growth: where blocks and time of a call
go on rising as before, the table has grown.

## Remedy
Revert it: drop the index, whatever it is called now, or the SQL that undoes the advice.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import FollowedAdvice, Index, Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome, AppliedState
from pgwatch_wed.findings import (
    Effort,
    Finding,
    Grade,
    Impact,
    MeasuredTime,
    Object,
    Remedy,
    Severity,
)
from pgwatch_wed.remedies.indexes import drop
from pgwatch_wed.units import duration

NEEDS = ("followed_advice",)

_DAY_S = 86_400
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A loss below this is not worth reverting anything.
    min_lost_ms_per_day: float = 10_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """Yield a finding for each piece of advice that is in effect and does harm."""
    for own in snapshot.followed_advice:
        is_there = own.state in (AppliedState.APPLIED, AppliedState.PARTLY)
        net = net_loss(own)
        if is_there and own.outcome == AdviceOutcome.HARMED and net >= limits.min_lost_ms_per_day:
            yield _finding(snapshot, own, net)


def net_loss(own: FollowedAdvice) -> float:
    """Return what it costs, less what it saves, in milliseconds per day."""
    return (own.lost_ms_per_day or 0.0) - (own.saved_ms_per_day or 0.0)


def _finding(snapshot: Snapshot, own: FollowedAdvice, net: float) -> Finding:
    indexes = built(snapshot, own)
    remedy = tuple(drop(snapshot, i) for i in indexes) or _undo(own)
    since = f"{own.since:%Y-%m-%d %H:%M}" if own.since else "an earlier run"
    return Finding(
        object=about(snapshot, own, indexes),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"What {own.rule} advised for {own.label} costs more than it saves",
        detail=f"Seen since {since}: {own.outcome_reason or 'statements became slower'}.",
        evidence={
            "advised_at": own.advised_at.isoformat(),
            "applied_at": own.since.isoformat() if own.since else None,
            "lost_ms_per_day": own.lost_ms_per_day,
            "saved_ms_per_day": own.saved_ms_per_day,
            "predicted_ms_per_day": own.predicted_ms_per_day,
            "blocks_ratio": own.blocks_ratio,
            "time_ratio": own.time_ratio,
            "slower_statements": list(own.slower[:_SHOWN]),
        },
        impact=Impact(
            gain=MeasuredTime(net, _DAY_S),
            effort=Effort.INDEX,
            risk=f"about {duration(net)} per day are lost",
        ),
        remedy=remedy,
        caveats=(_other_causes(own),),
    )


def _other_causes(own: FollowedAdvice) -> str:
    about = ".".join(filter(None, (own.schema, own.table or own.name)))
    return (
        "Something else that was changed at the same time may be the cause: "
        f"db-analyze why {about} lists it."
    )


def built(snapshot: Snapshot, own: FollowedAdvice) -> tuple[Index, ...]:
    """Return the indexes that were built for the advice, without those attached to one of them."""
    found = [snapshot.index_by_oid[oid] for oid in own.oids if oid in snapshot.index_by_oid]
    return tuple(i for i in found if i.parent_oid not in own.oids)


def about(snapshot: Snapshot, own: FollowedAdvice, indexes: tuple[Index, ...]) -> Object:
    """Return the index that was built, or what the advice was about."""
    database = snapshot.server.database
    if not indexes:
        return Object(own.kind, own.name, database, own.schema, own.table)
    index = indexes[0]
    table = snapshot.table_by_oid.get(index.table_oid)
    return Object("index", index.name, database, index.schema, table.name if table else own.table)


def _undo(own: FollowedAdvice) -> tuple[Remedy, ...]:
    return tuple(
        Remedy(sql, lock="as stated with the advice", in_transaction=False) for sql in own.undo
    )
