"""What a run concluded, as far as later runs need it: from a report, or from the JSON report of an earlier run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.findings import Finding, Object, Report, RuleVerdict, Severity, Verdict

_OLDEST = 1
_SAME_AS_WRITTEN = "write it again with db-analyze run --format json"


@dataclass(frozen=True, slots=True)
class Concluded:
    """A finding as later runs need it. Times are a day's, and None where the window proved no rate."""

    id: str
    rule: str
    area: str
    severity: Severity
    grade: str
    object: Object
    title: str
    gain_ms: float | None = None
    cost_ms: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Conclusions:
    """What one run concluded. ``hidden`` are the severities of findings of which nothing else is known."""

    taken_at: datetime
    system_identifier: str | None
    databases: tuple[str, ...]
    skipped: frozenset[tuple[str, str]]
    verdicts: Mapping[str, RuleVerdict]
    findings: Mapping[str, Concluded]
    ignored: frozenset[str]
    hidden: Mapping[str, Severity] = field(default_factory=dict)

    def why_not_evaluated(self, found: Concluded, *, is_gone: bool) -> str:
        """Say why a finding of an earlier run could not be evaluated in this one; "" if it is resolved."""
        o = found.object
        if o.database is not None and o.database not in self.databases:
            return f"database {o.database} was not analyzed"
        if (o.database or "", o.schema or "") in self.skipped:
            return f"schema {o.schema} is skipped"
        verdict = self.verdicts.get(found.rule)
        if verdict is None:
            return "the rule was not selected"
        if is_gone:
            return ""
        if found.id in verdict.unjudged or is_partial(verdict, o):
            return verdict.reason or "not everything could be evaluated"
        return ""


def is_partial(verdict: RuleVerdict, o: Object) -> bool:
    """Tell whether a rule could not evaluate something that may have been this object."""
    return any(p in ("", o.database) or o.database is None for p in verdict.partial)


def concluded(report: Report) -> Conclusions:
    """Return what a report concludes."""
    return Conclusions(
        report.generated_at,
        report.target.system_identifier,
        report.target.databases,
        frozenset(report.coverage.skipped),
        {v.rule: v for v in report.verdicts},
        {f.id: _finding(f) for f in (*report.findings, *report.hidden)},
        frozenset(i.id for i in report.ignored),
    )


def _finding(f: Finding) -> Concluded:
    gain, cost = f.impact.gain, f.impact.cost
    return Concluded(
        *(f.id, f.rule, f.area, f.severity, f.grade.value, f.object, f.title),
        gain_ms=gain.per_day if gain else None,
        cost_ms=cost.per_day if cost else None,
        bytes=f.impact.bytes,
    )


# --- JSON -----------------------------------------------------------------------------------------


def is_report(document: Any) -> bool:
    """Tell whether a JSON document is a report of ours."""
    return isinstance(document, dict) and "verdicts" in document and "findings" in document


def of_json(document: Any, name: str) -> Conclusions:
    """Read the JSON report of an earlier run. Raises :class:`UsageError` if it is none, or damaged."""
    if not is_report(document):
        raise UsageError(f"{name} is not a report of db-analyze", _SAME_AS_WRITTEN)
    version = document.get("schema_version")
    if version != _OLDEST:
        raise UsageError(
            f"{name} has schema_version {version!r}, but this version reads {_OLDEST}",
            "use the version of db-analyze that wrote it, or a later one",
        )
    try:
        return _conclusions(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UsageError(f"{name} is damaged: {what:.120}", _SAME_AS_WRITTEN) from None


def _conclusions(document: Mapping[str, Any]) -> Conclusions:
    taken_at = datetime.fromisoformat(document["generated_at"])
    if taken_at.tzinfo is None:
        raise ValueError("generated_at has no time zone")
    skipped = document["coverage"].get("skipped", ())
    findings = [_read_finding(f) for f in document["findings"]]
    return Conclusions(
        taken_at,
        document["target"].get("system_identifier"),
        tuple(map(str, document["target"]["databases"])),
        frozenset((str(s["database"]), str(s["schema"])) for s in skipped),
        {str(v["rule"]): _read_verdict(v) for v in document["verdicts"]},
        {f.id: f for f in findings},
        frozenset(str(i["id"]) for i in document["ignored"]),
        {str(f["id"]): Severity(f["severity"]) for f in document["hidden"].get("findings", ())},
    )


def _read_verdict(given: Mapping[str, Any]) -> RuleVerdict:
    verdict = Verdict(given["verdict"])
    reason = str(given["reason"])
    # a report of an earlier version does not say what could not be evaluated, only that something was
    lacks = (*(("",) if reason and verdict is not Verdict.CLEAR else ()),)
    return RuleVerdict(
        str(given["rule"]),
        str(given["area"]),
        verdict,
        reason,
        unjudged=tuple(map(str, given.get("unjudged", ()))),
        partial=tuple(map(str, given.get("partial", lacks))),
    )


def _read_finding(given: Mapping[str, Any]) -> Concluded:
    o, impact = given["object"], given["impact"]
    return Concluded(
        str(given["id"]),
        str(given["rule"]),
        str(given["area"]),
        Severity(given["severity"]),
        str(given["grade"]),
        Object(
            str(o["kind"]),
            str(o["name"]),
            _text(o["database"]),
            _text(o["schema"]),
            _text(o["table"]),
        ),
        str(given["title"]),
        _number((impact.get("gain") or {}).get("ms_per_day")),
        _number((impact.get("cost") or {}).get("ms_per_day")),
        _whole(impact.get("bytes")),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
