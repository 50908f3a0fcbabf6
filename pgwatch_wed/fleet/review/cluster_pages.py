"""A cluster's own report as a page beside that of the fleet, from the JSON report in the history: no server, nothing judged again."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import Any
from urllib.parse import quote

from jinja2 import Template
from markupsafe import Markup

from pgwatch_wed import assets
from pgwatch_wed.analyse import gain_points, severity_points
from pgwatch_wed.findings import Severity
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.reviews import SILENCE, ClusterFinding, Review, ReviewedCluster
from pgwatch_wed.render import numbers
from pgwatch_wed.render.characters import visible
from pgwatch_wed.render.html import environment, policy
from pgwatch_wed.render.impact_words import GRADES

FOLDER = "clusters"
_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_CODE = frozenset(
    ("query", "queries", "definition", "definitions", "statement", "statements", "sql")
)
# What Windows does not accept as a file, whatever its suffix.
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10)))
)


def file_name(member: str) -> str:
    """Return the name of a cluster's page: a name may contain anything, a file's may not."""
    if _SAFE.match(member) and member.partition(".")[0] not in _DEVICES:
        return f"{member}.html"
    digest = hashlib.sha256(member.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{_UNSAFE.sub('-', member)[:60].strip('.-') or 'cluster'}-{digest}.html"


def address(member: str) -> str:
    """Return the relative URL of a cluster's page."""
    return f"{FOLDER}/{quote(file_name(member))}"


def render(own: ReviewedCluster, review: Review, report: bytes | None) -> str:
    """Return the page; ``report`` is the JSON report of the cluster's last run, None if it is gone."""
    document = _document(report)
    shown = (*own.findings, *own.by_chance)
    by_id = {f.id: f for f in shown}
    css = _css()
    return visible(
        _template().render(
            own=own,
            review=review,
            report=document,
            findings=_in_order(document.get("findings", ()), by_id),
            how=words.silence(own, review) if own.is_silent else "",
            lacking=words.lacking(own),
            known=by_id.get,
            kept=[f for f in shown if not f.grade],
            chance={f.id: words.BY_CHANCE for f in own.by_chance},
            age=lambda finding: words.age(finding, review),
            severities=[
                (s, sum(f.severity is s for f in shown if f.rule != SILENCE)) for s in Severity
            ],
            unknown=[v for v in document.get("verdicts", ()) if v["verdict"] == "unknown"],
            evidence=_evidence,
            gain=_gain,
            grades=GRADES,
            css=Markup(css),  # noqa: S704 - our own file
            policy=_policy(),
        )
    )


def _in_order(
    findings: Sequence[Mapping[str, Any]], by_id: Mapping[str, ClusterFinding]
) -> Sequence[Mapping[str, Any]]:
    """Return findings in the order of the report, unless siblings tell how likely some of its remedies help."""

    def rank(finding: Mapping[str, Any]) -> float:
        own = by_id.get(finding["id"])
        if own is None:
            return 0.0
        gain = gain_points(max(own.ms_per_day or 0.0, 0.0), max(own.bytes or 0, 0))
        return -round(severity_points(own.severity) + gain * own.weight + own.weight, 1)

    tell = any(own.record for own in by_id.values())
    return sorted(findings, key=rank) if tell else findings


@cache
def _template() -> Template:
    # a thousand pages: names are made harmless once a page, not once an expression
    return environment().overlay(finalize=None).get_template("fleet_cluster.html.j2")


@cache
def _policy() -> str:
    return policy(_css())


@cache
def _css() -> str:
    return assets.text("reports", "templates", "report.css") + assets.text(
        "reports", "templates", "fleet.css"
    )


def _document(report: bytes | None) -> dict[str, Any]:
    if report is None:
        return {}
    try:
        found = json.loads(report.decode("utf-8", "surrogatepass"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("schema_version") == 1 else {}


def _evidence(finding: Mapping[str, Any]) -> Markup:
    """Return evidence as the items of a list of definitions."""
    items = []
    for name, value in finding["evidence"].items():
        if name in _CODE:
            texts = value if isinstance(value, list) else [value]
            said = f"<pre><code>{escape(chr(10).join(map(str, texts)))}</code></pre>"
        else:
            said = escape(numbers.measured(name, value))
        items.append(f"<div><dt>{escape(_label(name))}</dt><dd>{said}</dd></div>")
    return Markup("".join(items))  # noqa: S704 - escaped above


_label = cache(numbers.label)


def _gain(finding: Mapping[str, Any]) -> str:
    impact = finding["impact"]
    return words.saved_in_words(impact.get("ms_per_day"), impact.get("bytes"))
