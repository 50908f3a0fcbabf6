"""What rules yield and what a run produces: findings, verdicts, the report."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is if true."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return 0 for the worst."""
        return list(Severity).index(self)


class Grade(StrEnum):
    """How well it is established."""

    A = "A"  # proven by the planner, or measured exactly
    B = "B"  # follows from catalog facts
    C = "C"  # a model with a stated error
    D = "D"  # a heuristic

    @property
    def weight(self) -> float:
        """How much a promised gain counts in the ranking."""
        return {"A": 1.0, "B": 0.8, "C": 0.5, "D": 0.2}[self.value]


class Verdict(StrEnum):
    """What a rule concludes about this target."""

    FINDING = "finding"
    CLEAR = "clear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Object:
    """What a finding is about.

    ``kind`` is one of table, index, sequence, statement, session, setting, slot, database, ….
    ``database`` is None for what belongs to the whole server.
    """

    kind: str
    name: str
    database: str | None = None
    schema: str | None = None
    table: str | None = None

    @property
    def label(self) -> str:
        """Name it for a reader."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


class Effort(IntEnum):
    """What a remedy takes. Of several that save the same time, the cheapest counts."""

    SETTING = 1
    STATISTICS = 2
    INDEX = 3


_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class MeasuredTime:
    """Execution time within the window of the counters.

    ``by_query`` are the parts of it by statement. ``load_ms`` is the time of all users' statements
    in the same window.
    """

    ms: float
    window_seconds: float | None = None
    load_ms: float | None = None
    by_query: Mapping[int, float] = field(default_factory=dict)

    @property
    def per_day(self) -> float | None:
        """The rate; None if the window is unknown or shorter than a day, which proves no rate."""
        seconds = self.window_seconds
        return self.ms * _DAY_S / seconds if seconds is not None and seconds >= _DAY_S else None

    @property
    def least_per_day(self) -> float:
        """The rate, or in a shorter window what was measured so far."""
        return self.ms * _DAY_S / max(self.window_seconds or 0.0, _DAY_S)

    @property
    def share(self) -> float | None:
        """The share of the measured load, 0…1."""
        return min(self.ms / self.load_ms, 1.0) if self.load_ms else None

    @property
    def of_elapsed(self) -> float | None:
        """The time relative to the length of the window: 1 is one session that is always busy."""
        return self.ms / 1000 / self.window_seconds if self.window_seconds else None


@dataclass(frozen=True, slots=True)
class Impact:
    """What the remedy saves, in time and bytes, and in words what happens otherwise.

    ``gain`` is only what the remedy saves; ``cost`` is time spent that no remedy here promises to save.
    """

    bytes: int | None = None
    risk: str = ""
    gain: MeasuredTime | None = None
    cost: MeasuredTime | None = None
    effort: Effort = Effort.INDEX

    @property
    def ms_per_day(self) -> float | None:
        """The gain per day, if the window covers a day."""
        return self.gain.per_day if self.gain is not None else None


@dataclass(frozen=True, slots=True)
class Remedy:
    """One step that is safe to paste.

    ``lock`` names the lock level and what it blocks; ``undo`` reverses the step, in SQL if that
    is possible. ``needs`` are the rights that it requires, and ``run_as`` says who has them if the role
    that analyzed does not; both are filled in by :mod:`pgwatch_wed.remedies.authority`.
    """

    sql: str
    lock: str = "none"
    in_transaction: bool = True
    undo: str = ""
    needs: str = ""
    run_as: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of one object.

    ``evidence`` contains JSON values; their names end in units. ``rule``, ``area`` and ``docs`` are
    filled in by :func:`pgwatch_wed.analyse.analyse`; a rule leaves them empty.
    """

    object: Object
    severity: Severity
    grade: Grade
    title: str
    detail: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    impact: Impact = field(default_factory=Impact)
    remedy: tuple[Remedy, ...] = ()
    caveats: tuple[str, ...] = ()
    related: tuple[Object, ...] = ()
    rule: str = ""
    area: str = ""
    docs: str = ""

    @property
    def id(self) -> str:
        """A fingerprint of rule and object that is the same in later runs."""
        return fingerprint(self.rule, self.object)


def fingerprint(rule: str, o: Object) -> str:
    """Return the identity of a rule's finding about an object."""
    identity = "\x1f".join((rule, o.kind, o.database or "", o.schema or "", o.table or "", o.name))
    return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A rule, or one object of it, that could not be judged: why, and what would allow it."""

    reason: str
    mend: str = ""
    object: Object | None = None


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """The verdict of a rule on everything that it looked at.

    ``reason`` explains an unknown, or what a finding or clear verdict leaves out. ``unjudged`` are the
    fingerprints of what findings about objects that could not be judged would be; ``partial`` are the databases
    ("" for the server) in which the rule does not say which objects those are.
    """

    rule: str
    area: str
    verdict: Verdict
    reason: str = ""
    mend: str = ""
    database: str | None = None
    unjudged: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignored:
    """A finding that the configuration or a baseline removes from the report."""

    id: str
    rule: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnusedIgnore:
    """An entry of the configuration that ignored nothing: expired if ``expired_on`` is set, else nothing matched it."""

    rule: str
    object: str
    finding: str
    reason: str
    expired_on: date | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """The server that was analyzed; never a password."""

    label: str
    database: str
    databases: tuple[str, ...]
    version: str
    version_num: int
    role: str
    is_in_recovery: bool
    system_identifier: str | None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the measured load the report can see and explain.

    Shares are fractions 0…1 of the execution time in pg_stat_statements for the database; None if
    they are not known. ``skipped`` are the schemas that were not judged, each with its database.
    """

    explained_share: float | None
    visible_share: float | None
    hidden_statements: int
    evictions_per_hour: float | None
    left_out: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SelfCost:
    """What the run itself cost the server."""

    seconds: float
    queries: int
    slowest: tuple[tuple[str, float], ...] = ()


class Standing(StrEnum):
    """What a finding is compared with a baseline."""

    NEW = "new"
    WORSE = "worse"
    KNOWN = "known"
    UNCLEAR = "unclear"  # its rule was not evaluated for the baseline


@dataclass(frozen=True, slots=True)
class Gone:
    """A finding of the baseline that this run does not have.

    ``reason`` says why it could not be evaluated this time; "" if it is resolved.
    """

    id: str
    rule: str
    severity: Severity
    label: str
    title: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Compared:
    """A report compared with a baseline: where each finding stands, by id, and what is gone.

    ``was`` explains a standing, such as what a worse finding was before, or its name; ``severities`` are those in the
    baseline. ``note`` is about the comparison as a whole.
    """

    label: str
    taken_at: datetime
    standings: Mapping[str, Standing]
    was: Mapping[str, str]
    severities: Mapping[str, Severity]
    gone: tuple[Gone, ...]
    note: str = ""

    def count(self, standing: Standing) -> int:
        """Count the findings that stand so."""
        return sum(each is standing for each in self.standings.values())

    @property
    def resolved(self) -> tuple[Gone, ...]:
        """What is no longer there."""
        return tuple(g for g in self.gone if not g.reason)

    @property
    def not_evaluated(self) -> tuple[Gone, ...]:
        """What could not be evaluated this time, and so is not resolved."""
        return tuple(g for g in self.gone if g.reason)


@dataclass(frozen=True, slots=True)
class AdviceLine:
    """What became of advice of an earlier run: whether it was applied, and its outcome, in words and figures.

    ``told`` says all in one sentence; ratios are after / before.
    """

    rule: str
    grade: str
    label: str
    state: str
    outcome: str | None
    told: str
    advised_at: datetime
    applied_at: datetime | None
    ready_at: datetime | None = None
    predicted_ms_per_day: float | None = None
    saved_ms_per_day: float | None = None
    lost_ms_per_day: float | None = None
    blocks_ratio: float | None = None
    time_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """Where a size or a number is heading: its pace a day, and when it reaches its limit, with intervals of 80%.

    ``reason`` says why that cannot be told yet; a time is None if it is more than three years away.
    """

    kind: str
    label: str
    unit: str
    value: float
    limit: float | None
    pace: tuple[float, float, float] | None
    reached: tuple[datetime | None, datetime | None, datetime | None]
    is_growing: bool
    daily_values: int
    since: datetime | None
    note: str
    reason: str
    told_at: datetime | None


class ActionStage(StrEnum):
    """When an action of the plan is due; in this order."""

    SESSIONS = "now"  # end what blocks, once
    SETTINGS = "settings"  # one reload for all of them
    MAINTENANCE = "maintenance"  # VACUUM, ANALYZE, statistics
    INDEXES = "indexes"  # create first, then drop
    SCHEMA = "schema"  # locks writers out, or rewrites a table
    RESTART = "restart"  # one restart for all of them


@dataclass(frozen=True, slots=True)
class ActionGain:
    """What an action, or a plan, saves; None if it is not known. ``share_of_load`` is 0…1 of the measured load."""

    ms_per_day: float | None = None
    share_of_load: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """One change of one object that closes one or more findings.

    ``closes`` are the findings' ids, the most important first; ``undo`` is SQL that takes the whole back, in the order to run,
    or comments that say why there is none. ``database`` is None for what belongs to the whole server. ``by_hand`` says what a person has to decide or fill in
    before it can run; such an action is shown, but is not in a script. ``reads_bytes`` is about how much of tables and indexes the statements read;
    None if that is not known.
    """

    title: str
    stage: ActionStage
    object: Object
    closes: tuple[str, ...]
    statements: tuple[Remedy, ...]
    undo: tuple[str, ...] = ()
    gain: ActionGain = field(default_factory=ActionGain)
    risk: str = ""
    needs_restart: bool = False
    database: str | None = None
    by_hand: str = ""
    reads_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NotPlanned:
    """A finding for which the plan has no action, and why: nothing to run, or another action makes it needless."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ActionPlan:
    """What to do, in order. ``gain`` is that of the whole, each millisecond and byte counted once.

    ``cost_share`` is the share of the planner's cost of the evaluated queries that all advised indexes together save, re-planned as a whole;
    None if there was no lab.
    """

    actions: tuple[Action, ...] = ()
    not_planned: tuple[NotPlanned, ...] = ()
    gain: ActionGain = field(default_factory=ActionGain)
    cost_share: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a run produces: ranked findings, a verdict for every rule, and how much was visible.

    ``hidden`` are the findings that are counted, but not shown.
    """

    generated_at: datetime
    tool_version: str
    target: Target
    window_begins: datetime | None
    window_ends: datetime
    window_reason: str
    coverage: Coverage
    verdicts: tuple[RuleVerdict, ...]
    findings: tuple[Finding, ...]
    ignored: tuple[Ignored, ...] = ()
    unused_ignores: tuple[UnusedIgnore, ...] = ()
    hidden_below: Severity | None = None
    hidden: tuple[Finding, ...] = ()
    self_cost: SelfCost | None = None
    advice: tuple[AdviceLine, ...] = ()
    forecasts: tuple[ForecastLine, ...] = ()
    compared: Compared | None = None
    plan: ActionPlan = field(default_factory=ActionPlan)

    @property
    def hidden_count(self) -> int:
        """How many findings are not shown."""
        return len(self.hidden)

    def standing(self, finding: Finding) -> Standing | None:
        """Tell where a finding stands; None without a baseline."""
        return self.compared.standings.get(finding.id) if self.compared else None

    def count(self, severity: Severity) -> int:
        """Count findings of one severity."""
        return sum(f.severity is severity for f in self.findings)

    @property
    def unknowns(self) -> tuple[RuleVerdict, ...]:
        """Verdicts of rules that could not judge."""
        return tuple(v for v in self.verdicts if v.verdict is Verdict.UNKNOWN)
