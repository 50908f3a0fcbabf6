"""Samples of a block, with the waits of pg_wait_sampling's profile: it sees ten times as much of them as we do.

Who holds a lock, and which session is of the load, only our samples tell; so does, for most versions of the
extension, what computes. The profile counts without their statement the waits of a commit, after the statement's end, and
of utility statements: these, too, are as we sampled them. It decides how the time of the others is divided.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pgwatch_wed import units
from pgwatch_wed.load.sampling.active_samples import (
    NO_STATEMENT,
    NO_WAIT,
    ActiveSamples,
    FlowTime,
    QueueHead,
    TimeFlow,
    WaitName,
    WaitProfile,
)
from pgwatch_wed.load.sampling.wait_kinds import LOCKS, wait_kind

_LEAST = 50  # samples in the profile: fewer are no better than ours
_NAMELESS = 0.05  # of a wait, without a statement: the others do not stand for it
_NOT_DIVIDED = frozenset({"activity", "client"})  # idle, or which of the two cannot be told
_OF_LEADERS = frozenset({"executegather", "parallelfinish"})

_Group = tuple[str, WaitName]


def profiled(samples: ActiveSamples) -> ActiveSamples:
    """Return samples whose time in waits is divided as the profile says; the same if it cannot be used."""
    profile = samples.profile
    if profile is None or profile.missing:
        return samples
    counts = _counts(samples, profile)
    if any(wait.event.lower() in _OF_LEADERS for _, wait in counts):
        why = "it does not tell parallel workers from their leaders"
        return replace(samples, profile=WaitProfile(missing=why))
    groups = _groups(samples.flows)
    known = {key for key, _ in counts}
    waits = {wait for _, wait in counts}
    divided = {g for g in groups if g[0] in known and g[1] in waits}
    seconds = sum(groups[g] for g in divided)
    total = counts.total()
    if total < _LEAST or not seconds:
        return replace(samples, profile=WaitProfile(missing=_too_few(profile)))
    targets = {g: seconds * count / total for g, count in counts.items()}
    return replace(samples, flows=_divided(samples.flows, groups, divided, targets))


def _too_few(profile: WaitProfile) -> str:
    waits = [(key.query_id, n) for key, n in profile.counts.items() if _is_wait(key.wait)]
    whole, nameless = sum(n for _, n in waits), sum(n for id_, n in waits if not id_)
    if nameless > whole / 2:
        return "its profile counts most waits without their statement, as older versions do with prepared statements"
    return f"it has fewer than {_LEAST} samples of the waits of a block"


def _is_wait(wait: WaitName) -> bool:
    return wait.type.lower() not in _NOT_DIVIDED


def profile_notes(samples: Iterable[ActiveSamples]) -> list[str]:
    """Say whether the profile was used, and why not where it is there."""
    profiles = [s.profile for s in samples if s.profile is not None]
    reasons = dict.fromkeys(p.missing for p in profiles if p.missing)
    notes = [f"pg_wait_sampling is not used: {reason}." for reason in reasons]
    if used := sum(sum(p.counts.values()) for p in profiles if not p.missing):
        notes.append(
            f"Waits are ranked by pg_wait_sampling's profile ({units.count(used, 'sample')}); who held "
            "locks, and what computed, is from our own samples of sessions."
        )
    return notes


def _counts(samples: ActiveSamples, profile: WaitProfile) -> Counter[_Group]:
    """Return the profile of the statements that sessions of the load were seen in."""
    keys = {id_: s.key for s in samples.statements.values() for id_ in s.query_ids}
    whole, nameless = Counter[WaitName](), Counter[WaitName]()
    for (query_id, wait), count in profile.counts.items():
        whole[wait] += count
        nameless[wait] += 0 if query_id else count
    found: Counter[_Group] = Counter()
    for (query_id, wait), count in profile.counts.items():
        is_named = nameless[wait] <= whole[wait] * _NAMELESS
        if query_id in keys and is_named and _is_wait(wait):
            found[keys[query_id], wait] += count
    return found


def _groups(flows: Mapping[TimeFlow, FlowTime]) -> dict[_Group, float]:
    found: dict[_Group, float] = defaultdict(float)
    for flow, spent in flows.items():
        found[flow.query, flow.wait] += spent.seconds
    return dict(found)


def _divided(
    flows: Mapping[TimeFlow, FlowTime],
    groups: Mapping[_Group, float],
    divided: set[_Group],
    targets: Mapping[_Group, float],
) -> dict[TimeFlow, FlowTime]:
    found: dict[TimeFlow, FlowTime] = {}
    for flow, spent in flows.items():
        group = (flow.query, flow.wait)
        part = targets.get(group, 0.0) / groups[group] if group in divided else 1.0
        if part:
            found[flow] = _part(spent, part)
    for group, seconds in targets.items():
        if group not in groups:
            for flow, part in _unseen(group, flows):
                spent = found.setdefault(flow, FlowTime())
                spent.seconds += seconds * part
    return found


def _part(spent: FlowTime, part: float) -> FlowTime:
    return FlowTime(spent.seconds * part, spent.samples, spent.in_checkpoint_s * part)


def _unseen(group: _Group, flows: Mapping[TimeFlow, FlowTime]) -> list[tuple[TimeFlow, float]]:
    """Return what a wait that we did not see was for: a lock was held as it was for others that waited so."""
    query, wait = group
    if wait_kind(wait) not in LOCKS:
        return [(TimeFlow(query, wait, QueueHead.ITSELF, query, wait), 1.0)]
    others = {f: s.seconds for f, s in flows.items() if f.wait == wait}
    total = sum(others.values())
    if not total:
        return [(TimeFlow(query, wait, QueueHead.GONE, NO_STATEMENT, NO_WAIT), 1.0)]
    return [(flow._replace(query=query), s / total) for flow, s in others.items()]
