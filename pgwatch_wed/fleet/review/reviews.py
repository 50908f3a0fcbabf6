"""What a fleet's report contains. Everything in it was concluded from the history; rendering adds only words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgwatch_wed.findings import ForecastLine, Object, Severity, Standing
from pgwatch_wed.fleet.visits import FleetRun, VisitEnding

SILENCE = "fleet-silence"
"""The rule of the finding that a cluster was not read."""


@dataclass(frozen=True, slots=True)
class ClusterFinding:
    """A finding of one cluster.

    ``is_current`` is False if this time nobody could look: it stays open, as of ``last_seen``. ``standing`` is None if there is
    nothing to compare with; ``was`` explains it, and ``severity_before`` is what it was then. ``record`` says what the same advice
    came to on siblings, "" if none has followed it: ``grade`` and ``weight`` are with it, ``own_grade`` is without.
    """

    member: str
    id: str
    rule: str
    severity: Severity
    grade: str
    object: Object
    title: str
    ms_per_day: float | None
    bytes: int | None
    first_seen: datetime
    last_seen: datetime
    is_current: bool = True
    standing: Standing | None = None
    was: str = ""
    severity_before: Severity | None = None
    weight: float = 1.0
    own_grade: str = ""
    record: str = ""


@dataclass(frozen=True, slots=True)
class GoneFinding:
    """A finding that a cluster had the last time, and has no more."""

    member: str
    id: str
    rule: str
    severity: Severity
    title: str


@dataclass(frozen=True, slots=True)
class ReviewedCluster:
    """A cluster of the fleet; the order is that of the names.

    ``seen_at`` is when it was last read, None if never, and ``run_id`` that run in the history. ``is_current`` tells
    whether that was in this fleet run. ``compared_at`` is when it had been read before. ``unknown`` are the rules that could not be evaluated,
    with reasons, ``clear`` the number of those that found nothing. ``by_chance`` are findings of its own report that are no more than
    chance in a fleet of this size, and count nowhere.
    """

    member: str
    group: str
    tags: Mapping[str, str]
    label: str
    ending: VisitEnding | None
    reason: str
    mend: str
    lacking: Mapping[str, str]
    attempts: int
    is_current: bool
    seen_at: datetime | None = None
    run_id: int | None = None
    cluster_id: int | None = None
    compared_at: datetime | None = None
    version: str = ""
    is_in_recovery: bool = False
    findings: tuple[ClusterFinding, ...] = ()
    by_chance: tuple[ClusterFinding, ...] = ()
    gone: tuple[GoneFinding, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[ForecastLine, ...] = ()
    also: tuple[str, ...] = ()

    def count(self, severity: Severity) -> int:
        """Count findings of one severity."""
        return sum(f.severity is severity for f in self.findings)

    @property
    def is_silent(self) -> bool:
        """Whether it should have been read, and was not."""
        return self.ending is not None and not self.ending.was_read


@dataclass(frozen=True, slots=True)
class SharedCause:
    """The same fault of the same object on one or more clusters; ``label`` is "" if the objects have nothing in common."""

    label: str
    findings: tuple[ClusterFinding, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """The clusters, each once."""
        return tuple(dict.fromkeys(f.member for f in self.findings))


@dataclass(frozen=True, slots=True)
class ExampleRemedy:
    """What to do on one cluster, as its own report says it."""

    member: str
    title: str
    sql: tuple[str, ...]
    lock: str = ""
    undo: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetIssue:
    """The findings of one rule over the fleet, by cause; a rule has one for each severity of its causes.

    ``evaluated`` is the number of clusters on which the rule could be evaluated this time. Sums are of what is known.
    """

    rule: str
    summary: str
    causes: tuple[SharedCause, ...]
    evaluated: int
    score: float
    ms_per_day: float
    bytes: int
    example: ExampleRemedy | None = None

    @property
    def findings(self) -> tuple[ClusterFinding, ...]:
        """All of them, those of the most common cause first."""
        return tuple(f for cause in self.causes for f in cause.findings)

    @property
    def members(self) -> tuple[str, ...]:
        """The clusters, each once."""
        return tuple(dict.fromkeys(f.member for f in self.findings))

    @property
    def severity(self) -> Severity:
        """The worst."""
        return min((f.severity for f in self.findings), key=lambda s: s.rank)

    @property
    def grades(self) -> str:
        """The grades that occur: ``B`` or ``A–C``."""
        found = sorted({f.grade for f in self.findings if f.grade})
        return found[0] if len(found) == 1 else f"{found[0]}–{found[-1]}" if found else ""

    def standing(self, standing: Standing) -> int:
        """Count the findings that stand so."""
        return sum(f.standing is standing for f in self.findings)


@dataclass(frozen=True, slots=True)
class NearLimit:
    """A limit that a cluster is heading for."""

    member: str
    line: ForecastLine


@dataclass(frozen=True, slots=True)
class Drift:
    """What most clusters of a group have in common, and some do not.

    ``kind`` is version, setting, extension, table or index; ``usual`` is the value of ``having`` of ``of`` clusters,
    and ``others`` the other values, "" for none, with who has them.
    """

    kind: str
    group: str
    name: str
    usual: str
    having: int
    of: int
    others: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def differing(self) -> int:
        """The number of clusters that differ."""
        return sum(len(members) for _, members in self.others)


@dataclass(frozen=True, slots=True)
class VersionCount:
    """Who runs a version; ``newest`` is the newest minor release of the same major version in the fleet."""

    version: str
    members: tuple[str, ...]
    newest: str

    @property
    def is_behind(self) -> bool:
        """Whether others have a later minor release."""
        return self.version != self.newest


@dataclass(frozen=True, slots=True)
class Review:
    """A fleet at one moment. ``left`` are the members of the run before that the inventory no longer names.

    ``departed`` are those of them that were clusters, as of their last visit; they count nowhere.
    """

    run: FleetRun
    now: datetime
    before: FleetRun | None
    clusters: tuple[ReviewedCluster, ...]
    issues: tuple[FleetIssue, ...]
    limits: tuple[NearLimit, ...]
    untold: tuple[str, ...]
    drifts: tuple[Drift, ...]
    versions: tuple[VersionCount, ...]
    left: tuple[str, ...] = ()
    departed: tuple[ReviewedCluster, ...] = ()

    @property
    def findings(self) -> tuple[ClusterFinding, ...]:
        """All of them, the most important first."""
        return tuple(f for issue in self.issues for f in issue.findings)

    @property
    def gone(self) -> tuple[GoneFinding, ...]:
        """What clusters no longer have."""
        return tuple(g for cluster in self.clusters for g in cluster.gone)

    @property
    def read(self) -> tuple[ReviewedCluster, ...]:
        """The clusters that were read this time."""
        return tuple(c for c in self.clusters if c.is_current)

    @property
    def unread(self) -> tuple[ReviewedCluster, ...]:
        """Those that were not, whatever the reason."""
        return tuple(c for c in self.clusters if not c.is_current)

    @property
    def has_ended(self) -> bool:
        """Whether each visit has ended."""
        return all(c.ending is not None for c in self.clusters)

    def count(self, severity: Severity) -> int:
        """Count findings of one severity, of all clusters."""
        return sum(f.severity is severity for f in self.findings)

    def standing(self, standing: Standing) -> int:
        """Count the findings that stand so."""
        return sum(f.standing is standing for f in self.findings)
