"""How a comparison with a baseline is worded, in every format."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.findings import Compared, Finding, Report, Standing

MARKS = {
    Standing.NEW: "new",
    Standing.WORSE: "worse",
    Standing.KNOWN: "known",
    Standing.UNCLEAR: "not known to be new",
}


def counts(compared: Compared) -> str:
    """Count what is new, worse, known, resolved and not evaluated."""
    each = [(compared.count(s), MARKS[s]) for s in Standing]
    each += [(len(compared.resolved), "resolved"), (len(compared.not_evaluated), "not evaluated")]
    always = (MARKS[Standing.NEW], MARKS[Standing.KNOWN])
    return ", ".join(f"{n:,} {word}" for n, word in each if n or word in always)


def sentence(report: Report) -> str:
    """Say with what the report is compared, and the result; "" without a baseline."""
    compared = report.compared
    if compared is None:
        return ""
    age = report.generated_at - compared.taken_at
    when = f"{units.words(abs(age))} {'earlier' if age >= timedelta(0) else 'later'}"
    note = f" ({compared.note})" if compared.note else ""
    return f"Compared with {compared.label}, {when}{note}: {counts(compared)}."


def mark(report: Report, finding: Finding) -> str:
    """Return where a finding stands; "" without a baseline."""
    standing = report.standing(finding)
    return "" if standing is None else MARKS[standing]


def marks(report: Report, findings: Iterable[Finding]) -> str:
    """Count where several findings stand; "" without a baseline."""
    found = Counter(mark(report, finding) for finding in findings)
    return ", ".join(f"{found[m]:,} {m}" for m in MARKS.values() if found[m])


def was(report: Report, finding: Finding) -> str:
    """Return what a finding was in the baseline, if that differs."""
    return report.compared.was.get(finding.id, "") if report.compared else ""
