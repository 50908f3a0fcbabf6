"""Where the causes of an alert are looked for, by its topic. Each seeker yields suspects, most likely first."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.analyse import judge
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Object, Report
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.rules import Rule, all_rules
from pgwatch_wed.rules.connection import usage
from pgwatch_wed.serve.causes.statement_times import GrownStatement, worth_telling
from pgwatch_wed.serve.causes.suspect import Suspect
from pgwatch_wed.serve.state import Alert, ProbeResult, Reason


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known when an alert fires: the newest facts of its target, and what its probe saw."""

    alert: Alert
    snapshot: Snapshot | None
    report: Report | None = None
    grown: GrownStatement | None = None
    probe: ProbeResult | None = None
    config: Config = field(default_factory=Config)

    def label(self, name: str) -> str:
        """Return a label of the alert, or nothing."""
        return dict(self.alert.labels).get(name, "")


Seeker = Callable[[Scene], Iterator[Suspect]]
_HELD_SESSIONS = 3
_MOST = 5


def suspects(scene: Scene) -> tuple[Suspect, ...]:
    """Return the suspected causes of an alert, best first; one that says why, if there is none."""
    found = [s for seek in _SEEKERS.get(scene.label("topic"), ()) for s in seek(scene)]
    known = sorted((s for s in found if s.is_known), key=_doubt)
    return tuple(known[:_MOST]) or (_unknown(scene),)


def _doubt(suspect: Suspect) -> bool:
    # What is proven or follows from the catalog goes before what is only likely; else the order of the seekers.
    return suspect.grade not in (Grade.A, Grade.B)


def _unknown(scene: Scene) -> Suspect:
    if scene.label("topic") not in _SEEKERS:
        title = "facts about the database do not tell the cause of this alert"
    elif scene.snapshot is None and scene.label("topic") not in _BY_PROBE:
        title = "no facts have been read"
    else:
        title = "the newest facts show none"
    return Suspect(title=title, grade=None, kind="unknown")


# Out of findings


def by_rule(rule_id: str, label: str = "") -> Seeker:
    """Return a seeker that judges a rule on the newest facts; ``label`` is the alert's label with the object's name."""

    def seek(scene: Scene) -> Iterator[Suspect]:
        if scene.snapshot is None:
            return
        _, findings = judge(_rule(rule_id), scene.snapshot, scene.config)
        wanted = scene.label(label) if label else ""
        for finding in sorted(findings, key=_worst_first):
            if not wanted or finding.object.name == wanted:
                yield of_finding(finding)

    return seek


def _rule(rule_id: str) -> Rule:
    return next(rule for rule in all_rules() if rule.id == rule_id)


def _worst_first(finding: Finding) -> tuple[int, float]:
    sizes = (
        "waiting_sessions",
        "longest_wait_seconds",
        "retained_bytes",
        "xmin_age_xids",
        "xid_age_xids",
        "idle_seconds",
    )
    size = next(
        (finding.evidence[n] for n in sizes if isinstance(finding.evidence.get(n), int | float)), 0
    )
    return finding.severity.rank, -float(size)


def of_finding(finding: Finding) -> Suspect:
    """Return a finding as a suspect, without anything that users wrote."""
    return Suspect(
        title=finding.title,
        grade=finding.grade,
        kind=finding.rule,
        object=finding.object,
        evidence=_told(finding.evidence),
        remedy=finding.remedy,
        rule=finding.rule,
        finding=finding.id,
    )


def _told(evidence: Mapping[str, Any]) -> dict[str, Any]:
    secret = ("query", "text", "client", "statement", "definition", "expression")
    return {
        name: value
        for name, value in evidence.items()
        if isinstance(value, int | float | bool)
        or (isinstance(value, str) and not any(s in name for s in secret))
    }


# Locks, statements, connections


def _blockers(scene: Scene) -> Iterator[Suspect]:
    for suspect in by_rule("lock-blocked")(scene):
        behind = suspect.evidence.get("waiting_sessions", 0)
        is_much = behind >= _HELD_SESSIONS or scene.label("topic") in (
            "locks",
            "idle_in_transaction",
        )
        yield suspect if is_much else replace(suspect, grade=Grade.C)


def _statements(scene: Scene) -> Iterator[Suspect]:
    for grown in worth_telling([scene.grown]):
        is_plain = grown.share >= 0.6 and grown.load >= 0.5
        finding = _about(grown.query_id, scene.report)
        yield Suspect(
            title=_how_grown(grown),
            grade=Grade.B if is_plain else Grade.C,
            kind="statement",
            object=Object("statement", str(grown.query_id), scene.label("database") or None),
            evidence={
                "query_id": str(grown.query_id),
                "share_of_growth": round(grown.share, 3),
                "share_of_load": round(grown.load, 3),
                "mean_ms": round(grown.mean_ms, 3),
                "mean_before_ms": None
                if grown.mean_before_ms is None
                else round(grown.mean_before_ms, 3),
                "calls_per_second": round(grown.calls_per_s, 3),
                "calls_per_second_before": round(grown.calls_per_s_before, 3),
            },
            remedy=finding.remedy if finding else (),
            rule=finding.rule if finding else "",
            finding=finding.id if finding else "",
        )


def _how_grown(it: GrownStatement) -> str:
    name = f"statement {it.query_id}" + (f" of {it.user}" if it.user else "")
    part = f"takes {units.share(it.load)} of the execution time"
    if it.mean_before_ms is None:
        return f"{name}, which did not run before, {part}"
    if it.mean_ms >= 2 * it.mean_before_ms:
        return f"{name} {part}: {units.duration(it.mean_ms)} a call, {units.duration(it.mean_before_ms)} before"
    return f"{name} {part}: {it.calls_per_s:.3g} calls a second, {it.calls_per_s_before:.3g} before"


def _about(query_id: int, report: Report | None) -> Finding | None:
    def is_about(f: Finding) -> bool:
        return f.evidence.get("query_id") in (query_id, str(query_id)) and bool(f.remedy)

    return next((f for f in report.findings if is_about(f)), None) if report else None


def _connections(scene: Scene) -> Iterator[Suspect]:
    snapshot = scene.snapshot
    if snapshot is None:
        return
    sessions = [s for s in snapshot.sessions if locks.is_client(s)]
    room = usage.available(snapshot)
    if not sessions or room is None:
        return
    stuck = locks.Waits(snapshot).by_pid
    waiting = sum(s.pid in stuck for s in sessions)
    if waiting * 2 >= len(sessions):
        yield from _blockers(scene)
        return
    (user, application, state), number = Counter(
        (s.user, s.application_name, s.state) for s in sessions
    ).most_common(1)[0]
    share = number / len(sessions)
    if share < 0.3:
        return
    name = f"{application or 'sessions without a name'} ({user})"
    yield Suspect(
        title=f"{name} has {number} of the {room} connections, {state}",
        grade=Grade.A if share >= 0.6 else Grade.C,
        kind="connections",
        object=Object("role", user or ""),
        evidence={
            "connections": number,
            "available": room,
            "state": state,
            "share": round(share, 3),
        },
        remedy=next((s.remedy for s in by_rule("connection-usage")(scene)), ()),
        rule="connection-usage",
    )


# The server as a whole


_REFUSALS = {
    Reason.AUTH: "the server refuses the role or its password",
    Reason.TLS: "the encrypted connection cannot be made: certificate or setting",
    Reason.DNS: "the name of the server is not resolved",
    Reason.REFUSED: "nothing listens at the address of the server: it is stopped, or still starting",
}


def _by_probe(scene: Scene) -> Iterator[Suspect]:
    probe = scene.probe
    if probe is None or probe.reason is None:
        return
    if probe.reason is Reason.LIMIT:
        yield from _connections(scene)
        return
    said = probe.detail if probe.reason is Reason.CONDITION else _REFUSALS.get(probe.reason)
    if said:
        yield Suspect(
            title=said,
            grade=Grade.A,
            kind=f"probe-{probe.reason}",
            evidence={"reason": probe.reason.value},
        )


def _waste_of_disk(scene: Scene) -> Iterator[Suspect]:
    for suspect in by_rule("replication-slot-retention")(scene):
        yield suspect if suspect.grade is Grade.A else replace(suspect, grade=Grade.C)
    yield from by_rule("wal-archive-failing")(scene)


_LOCKS: tuple[Seeker, ...] = (_blockers,)
_TIME: tuple[Seeker, ...] = (_blockers, _statements)
_HORIZON: tuple[Seeker, ...] = (by_rule("vacuum-horizon"), by_rule("vacuum-disabled"))
_BY_PROBE = ("database", "database_refuses", "service")
_SEEKERS: Mapping[str, tuple[Seeker, ...]] = {
    "query_time": _TIME,
    "http": _TIME,
    "slo": _TIME,
    "locks": _LOCKS,
    "idle_in_transaction": (by_rule("lock-idle-in-transaction"),),
    "long_transaction": (by_rule("lock-long-transaction"), by_rule("lock-idle-in-transaction")),
    "connections": (_connections,),
    "database": (_by_probe,),
    "database_refuses": (_by_probe,),
    "service": (_by_probe,),
    "wraparound": (*_HORIZON, by_rule("vacuum-wraparound"), by_rule("vacuum-multixact")),
    "dead_tuples": (*_HORIZON, by_rule("vacuum-dead-tuples")),
    "slots": (
        by_rule("replication-slot-retention", "slot"),
        by_rule("replication-slot-inactive", "slot"),
    ),
    "archive": (by_rule("wal-archive-failing"),),
    "replication": (by_rule("replication-lag", "replica"),),
    "disk": (_waste_of_disk,),
    "deadlocks": (by_rule("lock-deadlocks"),),
    "checksums": (by_rule("integrity-checksum-failures"),),
    "host_cpu": (_statements,),
}
