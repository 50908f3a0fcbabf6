"""One self-contained HTML file: no request leaves it, everything user-made is escaped.

Findings are HTML, so that the file reads without scripts, prints, and can be searched. The chapters' tables
are compressed data that the page's own script unpacks, sorts, searches and pages.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jinja2
import sqlparse
from markupsafe import Markup

from pgwatch_wed import assets
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report, Severity, Verdict
from pgwatch_wed.render import numbers
from pgwatch_wed.render.chapters import Chapter, chapters
from pgwatch_wed.render.terminal import coverage_sentence, gain
from pgwatch_wed.rules import Rule, all_rules

MAX_FINDINGS = 1000
_TOP = 5
_FORMAT_UP_TO = 2000  # sqlparse is slow on long texts


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> str:
    """Return the page."""
    css, js = _source("report.css"), _source("report.js")
    template = _environment().get_template("report.html.j2")
    shown = report.findings[:MAX_FINDINGS]
    made = chapters(snapshots) if snapshots else ()
    return template.render(
        report=report,
        findings=shown,
        left_out=len(report.findings) - len(shown),
        top=_top(report),
        severities=[(s, report.count(s)) for s in Severity],
        areas=sorted({f.area for f in shown}),
        clear=sum(v.verdict is Verdict.CLEAR for v in report.verdicts),
        coverage=coverage_sentence(report),
        chapters=made,
        data=Markup(_data(made)),  # noqa: S704 - base64 of our own making
        rules=_rules(report),
        css=Markup(css),  # noqa: S704 - our own file
        js=Markup(js),  # noqa: S704 - our own file
        policy=_policy(css, js),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets.asset("reports") / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "label": numbers.label,
        "gain": gain,
        "sql": pretty,
        "days": lambda seconds: numbers.duration(seconds * 1000),
    }
    environment.globals["evidence"] = evidence
    return environment


def _policy(css: str, js: str) -> str:
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_hash(css)}'; script-src '{_hash(js)}'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _source(name: str) -> str:
    # browsers hash the element's text, which is exactly what stands between the tags
    return assets.text("reports", "templates", name)


def _top(report: Report) -> tuple[Finding, ...]:
    return report.findings[:_TOP]


def evidence(finding: Finding) -> list[tuple[str, str, bool]]:
    """Return evidence as (label, text, is it code)."""
    return [
        (numbers.label(k), _evidence_text(k, v), _is_code(k)) for k, v in finding.evidence.items()
    ]


def _evidence_text(name: str, value: Any) -> str:
    if _is_code(name):
        texts = value if isinstance(value, list | tuple) else [value]
        return "\n\n".join(pretty(str(t)) for t in texts)
    return numbers.measured(name, value)


def _is_code(name: str) -> bool:
    return name in (
        "query",
        "queries",
        "definition",
        "definitions",
        "statement",
        "statements",
        "sql",
    )


def pretty(sql: str) -> str:
    """Lay SQL out over lines; long texts stay as they are."""
    if len(sql) > _FORMAT_UP_TO or "\n" in sql.strip():
        return sql
    try:
        return str(sqlparse.format(sql, reindent=True))
    except (sqlparse.exceptions.SQLParseError, RecursionError, ValueError):
        return sql


def _rules(report: Report) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return (id, summary, [(heading, text)]) of the rules that found something."""
    found = {f.rule for f in report.findings}
    return [(r.id, r.summary, _sections(r)) for r in all_rules() if r.id in found]


def _sections(rule: Rule) -> list[tuple[str, str]]:
    parts = rule.doc.split("\n## ")[1:]
    return [(p.partition("\n")[0].strip(), p.partition("\n")[2].strip()) for p in parts]


def _data(made: Sequence[Chapter]) -> str:
    """Pack the chapters: JSON by column compresses better than by row, and gzip undoes the rest."""
    document = {
        c.id: {
            "kinds": [k.kind for k in c.columns],
            "bar": c.bar,
            "columns": [list(column) for column in zip(*c.rows, strict=True)],
        }
        for c in made
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    packed = gzip.compress(text.encode("utf-8", "replace"), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode()
