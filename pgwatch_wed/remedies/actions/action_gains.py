"""What actions save: each millisecond and each object's bytes once."""

from collections.abc import Iterable, Mapping, Sequence

from pgwatch_wed.facts import MissingIndex, Snapshot
from pgwatch_wed.findings import ActionGain, Finding, Object
from pgwatch_wed.postgres import statements


def loads(snapshots: Iterable[Snapshot]) -> float:
    """Return the time of all users' statements in all databases."""
    return sum(s.total_exec_ms for each in snapshots for s in statements.of_users(each))


def gain_of(findings: Iterable[Finding], load_ms: float | None = None) -> ActionGain:
    """Return what findings save together; their gains must be those of :func:`pgwatch_wed.cures.counted_once`.

    A rate needs counters of a day for each of them. ``load_ms`` is the load that they are shares of: by default, that of their databases.
    """
    given = list({f.id: f for f in findings}.values())
    if load_ms is None:
        load_ms = _load_of(given)
    times = [t for f in given if (t := f.impact.gain) is not None and t.ms > 0]
    rates = [t.per_day for t in times]
    known = [rate for rate in rates if rate is not None]
    of_load = sum(t.ms for t in times if t.load_ms)
    sizes = bytes_by_object(given)
    return ActionGain(
        ms_per_day=sum(known) if times and len(known) == len(rates) else None,
        share_of_load=min(of_load / load_ms, 1.0) if of_load and load_ms > 0 else None,
        bytes=sum(sizes.values()) if sizes else None,
    )


def _load_of(findings: Iterable[Finding]) -> float:
    """Return the load of the databases in which findings save time."""
    gains = ((f.object.database, f.impact.gain) for f in findings)
    loads = {where: time.load_ms for where, time in gains if time is not None and time.load_ms}
    return sum(loads.values())


def bytes_by_object(findings: Iterable[Finding]) -> Mapping[Object, int]:
    """Return the most that any finding saves of each object."""
    found: dict[Object, int] = {}
    for finding in findings:
        size = finding.impact.bytes
        if size is not None and size > 0:
            found[finding.object] = max(found.get(finding.object, 0), size)
    return found


def cost_share(
    snapshots: Sequence[Snapshot], planned: Iterable[tuple[str, str, str]]
) -> float | None:
    """Return the share of the planner's cost that the recommended indexes of a plan save together.

    ``planned`` are the indexes that are created or served by those: database, schema and name. The parts of an advised set add up to what it saves as a whole,
    planned again with all of it. Where a part of the set is not in the plan, what both serve does not count.
    """
    wanted = set(planned)
    before = saved = 0.0
    for snapshot in snapshots:
        if not snapshot.missing_indexes:
            if len(snapshots) > 1:  # the cost of its statements is not known
                return None
            continue
        here = snapshot.server.database
        own = [a for a in snapshot.missing_indexes if (here, a.schema, a.name) in wanted]
        others = {q for a in snapshot.missing_indexes if a not in own for q in a.query_ids}
        before += snapshot.missing_indexes[0].cost_before
        saved += sum(_part(advice, others) for advice in own)
    return min(max(saved / before, 0.0), 1.0) if before > 0 and saved > 0 else None


def _part(advice: MissingIndex, shared: set[int]) -> float:
    whole = max(advice.cost_before - advice.cost_after, 0.0)
    if shared.isdisjoint(advice.query_ids):
        return whole
    if len(advice.saved_ms) != len(advice.query_ids):
        return 0.0
    pairs = zip(advice.query_ids, advice.saved_ms, strict=True)
    return max(whole - sum(ms for query, ms in pairs if query in shared), 0.0)
