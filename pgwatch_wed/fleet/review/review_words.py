"""A review in words, for all formats that people read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.findings import ActionGain, Severity, Standing
from pgwatch_wed.fleet.review.reviews import (
    SILENCE,
    ClusterFinding,
    Drift,
    FleetIssue,
    NearLimit,
    Review,
    ReviewedCluster,
    SharedCause,
    VersionCount,
)
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.render import heading
from pgwatch_wed.render.impact_words import saved

SILENT = "not read"
FEW = 8
_REASONS = 3
"""So many names are said; the others are counted."""


def names(members: Sequence[str], most: int = FEW) -> str:
    """Say who: ``a, b and 3 more``."""
    if len(members) <= most + 1:
        return ", ".join(members)
    return f"{', '.join(members[:most])} and {len(members) - most:,} more"


def on(members: Sequence[str], of: int) -> str:
    """Say on how many of the clusters: ``on 3 of 60 clusters``."""
    return f"on {len(members):,} of {units.count(of, 'cluster')}"


# --- the verdict ----------------------------------------------------------------------------------


def verdict(review: Review) -> str:
    """Say in a few sentences how the fleet is."""
    parts = [_read(review), _found(review)]
    if not review.has_ended:
        waiting = sum(c.ending is None for c in review.clusters)
        parts.insert(1, f"The run has not ended: {waiting:,} still have to be visited.")
    return " ".join(filter(None, (*parts, _since(review))))


def _read(review: Review) -> str:
    total = units.count(len(review.clusters), "cluster")
    unread = len(review.unread)
    if not unread:
        return f"All {total} were read." if len(review.clusters) != 1 else "The cluster was read."
    if len(review.clusters) == 1:
        return "The cluster was not read."
    were = "was" if len(review.read) == 1 else "were"
    return f"{len(review.read):,} of {total} {were} read, {unread:,} {'was' if unread == 1 else 'were'} not."


def _found(review: Review) -> str:
    bad = [f for f in review.findings if f.severity is not Severity.INFO]
    where = len({f.member for f in bad})
    counts = " and ".join(
        units.count(n, f"{s.value} finding")
        for s in (Severity.CRITICAL, Severity.WARNING)
        if (n := review.count(s))
    )
    if not counts:
        return "There are no critical or warning findings."
    stale = len({f.member for f in bad if not f.is_current and f.rule != SILENCE})
    as_of = f"; those of {units.count(stale, 'cluster')} are of an earlier run" if stale else ""
    are = "is" if counts.startswith("1 ") else "are"
    return f"There {are} {counts} {on(range_of(where), len(review.clusters))}{as_of}."


def range_of(number: int) -> Sequence[str]:
    """Stand for so many names."""
    return ("",) * number


def _since(review: Review) -> str:
    compared = [c for c in review.clusters if c.compared_at is not None]
    if not compared:
        return ""
    new, worse = review.standing(Standing.NEW), review.standing(Standing.WORSE)
    return f"Since the visit before: {new:,} new, {worse:,} worse, {len(review.gone):,} gone."


# --- issues ---------------------------------------------------------------------------------------


def title(issue: FleetIssue) -> str:
    """Say what is wrong: as the findings do, if they all say the same."""
    titles = {f.title for f in issue.findings}
    return titles.pop() if len(titles) == 1 else issue.summary.rstrip(".")


def where(issue: FleetIssue, review: Review) -> str:
    """Say on how many clusters, and of how many that is not known."""
    said = on(issue.members, len(review.clusters))
    stale = len({f.member for f in issue.findings if not f.is_current and f.rule != SILENCE})
    looked = f", on {stale:,} of them as of an earlier run" if stale else ""
    blind = len(review.clusters) - issue.evaluated - stale
    others = f"; not evaluated on {units.count(blind, 'other')}" if blind > 0 else ""
    return f"{said}{_milder(issue)}{looked}{others}"


def _milder(issue: FleetIssue) -> str:
    """Say on how many clusters it is less severe than the heading says."""
    worst = {f.member for f in issue.findings if f.severity is issue.severity}
    milder = [f for f in issue.findings if f.member not in worst]
    counts = (
        (s, len({f.member for f in milder if f.severity is s}))
        for s in (Severity.WARNING, Severity.INFO)
    )
    return "".join(f", {s.value} on {n:,} of them" for s, n in counts if n)


def gain(issue: FleetIssue) -> str:
    """Say what the remedies save over the fleet."""
    return saved_in_words(issue.ms_per_day, issue.bytes)


def saved_in_words(ms_per_day: float | None, size: int | None) -> str:
    """Say what is saved; "" if that is nothing or not known."""
    said = saved(ActionGain(ms_per_day=ms_per_day or None, bytes=size or None))
    return f"saves {said}" if said else ""


def stands(issue: FleetIssue) -> str:
    """Say how many findings are new or worse."""
    both = (Standing.NEW, Standing.WORSE)
    return ", ".join(f"{n:,} {s.value}" for s in both if (n := issue.standing(s)))


def cause(own: SharedCause, review: Review) -> str:
    """Say what of and where: ``public.orders, on 5 clusters: a, b and 3 more``."""
    of, exceptions = spread(own.members, review)
    who = of if not own.members or exceptions is not None else f"{of}: {names(own.members)}"
    if exceptions:
        who = f"{of}: all but {names(exceptions)}"
    return f"{own.label}, on {who}" if own.label else f"on {who}"


def spread(members: Sequence[str], review: Review) -> tuple[str, tuple[str, ...] | None]:
    """Count clusters; with the others if nearly all have it, which are shorter to name, else None."""
    total = len(review.clusters)
    of = units.count(len(members), "cluster")
    missing = total - len(members)
    if len(members) <= FEW or missing > min(FEW, len(members) // 4):
        return of, None
    if not missing:
        return f"all {of}", ()
    own = set(members)
    return of, tuple(c.member for c in review.clusters if c.member not in own)


def age(finding: ClusterFinding, review: Review) -> str:
    """Say how long a finding has been open."""
    return f"open for {units.words(review.now - finding.first_seen)}"


# --- what changed ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FleetChange:
    """What became new, worse or gone on one or more clusters."""

    what: str
    rule: str
    severity: Severity
    title: str
    members: tuple[str, ...]
    was: str = ""


def changes(review: Review) -> tuple[FleetChange, ...]:
    """Return what changed since each cluster was read before: new, then worse, then gone."""
    found: dict[tuple[str, str, str], list[tuple[Severity, str, str]]] = defaultdict(list)
    for f in review.findings:
        if f.standing in (Standing.NEW, Standing.WORSE):
            said = SILENT if f.rule == SILENCE else f.title
            found[f.standing.value, f.rule, said].append((f.severity, f.member, f.was))
    for g in review.gone:
        found["gone", g.rule, g.title].append((g.severity, g.member, ""))
    order = ("new", "worse", "gone")
    made = [
        FleetChange(
            *(what, rule, min((s for s, _, _ in of), key=lambda s: s.rank), said),
            tuple(dict.fromkeys(member for _, member, _ in of)),
            "; ".join(dict.fromkeys(was for _, _, was in of if was)),
        )
        for (what, rule, said), of in found.items()
    ]
    key = lambda c: (order.index(c.what), c.severity.rank, -len(c.members), c.rule, c.title)  # noqa: E731
    return tuple(sorted(made, key=key))


def first_visits(review: Review) -> tuple[str, ...]:
    """Return the clusters that were read for the first time, of a fleet that was read before."""
    if review.before is None:
        return ()
    return tuple(c.member for c in review.read if c.compared_at is None)


def by_chance(review: Review) -> tuple[str, ...]:
    """Say which findings of clusters' own reports count nowhere."""
    found: dict[str, list[str]] = defaultdict(list)
    for own in review.clusters:
        for f in own.by_chance:
            found[f.title].append(own.member)
    return tuple(f"{title}, on {names(members)}" for title, members in sorted(found.items()))


BY_CHANCE = (
    "The report of the fleet does not count this: among so many clusters and statements, some take longer for a while by chance. It does once "
    "calls read more blocks as well, most of the clusters with something in common have it, or it lasts and is twice as slow or more."
)
"""What is said of such a finding in the cluster's own report."""


# --- who was not seen -----------------------------------------------------------------------------


def silences(review: Review) -> tuple[ReviewedCluster, ...]:
    """Return the clusters that were not read: those of which the longest nothing is known first."""
    return tuple(
        sorted(
            (c for c in review.unread if c.ending is not None),
            key=lambda c: (
                c.ending is VisitEnding.SKIPPED,
                c.seen_at is not None,
                c.seen_at.timestamp() if c.seen_at else 0.0,
                c.member,
            ),
        )
    )


def silence(own: ReviewedCluster, review: Review) -> str:
    """Say why a cluster was not read, and what is known of it."""
    how = own.ending.value if own.ending else "not visited yet"
    tries = f" after {own.attempts} attempts" if own.attempts > 1 else ""
    reason = f": {own.reason}" if own.reason else ""
    return f"{how}{tries}{reason}; {seen(own, review)}"


def seen(own: ReviewedCluster, review: Review) -> str:
    """Say since when nothing is known, and what stays open."""
    if own.seen_at is None:
        return "never read, so nothing is known of it"
    still = sum(f.rule != SILENCE for f in own.findings)
    ago = units.words(review.now - own.seen_at)
    kept = f"; its {units.count(still, 'finding')} of then stay open" if still else ""
    return f"last read {ago} ago ({own.seen_at:%Y-%m-%d %H:%M} UTC){kept}"


def lacking(own: ReviewedCluster) -> str:
    """Say what a visit that was done in part lacks."""
    return "; ".join(f"{name}: {reason}" for name, reason in sorted(own.lacking.items()))


def unevaluated(
    review: Review, most_reasons: int | None = _REASONS
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return (rule, reason, clusters) of what could not be evaluated on clusters that were read, the most common first.

    A rule has a row for each reason; of more than ``most_reasons``, the rarest share the last row.
    """
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for own in review.read:
        for rule, reason in own.unknown.items():
            found[rule][reason].append(own.member)
    rows = []
    for rule, reasons in found.items():
        total = sum(map(len, reasons.values()))
        by_size = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))
        few = by_size if most_reasons is None else by_size[:most_reasons]
        rest = [member for _, members in by_size[len(few) :] for member in members]
        said = [*few, ("other reasons, which their own reports name", rest)] if rest else few
        rows += [(total, rule, reason, tuple(members)) for reason, members in said]
    rows.sort(key=lambda row: (-row[0], row[1]))
    return tuple(row[1:] for row in rows)


# --- limits, versions, drift ------------------------------------------------------------------------


def limit(near: NearLimit) -> str:
    """Say where a number of a cluster is heading."""
    return f"{near.member}: {heading.sentence(near.line)}"


def untold(review: Review) -> str:
    """Say of how many clusters nothing can be forecast yet."""
    if not review.untold:
        return ""
    return (
        f"Nothing can be forecast yet for {units.count(len(review.untold), 'cluster')}: "
        f"{names(review.untold)}."
    )


def version(own: VersionCount) -> str:
    """Say who runs a version."""
    behind = f" ({own.newest} runs elsewhere)" if own.is_behind else ""
    return f"{own.version}{behind}: {units.count(len(own.members), 'cluster')}"


_THINGS = {
    "version": "version",
    "setting": "setting",
    "extension": "extension",
    "table": "table",
    "index": "index on",
}


def drift(own: Drift) -> str:
    """Say what most have, and who has not."""
    group = f" in group {own.group}" if own.group else ""
    if own.kind in ("table", "index"):
        most, few = ("have", "lack") if own.usual else ("lack", "have")
        if own.differing == 1:
            few = {"have": "has", "lack": "lacks"}[few]
        who = names([m for _, members in own.others for m in members])
        return f"{_THINGS[own.kind]} {own.name}{group}: {own.having:,} {most} it, {own.differing:,} {few} it: {who}"
    usual = own.usual or "none"
    rest = "; ".join(f"{value or 'none'} on {names(of)}" for value, of in own.others)
    what = own.name if own.kind == "version" else f"{_THINGS[own.kind]} {own.name}"
    return f"{what}{group}: {usual} on {own.having:,} of {own.of:,}; {rest}"


def differing(drifts: Iterable[Drift]) -> Iterator[tuple[str, list[Drift]]]:
    """Yield what differs by kind, in the order of the review."""
    found: dict[str, list[Drift]] = defaultdict(list)
    for each in drifts:
        found[each.kind].append(each)
    yield from found.items()
