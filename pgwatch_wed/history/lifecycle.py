"""The states of findings over runs: first seen, last seen, resolved, came back.

A finding that could not be evaluated this time is neither there nor resolved. One whose object was renamed goes on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum

from pgwatch_wed.findings import Object, Severity, fingerprint
from pgwatch_wed.history.conclusions import Concluded, Conclusions


class Presence(StrEnum):
    """Whether a finding is there."""

    OPEN = "open"
    RESOLVED = "resolved"
    UNKNOWN = "unknown"  # it could not be evaluated the last time


@dataclass(frozen=True, slots=True)
class FindingState:
    """A finding over runs. ``oid`` is that of the relation, or of the relation's table."""

    finding_id: str
    rule: str
    label: str
    object: Object
    oid: int | None
    severity: Severity
    state: Presence
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = None
    came_back_at: datetime | None = None
    times_resolved: int = 0


OidsOfFindings = Mapping[str, int | None]
"""The oids of what findings are about, by the findings' ids."""


def followed(
    states: Iterable[FindingState],
    now: Conclusions,
    oids: OidsOfFindings,
    is_gone: Callable[[FindingState], bool] = lambda _: False,
) -> tuple[tuple[FindingState, ...], Mapping[str, str]]:
    """Return the states after a run, later than those before, and which ids are now others.

    ``is_gone`` tells that the object of a finding certainly no longer exists.
    """
    before = {s.finding_id: s for s in states}
    moved = _moved(before, now, oids)
    for old, new in moved.items():
        before[new] = before.pop(old)
    after = {
        i: _found(before.get(i), f, oids.get(i), now.taken_at) for i, f in now.findings.items()
    }
    for id_, state in before.items():
        if id_ not in after:
            known = replace(state, finding_id=id_)
            is_there = id_ in now.ignored
            seen = replace(known, state=Presence.OPEN, last_seen=now.taken_at)
            after[id_] = seen if is_there else _missed(known, now, is_gone(state))
    return tuple(after.values()), moved


def _moved(
    before: Mapping[str, FindingState], now: Conclusions, oids: OidsOfFindings
) -> dict[str, str]:
    """Return the present ids of findings whose objects were renamed."""
    here: dict[tuple[object, ...], str] = {}
    for id_, found in now.findings.items():
        if id_ not in before and oids.get(id_) is not None:
            here[_place(found.rule, found.object, oids[id_])] = id_
    moved = {}
    for id_, state in before.items():
        new = here.get(_place(state.rule, state.object, state.oid))
        if new is not None and id_ not in now.findings:
            moved[id_] = new
    return moved


def _place(rule: str, o: Object, oid: int | None) -> tuple[object, ...]:
    """Identify what a finding is about without the names of relations."""
    return rule, o.kind, oid, o.name.removeprefix(o.table or "") if is_part(o) else ""


def is_part(o: Object) -> bool:
    """Tell whether an object is not a relation itself, but belongs to one."""
    return o.kind in ("column", "constraint", "statistics")


def _found(
    known: FindingState | None, found: Concluded, oid: int | None, when: datetime
) -> FindingState:
    if known is None:
        label = found.object.label
        return FindingState(
            *(found.id, found.rule, label, found.object, oid, found.severity, Presence.OPEN),
            first_seen=when,
            last_seen=when,
        )
    came_back = when if known.state is Presence.RESOLVED else known.came_back_at
    return replace(
        known,
        finding_id=found.id,
        label=found.object.label,
        object=found.object,
        oid=known.oid if oid is None else oid,
        severity=found.severity,
        state=Presence.OPEN,
        last_seen=when,
        came_back_at=came_back,
    )


def _missed(known: FindingState, now: Conclusions, is_gone: bool) -> FindingState:
    if known.state is Presence.RESOLVED:
        return known
    found = Concluded(
        *(known.finding_id, known.rule, "", known.severity, "", known.object, known.label)
    )
    if now.why_not_evaluated(found, is_gone=is_gone):
        return replace(known, state=Presence.UNKNOWN)
    return replace(
        known,
        state=Presence.RESOLVED,
        resolved_at=now.taken_at,
        times_resolved=known.times_resolved + 1,
    )


# --- acknowledgements -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A finding that somebody knows of, until when, why, and who it is."""

    finding_id: str
    severity: Severity
    acknowledged_at: datetime
    until: date | None
    reason: str
    name: str

    def holds(self, moment: datetime) -> bool:
        """Tell whether it has not expired; the last day counts, in UTC."""
        return self.until is None or moment.astimezone(UTC).date() <= self.until


def named_now(state: FindingState, relations: Mapping[int, tuple[str, str]]) -> str:
    """Return the id that a finding has if its relation is called as it is now, by oid."""
    name = relations.get(state.oid or -1)
    o = state.object
    if name is None or is_part(o) or (o.schema, o.name) == name:
        return state.finding_id
    table = name[1] if o.kind == "table" else o.table
    return fingerprint(state.rule, replace(o, schema=name[0], name=name[1], table=table))
