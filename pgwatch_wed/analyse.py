"""Snapshots + rules + config → Report. Pure: no clock, no connection, no globals."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

from pgwatch_wed import __version__, ignoring, units
from pgwatch_wed.config import Config
from pgwatch_wed.cures import counted_once
from pgwatch_wed.facts import Cause, Missing, OtherRelation, Snapshot, Table
from pgwatch_wed.facts.delta import spoken_for
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.facts.watched import watched
from pgwatch_wed.findings import (
    ActionPlan,
    Coverage,
    Finding,
    NotPlanned,
    Report,
    RuleVerdict,
    SelfCost,
    Severity,
    Target,
    Unknown,
    UnusedIgnore,
    Verdict,
    fingerprint,
)
from pgwatch_wed.history.forecast_lines import forecast_lines
from pgwatch_wed.history.told import advice_lines
from pgwatch_wed.ignoring import Original
from pgwatch_wed.postgres.statements import coverage
from pgwatch_wed.redaction import REDACTED, with_names
from pgwatch_wed.remedies import authority
from pgwatch_wed.remedies.actions import action_plan
from pgwatch_wed.rules import Rule, all_rules

_SEVERITY_POINTS = {Severity.CRITICAL: 60.0, Severity.WARNING: 30.0, Severity.INFO: 0.0}


def analyse(
    snapshots: Sequence[Snapshot],
    config: Config,
    rules: Iterable[Rule] | None = None,
    target: str | None = None,
    original: Original = str,
) -> Report:
    """Judge the snapshots of one server, one per database, and rank the findings.

    ``target`` names the server for readers; the default is its address. The patterns of the
    configuration are matched against what ``original`` returns for a name.
    """
    first = snapshots[0]
    readable = [_for_readers(snapshot, config, original) for snapshot in snapshots]
    judged = [
        _attempt(rule, snapshot, config)
        for rule in _selected(config, rules)
        for snapshot in (readable[:1] if rule.scope == "cluster" else readable)
    ]
    verdicts = tuple(_merge([v for v, _ in judged]))
    distinct = {f.id: f for _, findings in judged for f in findings}
    everything = ranked(counted_once(distinct.values(), readable))
    today = first.now.date()
    kept, ignored = ignoring.parted(everything, config, today, original)
    least = config.min_severity.rank
    shown = tuple(f for f in kept if f.severity.rank <= least)
    hidden = tuple(f for f in kept if f.severity.rank > least)
    window = first.window
    return Report(
        generated_at=first.now,
        tool_version=__version__,
        target=_target(snapshots, target),
        window_begins=window.begins,
        window_ends=window.ends,
        window_reason="; ".join(filter(None, (*_window_reasons(first), spoken_for(first)))),
        coverage=_coverage(snapshots, kept, config, original),
        verdicts=verdicts,
        findings=shown,
        ignored=tuple(ignored),
        unused_ignores=tuple(ignoring.unused(everything, verdicts, config, snapshots, original)),
        hidden_below=config.min_severity if hidden else None,
        hidden=hidden,
        self_cost=_self_cost(snapshots),
        advice=tuple(advice_lines(readable)),
        forecasts=forecast_lines(readable, config.disk_bytes),
        plan=_plan(shown, readable),
    )


def _plan(findings: Sequence[Finding], snapshots: Sequence[Snapshot]) -> ActionPlan:
    """Return the plan; one that fails, like a rule, does not cost the report."""
    try:
        return action_plan(findings, snapshots)
    except Exception as error:  # noqa: BLE001 - whatever it is, the findings have their remedies
        reason = f"planning failed with an unexpected {type(error).__name__}: please report this, with a snapshot."
        return ActionPlan(not_planned=tuple(NotPlanned(f.id, reason) for f in findings))


def _selected(config: Config, rules: Iterable[Rule] | None) -> list[Rule]:
    return [r for r in (all_rules() if rules is None else rules) if config.selects(r)]


def _window_reasons(snapshot: Snapshot) -> Iterator[str]:
    yield snapshot.window.reason
    was_reset = snapshot.database is not None and snapshot.database.stats_reset is not None
    unread = snapshot.missing.get("table_activity")
    if was_reset and unread is not None and unread.cause is Cause.NOT_ASKED:
        yield "older, if only the counters of single objects were reset"


# From them a plan adds up what it gains. Rules that promise a gain look at them themselves.
_OF_GAINS = {"statements", "statements_info", "missing_indexes", "index_drop_trials"}


def looked_at(
    snapshot: Snapshot, config: Config, rules: Iterable[Rule] | None = None
) -> frozenset[str]:
    """Return the facts that the selected rules need, or look at in a snapshot of which not everything was read.

    What was not read is empty to them. Once it has been read, they may look at more, and finally at nothing else:
    then they judge as if everything had been read.
    """
    readable = _for_readers(snapshot, config, str)
    seen, planning = watched(readable), watched(readable)
    needed: set[str] = set()
    findings: list[Finding] = []
    for rule in _selected(config, rules):
        needed.update(rule.needs)
        findings += _attempt(rule, seen, config)[1]
    _plan(findings, [planning])
    return frozenset(needed | seen.looked | planning.looked - _OF_GAINS)


def analyse_redacted(
    snapshots: Sequence[Snapshot],
    config: Config,
    allowed: Iterable[str] = (),
    rules: Iterable[Rule] | None = None,
) -> tuple[Report, tuple[Snapshot, ...]]:
    """Judge snapshots in which every name is a placeholder; return the report with them.

    Names are replaced before the rules judge: what no rule has seen, none can reveal. ``allowed``
    are patterns of names that may be shown.
    """
    report, clean, _, _ = analyse_both_redacted(snapshots, (), config, allowed, rules)
    return report, clean


def analyse_both_redacted(
    snapshots: Sequence[Snapshot],
    earlier: Sequence[Snapshot],
    config: Config,
    allowed: Iterable[str] = (),
    rules: Iterable[Rule] | None = None,
) -> tuple[Report, tuple[Snapshot, ...], Report | None, tuple[Snapshot, ...]]:
    """Judge two sets of snapshots with the same placeholders, so that findings can be compared.

    Return a report and the snapshots with placeholders for each; no second report if there are none.
    """
    both, names = with_names((*snapshots, *earlier), allowed)
    mine, theirs = both[: len(snapshots)], both[len(snapshots) :]
    chosen = None if rules is None else tuple(rules)

    def judged(clean: Sequence[Snapshot]) -> Report:
        report = analyse(clean, config, chosen, REDACTED, names.restored)
        ignored = tuple(replace(entry, reason=REDACTED) for entry in report.ignored)
        unused = tuple(map(_without_names, report.unused_ignores))
        return replace(report, ignored=ignored, unused_ignores=unused)

    return judged(mine), mine, judged(theirs) if theirs else None, theirs


def _without_names(entry: UnusedIgnore) -> UnusedIgnore:
    given = (entry.object, entry.finding)
    named, finding = ("*" if pattern == "*" else REDACTED for pattern in given)
    return replace(entry, object=named, finding=finding, reason=REDACTED)


def _attempt(
    rule: Rule, snapshot: Snapshot, config: Config
) -> tuple[RuleVerdict, tuple[Finding, ...]]:
    """Judge; a rule that fails, for example over impossible numbers, does not cost the report."""
    try:
        return judge(rule, snapshot, config)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other rules can judge
        database = snapshot.server.database if rule.scope == "database" else None
        reason = f"the rule failed with an unexpected {type(error).__name__}"
        mend = "please report this, with a snapshot (db-analyze collect)"
        return _unknown(rule, reason, mend, database), ()


_NO_HISTORY = Missing(
    "earlier runs were not consulted",
    "db-analyze run keeps a history and compares with it",
    Cause.NOT_ASKED,
)


def judge(
    rule: Rule, snapshot: Snapshot, config: Config
) -> tuple[RuleVerdict, tuple[Finding, ...]]:
    """Let one rule judge one snapshot; if a fact that it needs is missing, the verdict is unknown."""
    database = snapshot.server.database if rule.scope == "database" else None
    lacking = [(n, snapshot.missing[n]) for n in rule.needs if n in snapshot.missing]
    if not lacking and not FROM_HISTORY.intersection(rule.needs) <= snapshot.recalled:
        lacking = [("history", _NO_HISTORY)]
    if lacking:
        reason = _lacking_reason(lacking)
        mend = " ".join(dict.fromkeys(m.mend for _, m in lacking if m.mend))
        return _unknown(rule, reason, mend, database), ()
    if rule.primary_only and snapshot.server.is_in_recovery:
        reason = "this is a standby, and the rule can be evaluated only on the primary"
        mend = "run it on the primary"
        return _unknown(rule, reason, mend, database), ()
    findings: list[Finding] = []
    unknowns: list[Unknown] = []
    for each in rule.check(snapshot, config.limits_of(rule)):
        if isinstance(each, Unknown):
            unknowns.append(each)
        else:
            docs = f"docs/rules/{rule.id}.md"
            signed = authority.with_authority(snapshot, each)
            findings.append(replace(signed, rule=rule.id, area=rule.area, docs=docs))
    return _verdict(rule, snapshot, findings, unknowns, database), tuple(findings)


def _unknown(rule: Rule, reason: str, mend: str, database: str | None) -> RuleVerdict:
    partial = (database or "",)
    return RuleVerdict(rule.id, rule.area, Verdict.UNKNOWN, reason, mend, database, partial=partial)


def _verdict(
    rule: Rule,
    snapshot: Snapshot,
    findings: list[Finding],
    unknowns: list[Unknown],
    database: str | None,
) -> RuleVerdict:
    reason = _unknown_reason(unknowns)
    parts = (snapshot.missing.get(f"{name}:left-out") for name in rule.needs)
    left_out = [part for part in parts if part is not None]
    mends = (*(u.mend for u in unknowns), *(part.mend for part in left_out))
    mend = " ".join(dict.fromkeys(filter(None, mends)))
    reason = "; ".join([*([reason] if reason else []), *(part.reason for part in left_out)])
    if findings:
        verdict = Verdict.FINDING
    elif unknowns or left_out:
        verdict = Verdict.UNKNOWN
    else:
        verdict = Verdict.CLEAR
    is_partial = bool(left_out) or any(u.object is None for u in unknowns)
    return RuleVerdict(
        *(rule.id, rule.area, verdict, reason, mend, database),
        unjudged=tuple(fingerprint(rule.id, u.object) for u in unknowns if u.object is not None),
        partial=(database or "",) if is_partial else (),
    )


def _lacking_reason(lacking: Iterable[tuple[str, Missing]]) -> str:
    facts: dict[str, list[str]] = {}
    for name, why in lacking:
        facts.setdefault(why.reason, []).append(name.replace("_", " "))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in facts.items())


def _unknown_reason(unknowns: list[Unknown], show: int = 3) -> str:
    texts = [f"{u.object.label}: {u.reason}" if u.object else u.reason for u in unknowns]
    texts = list(dict.fromkeys(texts))
    more = f"; and {len(texts) - show} more" if len(texts) > show else ""
    return "; ".join(texts[:show]) + more


def _merge(verdicts: list[RuleVerdict]) -> Iterable[RuleVerdict]:
    """Return one verdict per rule: a finding in any database, else unknown in any, else clear."""
    order = (Verdict.FINDING, Verdict.UNKNOWN, Verdict.CLEAR)
    for rule_id in dict.fromkeys(v.rule for v in verdicts):
        mine = [v for v in verdicts if v.rule == rule_id]
        worst = min(mine, key=lambda v: order.index(v.verdict))
        if len(mine) == 1:
            yield worst
            continue
        reasons: dict[str, list[str]] = defaultdict(list)
        for each in mine:
            if each.reason:
                reasons[each.reason].append(each.database or "")
        mends = dict.fromkeys(v.mend for v in mine if v.mend)
        yield replace(
            worst,
            reason="; ".join(f"{_some(names)}: {reason}" for reason, names in reasons.items()),
            mend=" ".join(mends),
            database=None,
            unjudged=tuple(i for v in mine for i in v.unjudged),
            partial=tuple(p for v in mine for p in v.partial),
        )


def _some(names: list[str], show: int = 3) -> str:
    more = f" and {len(names) - show} more" if len(names) > show else ""
    return ", ".join(names[:show]) + more


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Order findings by gain, weighted by grade; then the easier remedy first, then by name, never by the order of rules."""
    return sorted(findings, key=_rank)


def _rank(f: Finding) -> tuple[Any, ...]:
    return (-round(score(f), 1), f.impact.effort, -_spent(f), f.object.label, f.rule, f.id)


def _spent(finding: Finding) -> float:
    """Return the time measured so far; it orders findings whose window is too short for a daily rate."""
    spent = finding.evidence.get("total_exec_ms")
    return float(spent) if isinstance(spent, int | float) else 0.0


def score(finding: Finding) -> float:
    """Score a finding: severity, and the orders of magnitude of the time and bytes it promises.

    A second per day and a megabyte count about the same; ten times as much adds ten points, or
    half that at grade C.
    """
    time = finding.impact.gain
    ms = max(time.least_per_day, 0.0) if time is not None else 0.0
    size = max(finding.impact.bytes or 0, 0)
    weight = finding.grade.weight
    return severity_points(finding.severity) + gain_points(ms, size) * weight + weight


def severity_points(severity: Severity) -> float:
    """Return what a severity counts in a score."""
    return _SEVERITY_POINTS[severity]


def gain_points(ms_per_day: float, size: float) -> float:
    """Return what saved time and bytes count in a score, before the grade."""
    return 10 * math.log10(1 + ms_per_day / 1000) + 10 * math.log10(1 + size / 1_000_000)


def _for_readers(snapshot: Snapshot, config: Config, original: Original) -> Snapshot:
    """Leave out what belongs to extensions, hosting providers and other tools: not the reader's to change."""
    hidden = {t.oid for t in snapshot.tables if t.is_in_extension or _skips(config, t, original)}

    def is_skipped(role: str | None) -> bool:
        return any(fnmatchcase(original(role or ""), p) for p in config.skip_roles)

    sessions = tuple(s for s in snapshot.sessions if not is_skipped(s.user))
    statements = tuple(s for s in snapshot.statements if not is_skipped(s.user))
    if (
        not hidden
        and len(sessions) == len(snapshot.sessions)
        and len(statements) == len(snapshot.statements)
    ):
        return snapshot
    own: dict[str, Any] = {
        f.name: tuple(r for r in getattr(snapshot, f.name) if _table_of(r) not in hidden)
        for f in fields(snapshot)
        if f.name in _TABLE_FACTS
    }
    others = (*snapshot.other_relations, *_left_out(snapshot, hidden))
    return replace(
        snapshot, **own, other_relations=others, sessions=sessions, statements=statements
    )


def _left_out(snapshot: Snapshot, hidden: Set[int]) -> Iterator[OtherRelation]:
    """Yield what keeps its name, and remains a partition, although no rule looks at it."""
    for t in snapshot.tables:
        if t.oid in hidden:
            yield OtherRelation(t.oid, t.schema, t.name, t.kind, t.parent_oid)
    for i in snapshot.indexes:
        if i.table_oid in hidden:
            yield OtherRelation(i.oid, i.schema, i.name, i.kind, None)


def _skips(config: Config, table: Table, original: Original) -> bool:
    return config.skips(original(table.schema), original(table.owner))


_TABLE_FACTS = frozenset(
    ("tables", "table_activity", "columns", "column_statistics", "indexes", "constraints")
)


def _table_of(row: Any) -> int:
    return int(row.table_oid if hasattr(row, "table_oid") else row.oid)


def _target(snapshots: Sequence[Snapshot], label: str | None) -> Target:
    server = snapshots[0].server
    return Target(
        label=label or f"{server.address or 'local'}/{server.database}",
        database=server.database,
        databases=tuple(s.server.database for s in snapshots),
        version=server.version,
        version_num=server.version_num,
        role=server.role,
        is_in_recovery=server.is_in_recovery,
        system_identifier=server.system_identifier,
    )


def _coverage(
    snapshots: Sequence[Snapshot], findings: list[Finding], config: Config, original: Original
) -> Coverage:
    found = coverage(snapshots, findings)
    left_out = [
        f"{s.server.database}: {m.reason}"
        for s in snapshots
        for name, m in s.missing.items()
        if name.endswith(":left-out")
    ]
    skipped = [
        f"{s.server.database}: {said}" for s in snapshots if (said := _skipped(s, config, original))
    ]
    schemas = {
        (s.server.database, t.schema)
        for s in snapshots
        for t in _skipped_tables(s, config, original)
    }
    return replace(found, left_out=(*left_out, *skipped), skipped=tuple(sorted(schemas)))


def _skipped_tables(snapshot: Snapshot, config: Config, original: Original) -> list[Table]:
    return [t for t in snapshot.tables if not t.is_in_extension and _skips(config, t, original)]


def _skipped(snapshot: Snapshot, config: Config, original: Original) -> str:
    """Describe which tables were not judged because their schema is skipped."""
    tables = _skipped_tables(snapshot, config, original)
    if not tables:
        return ""
    schemas = ", ".join(sorted({t.schema for t in tables}))
    were = f"{units.count(len(tables), 'table')} {'was' if len(tables) == 1 else 'were'}"
    return f"{were} not evaluated because of skipped schemas: {schemas}"


def _self_cost(snapshots: Sequence[Snapshot]) -> SelfCost:
    costs = [c for s in snapshots for c in s.query_costs]
    slowest = sorted(costs, key=lambda c: (-c.seconds, c.name))[:5]
    return SelfCost(
        seconds=round(sum(c.seconds for c in costs), 3),
        queries=len(costs),
        slowest=tuple((c.name, c.seconds) for c in slowest),
    )
