"""From what the history tells to a review: pure, so that a fleet is a value."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgwatch_wed.analyse import gain_points, severity_points
from pgwatch_wed.findings import Grade, Object, Severity, Standing, Verdict, fingerprint
from pgwatch_wed.fleet.review.drifts import Sibling, drifts, versions
from pgwatch_wed.fleet.review.recollection import Recollection, RememberedCluster, RememberedRun
from pgwatch_wed.fleet.review.regression_proof import RULE, RegressionProof, could_count
from pgwatch_wed.fleet.review.reviews import (
    SILENCE,
    ClusterFinding,
    FleetIssue,
    GoneFinding,
    NearLimit,
    Review,
    ReviewedCluster,
    SharedCause,
)
from pgwatch_wed.fleet.traits import limits_of
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history.conclusions import Concluded
from pgwatch_wed.history.gate import worse
from pgwatch_wed.history.lifecycle import FindingState, Presence
from pgwatch_wed.rules import all_rules

LONG_SILENT = timedelta(days=7)
"""A cluster that has not been read for so long is a critical finding."""


@dataclass(frozen=True, slots=True)
class SiblingsTell:
    """What siblings tell of a finding: its grade with that, how likely it helps (0…1), and the record in words."""

    grade: str
    weight: float
    record: str


ToldBySiblings = Mapping[tuple[int, str], SiblingsTell]
"""What siblings tell, by cluster and finding."""

# Their names are those of one cluster.
_OF_CLUSTER = frozenset(
    ("database", "session", "prepared_transaction", "standby", "role", "slot", "wait_event")
)
_PART_OF = "other objects"


def reviewed(
    recollection: Recollection,
    now: datetime,
    told: ToldBySiblings | None = None,
    proof: RegressionProof | None = None,
) -> Review:
    """Return the review of a fleet run at a time."""
    also = _also(recollection)
    known = [c for c in recollection.clusters if c.visit.same_as is None]
    clusters = tuple(_counted(_cluster(c, now, also, told or {}), c, proof) for c in known)
    siblings = [Sibling(c.visit.member, c.visit.group, c.traits) for c in known if c.traits]
    limits, untold = _limits(clusters)
    return Review(
        run=recollection.run,
        now=now,
        before=recollection.before,
        clusters=clusters,
        issues=_issues(clusters),
        limits=limits,
        untold=untold,
        drifts=drifts(siblings),
        versions=versions(siblings),
        left=recollection.left,
        departed=tuple(_cluster(c, now, {}, {}) for c in recollection.departed),
    )


def _also(recollection: Recollection) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for each in recollection.clusters:
        if each.visit.same_as is not None:
            found[each.visit.same_as].append(each.visit.member)
    return found


# --- clusters -------------------------------------------------------------------------------------


def _cluster(
    own: RememberedCluster, now: datetime, also: Mapping[str, list[str]], told: ToldBySiblings
) -> ReviewedCluster:
    visit, run = own.visit, own.run
    judged = run.verdicts if run and own.is_current else {}
    return ReviewedCluster(
        member=visit.member,
        group=visit.group,
        tags=visit.tags,
        label=visit.label or (run.label if run else ""),
        ending=visit.ending,
        reason=visit.reason,
        mend=visit.mend,
        lacking=visit.lacking,
        attempts=visit.attempts,
        is_current=own.is_current,
        seen_at=run.taken_at if run else None,
        run_id=run.id if run else None,
        cluster_id=run.cluster_id if run else visit.cluster_id,
        compared_at=own.before.taken_at if own.before and own.is_current else None,
        version=own.traits.version if own.traits else run.version if run else "",
        is_in_recovery=own.traits.is_in_recovery if own.traits else False,
        findings=(*_silence(own, now), *_findings(own, told)),
        gone=tuple(_gone(own)),
        unknown={r: j.reason for r, j in judged.items() if j.verdict is Verdict.UNKNOWN},
        verdicts={r: j.verdict.value for r, j in judged.items()},
        limits=limits_of(own.traits) if own.traits else (),
        also=tuple(also.get(visit.member, ())),
    )


def _counted(
    own: ReviewedCluster, remembered: RememberedCluster, proof: RegressionProof | None
) -> ReviewedCluster:
    """Return a cluster without the regressions that are no more than chance in a fleet, now or the last time."""
    if proof is None or own.cluster_id is None:
        return own
    counts, earlier = [], remembered.before.findings if remembered.before else {}
    by_chance = []
    for f in own.findings:
        if f.rule != RULE:
            counts.append(f)
        elif not proof.counts(own.cluster_id, f.object, f.own_grade):
            by_chance.append(replace(f, standing=None, was=""))
        elif f.id in earlier and _counts_first(remembered, f):
            counts.append(replace(f, standing=Standing.NEW, was="", severity_before=None))
        else:
            counts.append(f)
    gone = tuple(g for g in own.gone if _may_be_gone(g, remembered))
    return replace(own, findings=tuple(counts), by_chance=tuple(by_chance), gone=gone)


def _counts_first(own: RememberedCluster, f: ClusterFinding) -> bool:
    """Tell whether a regression of the run before counts now, by itself, and could not then."""
    by_itself = could_count(own.traits, f.object, is_first=False)
    return by_itself and not _may_have_counted(own, f.object, f.first_seen)


def _may_be_gone(gone: GoneFinding, remembered: RememberedCluster) -> bool:
    state = remembered.states.get(gone.id)
    if gone.rule != RULE or state is None:
        return True
    return _may_have_counted(remembered, state.object, state.came_back_at or state.first_seen)


def _may_have_counted(own: RememberedCluster, about: Object, since: datetime) -> bool:
    """Tell whether the review of the run before may have counted a regression."""
    is_first = own.before is not None and since >= own.before.taken_at
    return could_count(own.traits_before, about, is_first=is_first)


def _silence(own: RememberedCluster, now: datetime) -> Iterator[ClusterFinding]:
    """Yield that a cluster was not read; one that is left out on purpose is told only after a long time."""
    visit, run = own.visit, own.run
    if visit.ending is None or visit.ending.was_read:
        return
    is_long = run is None or now - run.taken_at >= LONG_SILENT
    if visit.ending is VisitEnding.SKIPPED:
        if run is None or not is_long:
            return
        severity = Severity.INFO
    else:
        severity = Severity.CRITICAL if run is not None and is_long else Severity.WARNING
    about = Object("cluster", visit.member)
    since = f"not read since {run.taken_at:%Y-%m-%d %H:%M} UTC" if run else "never read"
    why = f": {visit.ending.value}{f', {visit.reason}' if visit.reason else ''}"
    seen = run.taken_at if run else visit.ended_at or now
    yield ClusterFinding(
        *(visit.member, fingerprint(SILENCE, about), SILENCE, severity, Grade.A.value, about),
        f"{visit.member} was {since}{why}",
        *(None, None, seen, visit.ended_at or now),
        standing=_silence_standing(own),
    )


def _silence_standing(own: RememberedCluster) -> Standing | None:
    if own.ending_before is None:
        return None
    return Standing.NEW if own.ending_before.was_read else Standing.KNOWN


def _findings(own: RememberedCluster, told: ToldBySiblings) -> Iterator[ClusterFinding]:
    run = own.run
    if run is None:
        return
    for found in run.findings.values():
        state = own.states.get(found.id)
        standing, was = _standing(own, found, state)
        tell = told.get((run.cluster_id, found.id))
        grade = tell.grade if tell else found.grade
        yield ClusterFinding(
            *(own.visit.member, found.id, found.rule, found.severity, grade, found.object),
            *(found.title, found.gain_ms, found.bytes),
            first_seen=state.first_seen if state else run.taken_at,
            last_seen=run.taken_at,
            is_current=own.is_current,
            standing=standing,
            was=was,
            severity_before=_before(own, found.id),
            weight=tell.weight if tell else Grade(found.grade).weight,
            own_grade=found.grade,
            record=tell.record if tell else "",
        )
    for state in own.states.values():
        if state.finding_id in run.findings:
            continue
        if state.state is Presence.UNKNOWN:
            since = f"could not be evaluated since {state.last_seen:%Y-%m-%d}"
            tell = told.get((run.cluster_id, state.finding_id))
            yield replace(_not_evaluated(own, state, since), record=tell.record if tell else "")
        elif state.state is Presence.OPEN and not run.is_whole:
            yield _not_evaluated(own, state, "open, but what was found is damaged in the history")


def _before(own: RememberedCluster, id_: str) -> Severity | None:
    earlier = own.before.findings.get(id_) if own.before and own.is_current else None
    return earlier.severity if earlier else None


def _not_evaluated(own: RememberedCluster, state: FindingState, why: str) -> ClusterFinding:
    return ClusterFinding(
        *(own.visit.member, state.finding_id, state.rule, state.severity, "", state.object),
        f"{state.label}: {why}",
        *(None, None, state.first_seen, state.last_seen),
        is_current=False,
    )


def _standing(
    own: RememberedCluster, found: Concluded, state: FindingState | None
) -> tuple[Standing | None, str]:
    before = own.before
    if before is None or not own.is_current:
        return None, ""
    earlier = before.findings.get(found.id)
    if earlier is not None:
        said = "; ".join(worse(earlier, found))
        return Standing.WORSE if said else Standing.KNOWN, said
    judged = before.verdicts.get(found.rule)
    if judged is None or judged.verdict is Verdict.UNKNOWN:
        return Standing.UNCLEAR, "it was not evaluated the last time"
    if state is not None and _was_there(state, before):
        return Standing.KNOWN, ""
    is_back = state is not None and state.times_resolved
    return Standing.NEW, "it came back" if is_back else ""


def _was_there(state: FindingState, before: RememberedRun) -> bool:
    """Tell whether a finding was there under another name, or was hidden."""
    began = max(filter(None, (state.first_seen, state.came_back_at)))
    return began <= before.taken_at


def _gone(own: RememberedCluster) -> Iterator[GoneFinding]:
    if own.before is None or own.run is None or not own.is_current:
        return
    was = own.ending_before
    if was is not None and not was.was_read and was is not VisitEnding.SKIPPED:
        about = Object("cluster", own.visit.member)
        yield GoneFinding(
            *(own.visit.member, fingerprint(SILENCE, about), SILENCE, Severity.WARNING),
            "not read",
        )
    for found in own.before.findings.values():
        state = own.states.get(found.id)
        is_resolved = state is not None and state.resolved_at is not None
        if found.id not in own.run.findings and is_resolved:
            yield GoneFinding(own.visit.member, found.id, found.rule, found.severity, found.title)


# --- issues ---------------------------------------------------------------------------------------


def _issues(clusters: Iterable[ReviewedCluster]) -> tuple[FleetIssue, ...]:
    """Group findings by rule, severity and cause, ranked by what they bring over the fleet."""
    by_rule: dict[str, list[ClusterFinding]] = defaultdict(list)
    evaluated: dict[str, int] = defaultdict(int)
    for cluster in clusters:
        for finding in cluster.findings:
            by_rule[finding.rule].append(finding)
        for rule, verdict in cluster.verdicts.items():
            evaluated[rule] += verdict != Verdict.UNKNOWN.value
        evaluated[SILENCE] += 1
    summaries = {r.id: r.summary for r in all_rules()} | {SILENCE: "Clusters were not read."}
    found = (
        _issue(rule, summaries.get(rule, rule), own, evaluated[rule])
        for rule, of_rule in by_rule.items()
        for own in _by_severity(of_rule)
    )
    return tuple(sorted(found, key=lambda issue: (-issue.score, issue.rule)))


def _by_severity(of_rule: list[ClusterFinding]) -> Iterable[list[ClusterFinding]]:
    """Divide the findings of a rule, so that an info does not stand under a critical one; an object stays in one piece."""
    worst: dict[str, Severity] = {}
    for each in of_rule:
        worst[_label(each)] = min(worst.get(_label(each), each.severity), each.severity, key=_rank)
    found: dict[Severity, list[ClusterFinding]] = defaultdict(list)
    for each in of_rule:
        label = _label(each)
        found[worst[label] if label else each.severity].append(each)
    return found.values()


def _rank(severity: Severity) -> int:
    return severity.rank


def _issue(rule: str, summary: str, own: list[ClusterFinding], evaluated: int) -> FleetIssue:
    ms, size = sum(f.ms_per_day or 0.0 for f in own), sum(f.bytes or 0 for f in own)
    weighted = sum((f.ms_per_day or 0.0) * f.weight for f in own)
    weighted_size = sum((f.bytes or 0) * f.weight for f in own)
    worst = min((f.severity for f in own), key=_rank)
    points = severity_points(worst) + gain_points(max(weighted, 0.0), max(weighted_size, 0.0))
    spread = gain_points(1000.0 * len({f.member for f in own}), 0.0)
    return FleetIssue(rule, summary, _causes(own), evaluated, points + spread, ms, size)


def _causes(own: list[ClusterFinding]) -> tuple[SharedCause, ...]:
    """Put the same object of several clusters together; what only one has is the rest."""
    by_label: dict[str, list[ClusterFinding]] = defaultdict(list)
    for finding in own:
        by_label[_label(finding)].append(finding)
    shared = {k: v for k, v in by_label.items() if len({f.member for f in v}) > 1 or not k}
    rest = [f for label, found in by_label.items() if label not in shared for f in found]
    if len(by_label) - len(shared) == 1:  # one object is named, not counted as the rest
        shared, rest = dict(by_label), []
    causes = [
        SharedCause(label, tuple(sorted(found, key=_order))) for label, found in shared.items()
    ]
    causes.sort(key=lambda c: (not c.label, -len(c.members), _order(c.findings[0])))
    if rest:
        label = _PART_OF if any(c.label for c in causes) else ""
        causes.append(SharedCause(label, tuple(sorted(rest, key=_order))))
    return tuple(causes)


def _label(finding: ClusterFinding) -> str:
    o = finding.object
    if o.kind in _OF_CLUSTER or finding.rule == SILENCE:
        return ""
    return o.label


def _order(f: ClusterFinding) -> tuple[object, ...]:
    return (f.severity.rank, -(f.ms_per_day or 0.0), -(f.bytes or 0), f.member, f.id)


# --- limits ---------------------------------------------------------------------------------------


def _limits(
    clusters: Iterable[ReviewedCluster],
) -> tuple[tuple[NearLimit, ...], tuple[str, ...]]:
    """Return the limits that are told, the nearest first, and the clusters of which none can be told yet."""
    found: list[NearLimit] = []
    untold: list[str] = []
    for cluster in clusters:
        told = [line for line in cluster.limits if not line.reason]
        found += (
            NearLimit(cluster.member, line)
            for line in told
            if line.limit is not None and line.is_growing and line.reached[0] is not None
        )
        if not told:
            untold.append(cluster.member)
    found.sort(key=lambda n: (n.line.reached[0], n.member, n.line.label))
    return tuple(found), tuple(untold)
