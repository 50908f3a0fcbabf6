"""What was decided not to be reported, and which of these decisions do nothing any more."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from pgwatch_wed.config import Config, Ignore
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import (
    Finding,
    Ignored,
    Object,
    RuleVerdict,
    UnusedIgnore,
    Verdict,
)
from pgwatch_wed.history.lifecycle import Acknowledgement
from pgwatch_wed.rules import Rule, all_rules

# What rules of these facts find passes by itself, and may come again.
_PASSING = frozenset(
    (
        *("sessions", "lock_waits", "lock_table", "prepared_transactions", "replicas", "vacuums"),
        *("lock_episodes", "activity_minutes"),
    )
)

Original = Callable[[str], str]
"""Returns the name behind a placeholder; see :func:`pgwatch_wed.analyse.analyse_redacted`."""


def acknowledged_as(given: Acknowledgement) -> Ignore:
    """Return what somebody's acknowledgement takes away."""
    until = f" until {given.until:%Y-%m-%d}" if given.until else ""
    reason = f"acknowledged by {given.name}{until}: {given.reason}"
    return Ignore(reason, finding=given.finding_id, up_to=given.severity)


def parted(
    findings: Iterable[Finding], config: Config, today: date, original: Original
) -> tuple[list[Finding], list[Ignored]]:
    """Return what remains of the findings, and what the configuration or a person takes away."""
    kept: list[Finding] = []
    ignored: list[Ignored] = []
    for finding in findings:
        meant = _meant(finding, original)
        entries = (*config.ignores, *config.acknowledged)
        entry = next((i for i in entries if i.matches(meant, today)), None)
        if entry is None:
            kept.append(finding)
        else:
            label = finding.object.label
            ignored.append(Ignored(finding.id, finding.rule, label, entry.reason))
    return kept, ignored


def unused(
    findings: Sequence[Finding],
    verdicts: Sequence[RuleVerdict],
    config: Config,
    snapshots: Sequence[Snapshot],
    original: Original,
) -> Iterator[UnusedIgnore]:
    """Yield the entries of the configuration that have expired, or that are about nothing that there is.

    An entry is about nothing only if every rule that it may be about has been evaluated, in every database if
    it is about databases: what was not looked at may still be there, and what passes may come again.
    """
    today, is_whole = snapshots[0].now.date(), _is_whole(snapshots)
    meant = [_meant(finding, original) for finding in findings] if config.ignores else []
    by_rule = {verdict.rule: verdict for verdict in verdicts}
    for entry in config.ignores:
        if entry.has_expired(today):
            yield _unused(entry, entry.until)
        elif not any(map(entry.names, meant)) and all(
            _is_lasting(rule, is_whole=is_whole) and _is_evaluated(by_rule.get(rule.id), entry)
            for rule in _rules(entry)
        ):
            yield _unused(entry)


def _rules(entry: Ignore) -> Iterator[Rule]:
    return (rule for rule in all_rules() if entry.names_rule(rule.id, rule.area))


def _is_whole(snapshots: Sequence[Snapshot]) -> bool:
    """Tell whether every database was read in which something may be ignored; the configuration is of all."""
    read = {s.server.database_oid for s in snapshots}
    known = {
        d.oid for s in snapshots for d in s.databases if d.allows_connections and not d.is_template
    }
    return bool(known) and known <= read


def _is_lasting(rule: Rule, *, is_whole: bool) -> bool:
    """Tell whether what a rule does not find in the databases that were read is not there."""
    return (is_whole or rule.scope == "cluster") and _PASSING.isdisjoint(rule.needs)


def _is_evaluated(verdict: RuleVerdict | None, entry: Ignore) -> bool:
    """Tell whether a rule has looked at all that an entry may be about."""
    if verdict is None or verdict.verdict is Verdict.UNKNOWN or verdict.partial:
        return False
    if _is_fingerprint(entry.finding):
        return entry.finding not in verdict.unjudged
    return not verdict.unjudged


def _is_fingerprint(pattern: str) -> bool:
    return not set(pattern) & set("*?[")


def _unused(entry: Ignore, expired_on: date | None = None) -> UnusedIgnore:
    return UnusedIgnore(entry.rule, entry.object, entry.finding, entry.reason, expired_on)


def _meant(finding: Finding, original: Original) -> Finding:
    """Return a finding with the names that the patterns of the configuration are about."""

    def name(text: str | None) -> str | None:
        return None if text is None else original(text)

    given = finding.object
    return replace(
        finding,
        object=Object(
            given.kind,
            original(given.name),
            name(given.database),
            name(given.schema),
            name(given.table),
        ),
    )
