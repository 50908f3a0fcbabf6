"""What a fleet teaches: regressions with their exposure, and advice with its track record. Numbers, and ready sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgwatch_wed.fleet.experiment.attributes import Attribute


@dataclass(frozen=True, slots=True)
class Association:
    """Attributes that clusters with a regression have, and others have not; which of several it is cannot be told.

    ``corrected_p`` is Fisher's p, corrected for all that was compared. ``is_specific``: nearly all of the slower
    ones have it, and nearly none of the others. It is no proof that one causes the other. ``new_on`` is, for each attribute, on how
    many of the slower clusters it was not there in the last run before calls became slower; ``dated`` of how many that is known.
    """

    attributes: tuple[Attribute, ...]
    slower: int
    slower_with: int
    others: int
    others_with: int
    p_value: float
    corrected_p: float
    is_specific: bool
    told: str
    new_on: tuple[int, ...] = ()
    dated: int = 0


@dataclass(frozen=True, slots=True)
class SlowerCluster:
    """A cluster on which a statement is slower than before; ``since`` is when that was first seen."""

    member: str
    cluster_id: int
    database: str
    ratio: float
    query_id: int
    since: datetime | None = None
    finding_id: str | None = None
    is_new_plan: bool = False


@dataclass(frozen=True, slots=True)
class SharedRegression:
    """The same statements, slower on several clusters of a group; no text means that the whole servers are slower.

    ``others`` run them and are not slower: the controls. ``not_compared`` are neither, with reasons. ``compared`` is the
    number of differences between clusters that were tried for this regression, ``needed_clusters`` how many would
    have to run it for any of them to be told, if these are too few.
    """

    group: str
    texts: tuple[str, ...]
    slower: tuple[SlowerCluster, ...]
    others: tuple[str, ...]
    not_compared: Mapping[str, str]
    associations: tuple[Association, ...]
    closest: Association | None
    compared: int
    constant: int
    is_too_few: bool
    needed_clusters: int | None
    title: str
    told: str

    @property
    def of(self) -> int:
        """The number of clusters that run it, and could be compared with their own past."""
        return len(self.slower) + len(self.others)


@dataclass(frozen=True, slots=True)
class Trial:
    """Advice that was applied on one cluster, and what came of it; ``writes_per_day`` are rows of its table.

    ``outcome`` is that of the closed loop: helped, no effect, harmed, too early, unclear; ratios are after / before.
    """

    member: str
    cluster_id: int
    database: str
    finding_id: str
    outcome: str
    reason: str
    applied_at: datetime
    ready_at: datetime | None = None
    blocks_ratio: float | None = None
    time_ratio: float | None = None
    saved_ms_per_day: float | None = None
    predicted_ms_per_day: float | None = None
    writes_per_day: float | None = None
    is_undone: bool = False


@dataclass(frozen=True, slots=True)
class OpenAdvice:
    """The same advice where it has not been applied.

    ``grade`` is the finding's own, ``fleet_grade`` that with what siblings tell; ``weight`` (0…1) is how likely it helps
    here, by which its gain counts in the ranking of the fleet; None if no sibling tells. ``doubt`` says why the siblings
    do not tell it for this cluster.
    """

    member: str
    cluster_id: int
    database: str
    finding_id: str
    grade: str
    fleet_grade: str
    weight: float | None
    doubt: str = ""
    writes_per_day: float | None = None


@dataclass(frozen=True, slots=True)
class SiblingRecord:
    """What the same advice came to on the clusters of a group that applied it, whatever they called it.

    ``least_share`` is the share of clusters that it helps at least, with 95% confidence; ``is_enough`` tells whether
    that is more than half. ``more_needed`` is how many more would have to be helped, without another harm, until it is.
    """

    group: str
    rule: str
    label: str
    trials: tuple[Trial, ...]
    open_on: tuple[OpenAdvice, ...]
    helped: int
    no_effect: int
    harmed: int
    undecided: int
    median_blocks_ratio: float | None
    least_share: float
    is_enough: bool
    more_needed: int
    told: str
    verdict: str

    @property
    def settled(self) -> int:
        """The number of clusters of which the outcome is known."""
        return self.helped + self.no_effect + self.harmed


@dataclass(frozen=True, slots=True)
class Experiments:
    """All of it, the most telling first. ``compared`` is the number of differences that were tried over all regressions.

    Of the regressions that clusters report by themselves, ``proven`` are those that hold in a fleet of this size, and
    ``by_chance`` the others.
    """

    regressions: tuple[SharedRegression, ...] = ()
    records: tuple[SiblingRecord, ...] = ()
    compared: int = 0
    lacking: Mapping[str, str] = field(default_factory=dict)
    proven: tuple[SlowerCluster, ...] = ()
    by_chance: tuple[SlowerCluster, ...] = ()
