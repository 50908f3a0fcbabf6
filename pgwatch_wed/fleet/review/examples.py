"""What to do about an issue: the remedy of one of its clusters, from that cluster's own report."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.findings import Severity
from pgwatch_wed.fleet.review import recollection
from pgwatch_wed.fleet.review.recollection import Recollection
from pgwatch_wed.fleet.review.reviews import ClusterFinding, ExampleRemedy, FleetIssue, Review

MOST = 40
"""Only so many issues have one: each may take a report of another cluster."""


def with_examples(connection: sa.Connection, review: Review, found: Recollection) -> Review:
    """Return the review with a remedy for each of the first issues that have one."""
    chosen = {_key(issue): _chosen(issue) for issue in review.issues[:MOST]}
    members = {f.member for f in chosen.values() if f}
    wanted = (c for c in found.clusters if c.visit.member in members)
    remedies: dict[tuple[str, str], Any] = defaultdict(list)
    for member, report in recollection.documents(connection, wanted):
        for each in _findings(report):
            remedies[member, each["id"]] = each["remedy"]
    issues = (
        replace(issue, example=_example(chosen.get(_key(issue)), remedies))
        for issue in review.issues
    )
    return replace(review, issues=tuple(issues))


def _key(issue: FleetIssue) -> tuple[str, Severity]:
    return issue.rule, issue.severity


def _chosen(issue: FleetIssue) -> ClusterFinding | None:
    return next((f for f in issue.findings if f.is_current), None)


def _findings(report: bytes | None) -> Iterator[Mapping[str, Any]]:
    if report is None:
        return
    try:
        document = json.loads(report.decode("utf-8", "surrogatepass"))
        yield from document["findings"]
    except (ValueError, KeyError, TypeError):
        return


def _example(
    chosen: ClusterFinding | None, remedies: Mapping[tuple[str, str], Any]
) -> ExampleRemedy | None:
    steps = remedies[chosen.member, chosen.id] if chosen else ()
    if chosen is None or not steps:
        return None
    return ExampleRemedy(
        chosen.member,
        chosen.title,
        tuple(str(step["sql"]) for step in steps),
        "; ".join(dict.fromkeys(str(step["lock"]) for step in steps)),
        tuple(str(step["undo"]) for step in steps if step["undo"]),
    )
