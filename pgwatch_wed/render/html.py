"""One self-contained HTML file: no network requests, and all user data is escaped.

Findings are HTML, so that the file can be read without scripts, printed and searched. The chapters'
tables are compressed data that the page's own script unpacks, sorts, searches and pages.
"""

import base64
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import jinja2
import sqlparse
from markupsafe import Markup

from pgwatch_wed import assets, units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report, Severity, Verdict
from pgwatch_wed.render import heading, numbers, standing
from pgwatch_wed.render.chapters import Chapter, chapters
from pgwatch_wed.render.characters import visible
from pgwatch_wed.render.finding_groups import by_table, entries
from pgwatch_wed.render.ignores import ignored_sentences
from pgwatch_wed.render.impact_words import GRADES, coverage_sentence, effects, gain, summed
from pgwatch_wed.render.load_bar import FIRST, load_bar
from pgwatch_wed.render.plan_words import (
    closed_by,
    first_places,
    group_sql,
    places,
    plan_lines,
    plan_sentence,
    shown_findings,
)
from pgwatch_wed.rules import Rule, all_rules
from pgwatch_wed.target import queries

MAX_FINDINGS = 1000
MAX_PLANS = 200
_MAX_PLANS_A_FINDING = 5
_TOP = 5
_MOST_TABLES = 200
_MAX_SAFE_INTEGER = 2**53 - 1
_ONE_LINE = 80
_FORMAT_UP_TO = 2000  # sqlparse is slow on long texts


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> str:
    """Return the page."""
    css, js = _source("templates", "report.css"), _source("templates", "report.js")
    found = _plans(report.findings[:MAX_FINDINGS], snapshots)
    # about 0.6 MB and 0.9 MB: each is included only if it has something to show
    vendored = [_source("vendor", "charts.js")] if snapshots else []
    vendored += [_source("vendor", "plans.js")] if found else []
    template = environment().get_template("report.html.j2")
    shown = report.findings[:MAX_FINDINGS]
    made = chapters(snapshots) if snapshots else ()
    lines, known = plan_lines(report), shown_findings(report)
    return template.render(
        report=report,
        findings=shown,
        left_out=len(report.findings) - len(shown),
        entries=entries(shown),
        tables=[(name, of, summed(of)) for name, of in by_table(shown).items()],
        most_tables=_MOST_TABLES,
        group_sql=lambda group: group_sql(report, group),
        lines=lines,
        first=first_places(report, lines, FIRST),
        closed=lambda line: closed_by(report, line, known),
        places=defaultdict(int, places(lines)),
        unplanned=defaultdict(str, {n.id: n.reason for n in report.plan.not_planned}),
        plan_sentence=plan_sentence(report),
        ignored=list(ignored_sentences(report, None)),
        bar=load_bar(report, snapshots, lines),
        calls=defaultdict(str, effects(shown, snapshots)),
        grades=GRADES,
        top=_top(report),
        severities=[(s, report.count(s)) for s in Severity],
        areas=sorted({f.area for f in shown}),
        clear=sum(v.verdict is Verdict.CLEAR for v in report.verdicts),
        coverage=coverage_sentence(report),
        compared=standing.sentence(report),
        mark=lambda finding: standing.mark(report, finding),
        marks=lambda findings: standing.marks(report, findings),
        was=lambda finding: standing.was(report, finding),
        heading=heading,
        chapters=made,
        data=Markup(_data(made, found)),  # noqa: S704 - base64 of our own making
        plans=lambda finding: _plans_of(finding, found),
        vendored=[Markup(text) for text in vendored],  # noqa: S704 - our own files
        rules=_rules(report),
        facts=_facts(report, snapshots),
        css=Markup(css),  # noqa: S704 - our own file
        js=Markup(js),  # noqa: S704 - our own file
        policy=policy(css, *vendored, js),
    )


def _finalized(value: Any) -> Any:
    return visible(value) if type(value) is str else value


@cache
def environment() -> jinja2.Environment:
    """Return what renders templates: everything is escaped, and nothing may be undefined."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets.asset("reports") / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters |= {
        "label": numbers.label,
        "gain": gain,
        "sql": pretty,
        "days": lambda seconds: units.duration(seconds * 1000),
        "size": units.size,
        "count": units.count,
        "share": units.share,
    }
    environment.globals["evidence"] = evidence
    return environment


def policy(css: str, *scripts: str) -> str:
    """Allow exactly these texts as style and scripts, and nothing from the network."""
    allowed = " ".join(f"'{_hash(script)}'" for script in scripts) or "'none'"
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src '{_hash(css)}'; script-src {allowed}"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _source(*path: str) -> str:
    # browsers hash the element's text, which is exactly what is between the tags
    return assets.text("reports", *path)


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """A statement's plan as EXPLAIN's JSON: ``now``, and ``then`` with the recommended indexes."""

    query: str
    now: str
    then: str


def _plans(
    findings: Sequence[Finding], snapshots: Sequence[Snapshot]
) -> dict[tuple[str, int], ShownPlan]:
    """Return the plans of the statements that findings name, by database and query id."""
    named = {q for f in findings for q in f.evidence.get("query_ids", ())}
    found: dict[tuple[str, int], ShownPlan] = {}
    for s in snapshots:
        texts = {st.query_id: st.text or "" for st in s.statements}
        after = {
            query: tree
            for index in s.missing_indexes
            for query, tree in zip(index.query_ids, index.trees, strict=False)
        }
        for plan in s.statement_plans:
            if plan.tree and plan.query_id in named and len(found) < MAX_PLANS:
                query = texts.get(plan.query_id, "")[:_FORMAT_UP_TO]
                shown = ShownPlan(pretty(query), plan.tree, after.get(plan.query_id, ""))
                found[s.server.database, plan.query_id] = shown
    return found


def _plans_of(
    finding: Finding, found: Mapping[tuple[str, int], ShownPlan]
) -> list[tuple[str, str, str]]:
    """Return (key, query id, when) of the plans to show with a finding."""
    shown: list[tuple[str, str, str]] = []
    for query in finding.evidence.get("query_ids", ())[:_MAX_PLANS_A_FINDING]:
        for (database, query_id), plan in found.items():
            if query_id == query and finding.object.database in (None, database):
                key = _plan_key(database, query_id)
                shown.append((f"{key}/now", str(query_id), "as it is now"))
                if plan.then and finding.rule == "index-missing":
                    shown.append((f"{key}/then", str(query_id), "with the recommended indexes"))
    return shown


def _plan_key(database: str, query_id: int) -> str:
    return f"{database}/{query_id}"


def _top(report: Report) -> tuple[Finding, ...]:
    """Return what comes first and can be acted upon."""
    return tuple(f for f in report.findings if f.remedy)[:_TOP]


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
    """Format SQL on several lines; short and long texts are left as they are."""
    if not _ONE_LINE < len(sql) <= _FORMAT_UP_TO or "\n" in sql.strip():
        return sql
    try:
        return str(sqlparse.format(sql, reindent=True))
    except (sqlparse.exceptions.SQLParseError, RecursionError, ValueError):
        return sql


def _found(report: Report) -> list[Rule]:
    found = {f.rule for f in report.findings}
    return [r for r in all_rules() if r.id in found]


def _rules(report: Report) -> list[tuple[str, str, list[tuple[str, str]], list[str]]]:
    """Return (id, summary, [(heading, text)], facts with a query) of the rules with findings."""
    read = set(queries.facts())
    return [
        (r.id, r.summary, _sections(r), [n for n in r.needs if n in read]) for r in _found(report)
    ]


def _facts(report: Report, snapshots: Sequence[Snapshot]) -> list[tuple[str, str]]:
    """Return (fact, query) for each fact that a finding is based on, as sent to this server."""
    if not snapshots:
        return []
    first = snapshots[0]
    versions = {e.name: e.installed_version for e in first.extensions if e.installed_version}
    names = sorted({n for r in _found(report) for n in r.needs} & set(queries.facts()))
    return [(name, sql) for name in names if (sql := _asked(name, first.server.major, versions))]


def _asked(fact: str, server_major: int, versions: Mapping[str, str]) -> str:
    chosen = (queries.choose(n, server_major, versions) for n in queries.behind(fact))
    return "\n".join(query.sql for query in chosen if query is not None)


def _sections(rule: Rule) -> list[tuple[str, str]]:
    parts = rule.doc.split("\n## ")[1:]
    return [(p.partition("\n")[0].strip(), p.partition("\n")[2].strip()) for p in parts]


def _exact(value: Any) -> Any:
    """Return an integer that JavaScript would round as text, which the page turns into a BigInt."""
    return str(value) if type(value) is int and abs(value) > _MAX_SAFE_INTEGER else value


def _data(made: Sequence[Chapter], plans: Mapping[tuple[str, int], ShownPlan]) -> str:
    """Pack the chapters: JSON by column compresses better than by row, and gzip does the rest."""
    tables = {
        c.id: {
            "kinds": [k.kind for k in c.columns],
            "titles": [k.title for k in c.columns],
            "pictures": [asdict(p) for p in c.pictures],
            "columns": [list(map(_exact, column)) for column in zip(*c.rows, strict=True)],
        }
        for c in made
    }
    trees = {
        f"{_plan_key(*key)}/{when}": {"query": plan.query, "plan": tree}
        for key, plan in plans.items()
        for when, tree in (("now", plan.now), ("then", plan.then))
        if tree
    }
    document = {"chapters": tables, "plans": trees}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    packed = gzip.compress(text.encode("utf-8", "replace"), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode()
