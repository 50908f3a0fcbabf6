"""The review of a fleet as metrics for Prometheus: labels are rules, severities and the like, never names of clusters."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta

from pgwatch_wed.findings import Severity, Standing
from pgwatch_wed.fleet.review.drifts import KINDS
from pgwatch_wed.fleet.review.reviews import SILENCE, Review
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.rules import all_rules

_PREFIX = "pgwatch_wed_fleet_"
_SOON = (7, 30, 90)
_MOST_MAJORS = 20

Samples = Mapping[tuple[tuple[str, str], ...], float]


def render(review: Review) -> str:
    """Return gauges in the text format, for a file that the node exporter reads."""
    lines = [
        line for name, told, samples in _metrics(review) for line in _lines(name, told, samples)
    ]
    return "\n".join((*lines, ""))


def _lines(name: str, told: str, samples: Samples) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP {_PREFIX}{name} {told}"
    yield f"# TYPE {_PREFIX}{name} gauge"
    for labels, value in samples.items():
        said = ",".join(f'{label}="{text}"' for label, text in labels)
        yield f"{_PREFIX}{name}{f'{{{said}}}' if said else ''} {value:.15g}"


def _metrics(review: Review) -> Iterator[tuple[str, str, Samples]]:
    endings = Counter(c.ending for c in review.clusters)
    yield (
        "clusters",
        "Clusters by how the last visit ended.",
        {(("ending", e.value),): endings[e] for e in VisitEnding},
    )
    yield "clusters_waiting", "Clusters of which the visit has not ended.", {(): endings[None]}
    ages = [review.now - c.seen_at for c in review.clusters if c.seen_at is not None]
    never = sum(c.seen_at is None for c in review.clusters)
    yield "clusters_never_read", "Clusters that were never read.", {(): never}
    yield (
        "oldest_read_seconds",
        "How long ago the cluster was read that has not been read for the longest time.",
        {(): max(ages).total_seconds()} if ages else {},
    )
    yield (
        "findings",
        "Findings of all clusters, with those of clusters that were not read this time.",
        {(("severity", s.value),): review.count(s) for s in Severity},
    )
    yield "rule_clusters", "Clusters with findings of a rule.", _rules(review)
    changed = {s.value: review.standing(s) for s in (Standing.NEW, Standing.WORSE)}
    yield (
        "changes",
        "Findings that became new, worse or gone since each cluster was read before.",
        {(("what", w),): n for w, n in {**changed, "gone": len(review.gone)}.items()},
    )
    kinds = Counter(d.kind for d in review.drifts)
    yield (
        "drift",
        "Differences from what most clusters of a group have.",
        {(("kind", k),): kinds[k] for k in KINDS},
    )
    yield "limits", "Limits that may be reached within so many days.", _limits(review)
    yield "major_clusters", "Clusters by major version.", _majors(review)
    yield (
        "run_began_timestamp_seconds",
        "When the last run began.",
        {(): review.run.began_at.timestamp()},
    )
    ended = review.run.ended_at
    yield (
        "run_ended_timestamp_seconds",
        "When the last run ended.",
        {(): ended.timestamp()} if ended else {},
    )


def _rules(review: Review) -> Samples:
    known = {r.id for r in all_rules()} | {SILENCE}
    found: dict[str, set[str]] = defaultdict(set)
    for issue in review.issues:
        if issue.rule in known:
            found[issue.rule].update(issue.members)
    return {(("rule", rule),): len(found[rule]) for rule in sorted(found)}


def _limits(review: Review) -> Samples:
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for days in _SOON:
        until = review.now + timedelta(days=days)
        near = (n.line.reached[0] for n in review.limits)
        found[("days", str(days)),] = sum(at is not None and at <= until for at in near)
    return found


def _majors(review: Review) -> Samples:
    counts: Counter[str] = Counter()
    for own in review.versions:
        major = own.version.partition(".")[0]
        counts[major if major.isdecimal() and len(major) <= 3 else "other"] += len(own.members)
    return {(("major", m),): n for m, n in counts.most_common(_MOST_MAJORS)}
