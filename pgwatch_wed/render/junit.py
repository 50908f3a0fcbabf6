"""JUnit XML: one test case per rule; findings fail it, unknown skips it."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report, RuleVerdict, Severity, Standing, Verdict
from pgwatch_wed.render import standing
from pgwatch_wed.render.characters import visible
from pgwatch_wed.render.steps import script


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> bytes:  # noqa: ARG001 - one form for all
    """Return the XML; informational findings, and what the baseline knows, are output of a passing case."""
    suite = ET.Element(
        "testsuite", name="db-analyze", timestamp=report.generated_at.strftime("%Y-%m-%dT%H:%M:%S")
    )
    for verdict in report.verdicts:
        mine = [f for f in report.findings if f.rule == verdict.rule]
        suite.append(_case(report, verdict, mine))
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(c.find("failure") is not None for c in cases)))
    suite.set("skipped", str(sum(c.find("skipped") is not None for c in cases)))
    suite.set("errors", "0")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def _fails(report: Report, finding: Finding) -> bool:
    known = report.standing(finding) in (Standing.KNOWN, Standing.UNCLEAR)
    return finding.severity is not Severity.INFO and not known


def _case(report: Report, verdict: RuleVerdict, findings: list[Finding]) -> ET.Element:
    case = ET.Element(
        "testcase", classname=f"db-analyze.{verdict.area}", name=verdict.rule, time="0"
    )
    bad = [f for f in findings if _fails(report, f)]
    if bad:
        message = visible(f"{units.count(len(bad), 'finding')}; the first: {bad[0].title}")
        failure = ET.SubElement(case, "failure", message=message, type=bad[0].severity.value)
        failure.text = visible("\n\n".join(_paragraph(report, f) for f in bad))
    elif verdict.verdict is Verdict.UNKNOWN:
        ET.SubElement(case, "skipped", message=visible(verdict.reason))
    if len(bad) < len(findings):
        rest = [f for f in findings if not _fails(report, f)]
        said = "\n\n".join(_paragraph(report, f) for f in rest)
        ET.SubElement(case, "system-out").text = visible(said)
    return case


def _paragraph(report: Report, finding: Finding) -> str:
    steps = "\n".join(map(script, finding.remedy))
    words = (finding.severity.value, finding.grade.value, standing.mark(report, finding))
    head = f"{' '.join(filter(None, words))} {finding.title}\n{finding.detail}"
    return f"{head}\n{steps}".strip()
