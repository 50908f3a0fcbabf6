"""Every format: its schema, its escaping, its width, and no secret when redacted."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest

from pgwatch_wed.analyse import analyse, analyse_redacted
from pgwatch_wed.config import parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.findings import Object, Report, RuleVerdict, Verdict
from pgwatch_wed.render import numbers
from pgwatch_wed.render import rendering as render
from pgwatch_wed.rules import Rule, all_rules, rule
from pgwatch_wed.target.collect import collect
from tests import formats
from tests.psql import psql
from tests.reports import HOSTILE, finding, large, report
from tools import example

SCHEMA = json.loads(
    (Path(__file__).parent.parent / "docs" / "report.schema.json").read_text(encoding="utf-8")
)
HOSTILE_FINDING = finding(
    1,
    object=Object("table", HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    title=HOSTILE,
    detail=HOSTILE,
    evidence={"query": HOSTILE, HOSTILE: HOSTILE, "nan": float("nan")},
    caveats=(HOSTILE,),
)


def test_json_follows_the_schema_whatever_the_names() -> None:
    document = json.loads(render.document("json", report((finding(), HOSTILE_FINDING)), ()))
    jsonschema.validate(document, SCHEMA)
    assert document["findings"][1]["title"] == HOSTILE
    assert document["findings"][1]["evidence"]["nan"] is None


def test_html_escapes_everything_that_users_made() -> None:
    page = render.document("html", report((HOSTILE_FINDING,)), ()).decode()
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "alert(1)</script>" not in page


def test_html_names_no_other_place() -> None:
    page = render.document("html", report((finding(),)), ()).decode()
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "default-src &#39;none&#39;" in page


def test_a_report_of_ten_thousand_tables_stays_below_five_megabytes() -> None:
    snapshot = large()
    findings = tuple(finding(n) for n in range(2000))
    page = render.document("html", report(findings, (snapshot,)), (snapshot,))
    assert len(page) < 5_000_000
    assert b"1,000 further findings" in page


def hostile_report() -> Report:
    """A report in which everything that users can name has a hostile name."""
    verdicts = (
        RuleVerdict("index-duplicate", "index", Verdict.FINDING),
        RuleVerdict("index-unused", "index", Verdict.UNKNOWN, HOSTILE, HOSTILE),
    )
    return replace(report((finding(1), HOSTILE_FINDING)), verdicts=verdicts)


@pytest.mark.parametrize("name", formats.ALL_TEXT)
def test_no_format_sends_a_control_character(name: str) -> None:
    assert not formats.FORBIDDEN.findall(formats.document(name, hostile_report()))


@pytest.mark.parametrize("name", formats.ALL_TEXT)
def test_every_format_gives_names_back_to_its_reader_as_they_are(name: str) -> None:
    """What is not escaped breaks the document; what is escaped twice comes back as something else."""
    said = list(formats.strings(name, formats.document(name, hostile_report())))
    plain = "img src=x onerror=alert(2)>"
    assert any(plain in each for each in said)
    assert not any("&lt;img" in each for each in said)
    if render.FORMATS[name].suffix in formats.SPREADSHEETS:
        assert not [cell for cell in said if formats.FORMULA.match(cell)]


def test_the_documentation_lists_the_formats() -> None:
    page = (Path(__file__).parent.parent / "docs" / "report.md").read_text(encoding="utf-8")
    rows = [f"| `{f.name}` | {f.purpose} |" for f in render.FORMATS.values()]
    assert re.findall(r"^\| `\w+` \| .*\|$", page, re.MULTILINE) == rows


def test_formats_differ_by_suffix() -> None:
    suffixes = [f.suffix for f in render.FILES]
    assert len(set(suffixes)) == len(suffixes)
    assert all(name == f.name for name, f in render.FORMATS.items())


@pytest.mark.parametrize("width", [80, 100, 132])
def test_the_terminal_report_fits_its_width(width: int) -> None:
    unknown = RuleVerdict("index-unused", "index", Verdict.UNKNOWN, "young " * 30, "GRANT x;")
    full = replace(report(tuple(finding(n) for n in range(15))), verdicts=(unknown,))
    lines = render.text(full, width=width, target="service").splitlines()
    assert max(len(line) for line in lines) <= width


def test_the_terminal_report_sends_no_control_character() -> None:
    said = render.text(report((HOSTILE_FINDING,)), colour=False)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said)


def test_colour_is_only_there_where_it_is_wanted() -> None:
    assert "\x1b[" in render.text(report((finding(),)), colour=True)
    assert "\x1b[" not in render.text(report((finding(),)), colour=False)


def test_junit_has_a_case_a_rule() -> None:
    verdicts = (
        RuleVerdict("index-duplicate", "index", Verdict.FINDING),
        RuleVerdict("index-unused", "index", Verdict.UNKNOWN, "too \x00 young"),
        RuleVerdict("index-invalid", "index", Verdict.CLEAR),
    )
    warning = finding(1, title=HOSTILE)
    suite = ET.fromstring(
        render.document("junit", replace(report((warning,)), verdicts=verdicts), ())
    )
    cases = suite.findall(".//testcase")
    assert [c.get("name") for c in cases] == [v.rule for v in verdicts]
    assert [c.find("failure") is not None for c in cases] == [True, False, False]
    assert [c.find("skipped") is not None for c in cases] == [False, True, False]


def test_sarif_has_what_github_demands() -> None:
    log = json.loads(render.document("sarif", report((finding(1), HOSTILE_FINDING)), ()))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [r["id"] for r in run["tool"]["driver"]["rules"]]
    for result in run["results"]:
        assert result["ruleId"] == rules[result["ruleIndex"]]
        assert result["level"] in ("error", "warning", "note")
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert re.fullmatch(r"[\w/.%~-]+", place["artifactLocation"]["uri"])
        assert place["region"]["startLine"] == 1
        assert result["partialFingerprints"]


def test_markdown_leaves_nothing_to_interpret() -> None:
    text = render.document("markdown", report((HOSTILE_FINDING,)), ()).decode()
    outside = re.sub(r"(?s)```+.*?```+|`+[^`]*`+", "", text)
    assert not re.search(r"(?<!\\)<(?:script|img)", outside)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("size_bytes", 1536, "1.5 kB"),
        ("mean_exec_ms", 90_000, "1.5 min"),
        ("dead_share", 0.071, "7.1%"),
        ("rows", 1_234_567, "1,234,567"),
        ("query_ids", [123456789], "123456789"),
        ("is_ready", False, "no"),
        ("last_scan", None, "unknown"),
    ],
)
def test_numbers_are_printed_by_their_unit(name: str, value: object, said: str) -> None:
    assert numbers.measured(name, value) == said


SECRETS = """
create extension if not exists pg_stat_statements;
create table planted_table_secret (planted_column_secret int primary key, b text);
insert into planted_table_secret select g, 'planted literal' from generate_series(1, 20000) g;
create index planted_index_secret on planted_table_secret (b);
create index planted_copy_secret on planted_table_secret (b);
create index planted_partial on planted_table_secret (b) where b = 'planted literal';
select count(*) from planted_table_secret where b = 'planted literal' and planted_column_secret > 4711471;
analyze;
"""


@pytest.mark.parametrize("name", formats.TEXTUAL)
def test_redacted_reports_hold_no_name_and_no_literal(name: str) -> None:
    with embedded.start() as server:
        psql(
            server.dsn(),
            "create database planted_database_secret; create role planted_role_secret superuser login;",
        )
        dsn = server.dsn("planted_database_secret", user="planted_role_secret")
        psql(dsn, SECRETS)
        snapshot = collect(dsn)
    full = analyse([snapshot], parse({"window": 0}, "test"))
    assert any("planted" in f.title for f in full.findings)
    clean, snapshots = analyse_redacted([snapshot], parse({"window": 0}, "test"))
    document = render.document(name, clean, snapshots).decode()
    page = document + render.text(clean, verbose=True)
    assert "planted" not in page
    assert "4711471" not in page


def test_literals_are_out_even_without_redaction(db: str) -> None:
    psql(db, SECRETS)
    snapshot = collect(db)
    full = analyse([snapshot], parse({"window": 0}, "test"))
    for name in formats.TEXTUAL:
        assert b"4711471" not in render.document(name, full, (snapshot,))


def test_the_committed_example_is_fresh() -> None:
    committed = (example.folder() / "report.md").read_bytes()
    assert example.document() == committed, "run `make docs`"


def test_a_rule_that_finds_nothing_in_the_example_leaves_it_as_it_is() -> None:
    silent = ModuleType("silent", "A rule that finds nothing.")
    vars(silent).update(NEEDS=("tables",), Limits=rule("schema-int-overflow").limits)
    vars(silent).update(check=lambda _snapshot, _limits: iter(()))
    more = (*all_rules(), Rule("index-silent", "index", silent))
    assert example.document(rules=more) == example.document()
