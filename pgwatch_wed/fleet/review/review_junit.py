"""The review of a fleet as JUnit XML: a suite a cluster, a case a rule. Who was not read is an error, never a pass."""

from collections import defaultdict
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from pgwatch_wed import units
from pgwatch_wed.findings import Severity, Standing, Verdict
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.reviews import SILENCE, ClusterFinding, Review, ReviewedCluster
from pgwatch_wed.render.characters import visible

_HEAD = b"<?xml version='1.0' encoding='utf-8'?>\n"


def render(review: Review) -> bytes:
    """Return the XML; a cluster at a time, since there may be a thousand."""
    suites = [ET.tostring(_suite(own, review), encoding="utf-8") for own in review.clusters]
    return b"\n".join((_HEAD + b"<testsuites>", *suites, b"</testsuites>\n"))


def _suite(own: ReviewedCluster, review: Review) -> ET.Element:
    suite = ET.Element("testsuite", name=visible(own.member))
    if own.seen_at is not None:
        suite.set("timestamp", own.seen_at.strftime("%Y-%m-%dT%H:%M:%S"))
    suite.append(_visit(own, review))
    by_rule: dict[str, list[ClusterFinding]] = defaultdict(list)
    for finding in own.findings:
        if finding.rule != SILENCE:
            by_rule[finding.rule].append(finding)
    for rule in sorted({*own.verdicts, *by_rule}):
        suite.append(_case(own, review, rule, by_rule[rule]))
    suite.set("tests", str(len(suite)))
    for kind, plural in (("failure", "failures"), ("skipped", "skipped"), ("error", "errors")):
        suite.set(plural, str(sum(case.find(kind) is not None for case in suite)))
    return suite


def _visit(own: ReviewedCluster, review: Review) -> ET.Element:
    case = _named("db-analyze.fleet", "visit")
    if own.is_silent:
        kind = own.ending.value if own.ending else ""
        ET.SubElement(case, "error", message=visible(words.silence(own, review)), type=kind)
    elif own.ending is None:
        ET.SubElement(case, "skipped", message="not visited yet")
    elif own.lacking:
        ET.SubElement(case, "system-out").text = visible(f"read in part: {words.lacking(own)}")
    return case


def _named(class_name: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=class_name, name=visible(name), time="0")


def _case(
    own: ReviewedCluster, review: Review, rule: str, found: list[ClusterFinding]
) -> ET.Element:
    case = _named(f"db-analyze.{rule.partition('-')[0]}", rule)
    bad = [f for f in found if _fails(f)]
    if bad:
        said = f"{units.count(len(bad), 'finding')}; the first: {bad[0].title}"
        failure = ET.SubElement(case, "failure", message=visible(said), type=bad[0].severity.value)
        failure.text = visible("\n".join(_lines(bad, review)))
    elif own.verdicts.get(rule) == Verdict.UNKNOWN.value:
        ET.SubElement(case, "skipped", message=visible(own.unknown.get(rule, "")))
    elif not own.is_current:
        ET.SubElement(case, "skipped", message="not looked at this time")
    rest = [f for f in found if not _fails(f)]
    if rest:
        ET.SubElement(case, "system-out").text = visible("\n".join(_lines(rest, review)))
    return case


def _fails(finding: ClusterFinding) -> bool:
    return finding.severity is not Severity.INFO


def _lines(found: list[ClusterFinding], review: Review) -> Iterator[str]:
    for f in found:
        stands = f.standing.value if f.standing in (Standing.NEW, Standing.WORSE) else ""
        head = " ".join(filter(None, (f.severity.value, f.grade, stands)))
        stale = "" if f.is_current else f", not looked at since {f.last_seen:%Y-%m-%d}"
        yield f"{head} {f.title} ({words.age(f, review)}{stale})"
