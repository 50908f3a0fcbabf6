"""A review with placeholders for names, to be shown to anyone.

It is made of what is known to hold no name, field by field: numbers, times, versions, rules. Names become placeholders, the same
ones everywhere; sentences that may hold one are left out, and so is what is made of statements.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pgwatch_wed.findings import ForecastLine, Object, fingerprint
from pgwatch_wed.fleet.review.reviews import (
    SILENCE,
    ClusterFinding,
    Drift,
    FleetIssue,
    GoneFinding,
    NearLimit,
    Review,
    ReviewedCluster,
    SharedCause,
)
from pgwatch_wed.redaction import REDACTED, Names
from pgwatch_wed.rules import all_rules

_LABELS = ("table ", "sequence ", "transaction IDs of ", "database ")
# Values of settings that say nothing about anyone.
_PLAIN = re.compile(r"-?\d[\d.]*\s?(?:[kMGT]?B|us|ms|s|min|h|d)?|on|off|the default|")
_VERSIONS = re.compile(r"[\d., ]*")


def redacted(review: Review, allowed: Iterable[str] = ()) -> Review:
    """Return a review with placeholders; names that one of the patterns ``allowed`` fits are kept."""
    return _Redacting(tuple(allowed)).review(review)


def document(own: ReviewedCluster) -> bytes:
    """Return what a cluster's own page is made of: its report as JSON, with what a redacted review has of it."""
    findings = [
        _reported(f) for f in (*own.findings, *own.by_chance) if f.rule != SILENCE and f.grade
    ]
    unknown = [
        {"rule": r, "verdict": "unknown", "reason": REDACTED, "mend": ""} for r in own.unknown
    ]
    made = {"schema_version": 1, "plan": [], "findings": findings, "verdicts": unknown}
    return json.dumps(made).encode()


def _reported(f: ClusterFinding) -> dict[str, Any]:
    return {
        "id": f.id,
        "rule": f.rule,
        "severity": f.severity.value,
        "grade": f.grade,
        "title": f"{f.title}: {f.object.label}" if f.object.label else f.title,
        "detail": "Sentences and SQL are left out of a redacted report.",
        "remedy": [],
        "caveats": [],
        "evidence": {},
        "impact": {"ms_per_day": f.ms_per_day, "bytes": f.bytes},
    }


class _Redacting:
    """The placeholders of a fleet: those of clusters, groups and tags, and those of what is in databases."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._fleet = Names(allowed)
        self._names = Names(allowed)
        self._titles = {r.id: r.summary.rstrip(".") for r in all_rules()}
        self._titles[SILENCE] = "Clusters were not read"

    def review(self, review: Review) -> Review:
        """Return the review; clusters are numbered in their order."""
        for each in review.clusters:
            self._fleet.learn("cluster", each.member)
        return replace(
            review,
            clusters=tuple(map(self._cluster, review.clusters)),
            issues=tuple(map(self._issue, review.issues)),
            limits=tuple(
                NearLimit(self._member(n.member), self._line(n.line)) for n in review.limits
            ),
            untold=self._members(review.untold),
            drifts=tuple(map(self._drift, review.drifts)),
            versions=tuple(replace(v, members=self._members(v.members)) for v in review.versions),
            left=self._members(review.left),
            departed=tuple(map(self._cluster, review.departed)),
        )

    # --- the fleet ------------------------------------------------------------------------------

    def _member(self, name: str) -> str:
        return self._fleet.stand_in("cluster", name)

    def _members(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(self._member, names))

    def _cluster(self, own: ReviewedCluster) -> ReviewedCluster:
        return replace(
            own,
            member=self._member(own.member),
            group=self._fleet.stand_in("group", own.group),
            tags=self._tags(own.tags),
            label="",
            reason=REDACTED if own.reason else "",
            mend="",
            lacking={f"{len(own.lacking)} parts": REDACTED} if own.lacking else {},
            findings=tuple(map(self._finding, own.findings)),
            by_chance=tuple(map(self._finding, own.by_chance)),
            gone=tuple(self._gone(g, n) for n, g in enumerate(own.gone)),
            unknown=dict.fromkeys(own.unknown, REDACTED),
            limits=(),
            also=self._members(own.also),
        )

    def _tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        names = self._fleet
        return {names.stand_in("tag", k): names.stand_in("value", v) for k, v in tags.items()}

    # --- findings -------------------------------------------------------------------------------

    def _issue(self, issue: FleetIssue) -> FleetIssue:
        return replace(issue, causes=tuple(map(self._cause, issue.causes)), example=None)

    def _cause(self, own: SharedCause) -> SharedCause:
        found = tuple(map(self._finding, own.findings))
        is_shared = own.label == own.findings[0].object.label
        return SharedCause(found[0].object.label if is_shared else own.label, found)

    def _finding(self, f: ClusterFinding) -> ClusterFinding:
        about = self._object(f.object)
        return replace(
            f,
            member=self._member(f.member),
            id=fingerprint(f.rule, about),
            object=about,
            title=self._titles.get(f.rule, f.rule),
            record="",
        )

    def _gone(self, gone: GoneFinding, number: int) -> GoneFinding:
        member, title = self._member(gone.member), self._titles.get(gone.rule, gone.rule)
        id_ = fingerprint(gone.rule, Object("cluster", member, table=str(number)))
        return replace(gone, member=member, id=id_, title=title)

    def _object(self, o: Object) -> Object:
        names = self._fleet if o.kind == "cluster" else self._names
        name = (
            o.name
            if o.kind == "statement" and o.name.isdecimal()
            else names.stand_in(o.kind, o.name)
        )
        return Object(
            o.kind,
            name,
            o.database and self._names.stand_in("database", o.database),
            o.schema and self._names.stand_in("schema", o.schema),
            o.table and self._names.stand_in("table", o.table),
        )

    # --- limits and drift -----------------------------------------------------------------------

    def _line(self, line: ForecastLine) -> ForecastLine:
        head = next((each for each in _LABELS if line.label.startswith(each)), None)
        label = line.label
        if head is not None:
            kind = head.strip() if head in _LABELS[:2] else "database"
            label = f"{head}{self._relation(kind, label.removeprefix(head))}"
        return replace(line, label=label, note="")

    def _relation(self, kind: str, text: str) -> str:
        """Replace the names in ``schema.table``, which may follow a database: ``shop: public.orders``."""
        database, _, rest = text.rpartition(": ")
        schema, _, name = rest.rpartition(".")
        before = f"{self._names.stand_in('database', database)}: " if database else ""
        within = f"{self._names.stand_in('schema', schema)}." if schema else ""
        return f"{before}{within}{self._names.stand_in(kind, name)}"

    def _drift(self, own: Drift) -> Drift:
        return replace(
            own,
            group=self._fleet.stand_in("group", own.group),
            name=self._compared(own),
            usual=self._value(own, own.usual),
            others=tuple((self._value(own, v), self._members(of)) for v, of in own.others),
        )

    def _compared(self, own: Drift) -> str:
        if own.kind == "table":
            return self._relation("table", own.name)
        if own.kind == "index":
            table, _, form = own.name.partition(" ")
            return f"{self._relation('table', table)} {self._names.stand_in('index', form)}"
        return own.name if own.kind == "version" else self._names.stand_in(own.kind, own.name)

    def _value(self, own: Drift, value: str) -> str:
        plain = _VERSIONS if own.kind == "extension" else _PLAIN
        is_plain = own.kind in ("version", "table", "index") or plain.fullmatch(value)
        return value if is_plain else self._names.stand_in("value", value)
