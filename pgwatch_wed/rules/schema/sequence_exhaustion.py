"""Sequences that come to their own end.

## Why it matters
nextval() fails once a sequence has reached its last value, and with it every insert that asks for one.

## How sure we are
B: the sequence's position against its own MAXVALUE, or MINVALUE where it counts down.

## Not reported
Sequences that begin again (CYCLE); those whose column's type ends with them or earlier, which `schema-int-overflow`
reports together with the column; sequences never called. A position that the role may not read makes the verdict
unknown.

## Remedy
ALTER SEQUENCE … NO MAXVALUE, or AS bigint where the sequence's own type is what ends. A limit that somebody chose on
purpose, such as a range shared between servers, needs another range instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _sequences as sq

NEEDS = ("sequences", "columns", "tables")
PRIMARY_ONLY = True

_TYPE_ENDS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds: parts 0…1 of the sequence's range that are used up."""

    # Part of the sequence's range that is used up: time to plan, time to act.
    info_share: float = 0.5
    warn_share: float = 0.7
    # Past this, the next busy day may be the last.
    critical_share: float = 0.9


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each sequence that ends of itself."""
    fed: dict[int, list[sq.Key]] = {}
    for key, clock in sq.Feeds(snapshot).direct.items():
        fed.setdefault(clock.sequence.oid, []).append(key)
    for sequence in snapshot.sequences:
        clock = sq.Clock(sequence)
        if sequence.is_cycling or clock.position is None or not sequence.increment:
            continue
        columns = fed.get(sequence.oid, [])
        share = clock.share(clock.own_end)
        if share >= limits.info_share and not _type_ends_first(snapshot, clock, columns):
            yield _finding(snapshot, clock, columns, share, limits)


def _type_ends_first(snapshot: Snapshot, clock: sq.Clock, columns: list[sq.Key]) -> bool:
    ends = [clock.end_in(snapshot.column_by_key[key]) for key in columns]
    return any(
        end is not None and abs(end) < sq.BIGINT_MAX and not clock.comes_before(clock.own_end, end)
        for end in ends
    )


def _finding(
    snapshot: Snapshot, clock: sq.Clock, columns: list[sq.Key], share: float, limits: Limits
) -> Finding:
    sequence = clock.sequence
    names = [_column(snapshot, key) for key in columns]
    return Finding(
        object=Object(
            "sequence", sequence.name, database=snapshot.server.database, schema=sequence.schema
        ),
        severity=_severity(share, limits),
        grade=Grade.B,
        title=f"{sequence.schema}.{sequence.name} has used {share:.0%} of its range",
        detail=f"It is at {clock.position:,} and ends at {clock.own_end:,}; "
        + (f"{', '.join(names)} could hold more." if names else "no column's default uses it."),
        evidence={
            "last_value": clock.position,
            "end": clock.own_end,
            "increment": sequence.increment,
            "type": sequence.type,
            "used_share": round(share, 4),
            "values_left": clock.left(clock.own_end),
            "columns": names,
        },
        impact=Impact(risk="nextval() fails when it ends"),
        remedy=tuple(_remedy(clock)),
        caveats=(
            "Somebody may have set its end on purpose, such as a range of its own per server.",
        ),
    )


def _severity(share: float, limits: Limits) -> Severity:
    if share >= limits.critical_share:
        return Severity.CRITICAL
    return Severity.WARNING if share >= limits.warn_share else Severity.INFO


def _column(snapshot: Snapshot, key: sq.Key) -> str:
    table = snapshot.table_by_oid.get(key[0])
    return f"{table.qualified if table else '?'}.{snapshot.column_by_key[key].name}"


def _remedy(clock: sq.Clock) -> Iterator[Remedy]:
    sequence = clock.sequence
    name = ident(sequence.schema, sequence.name)
    word = "MAXVALUE" if clock.is_ascending else "MINVALUE"
    largest = _TYPE_ENDS.get(sequence.type, sq.BIGINT_MAX)
    if clock.own_end not in (largest, -largest - 1):
        change = f"NO {word}"
    elif sequence.type != "bigint":
        change = "AS bigint"
    else:
        return
    yield Remedy(
        sql=f"ALTER SEQUENCE {name} {change};",
        lock="SHARE ROW EXCLUSIVE on the sequence for a moment: nextval() waits",
        undo=f"ALTER SEQUENCE {name} AS {sequence.type} {word} {clock.own_end};",
    )
