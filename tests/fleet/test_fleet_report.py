"""db-analyze fleet report: what is printed and written, and the exit status."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from pgwatch_wed import clock
from pgwatch_wed.cli import cli
from pgwatch_wed.facts import Forecast, Snapshot
from pgwatch_wed.fleet.review import review_formats
from pgwatch_wed.fleet.review.reviewing import SiblingsTell, reviewed
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import schema
from tests.fleet.siblings import set_to
from tests.fleet.story import COPY, DAY, MONDAY, Story, as_is, without_index

SCHEMA = Path(__file__).parent.parent.parent / "docs" / "fleet-report.schema.json"


def report(story: Story, *words: str) -> Result:
    url = story.opened.place.value
    given = ["fleet", "report", "--history", url, *words]
    return CliRunner().invoke(cli, given, standalone_mode=False)


@pytest.fixture
def two_runs(story: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    monkeypatch.setattr(clock, "now", lambda: MONDAY + 2 * DAY)
    story.run(MONDAY, {"a": as_is, "b": as_is, "c": without_index(COPY)})
    story.run(MONDAY + DAY, {"a": as_is, "b": VisitEnding.UNREACHABLE, "c": as_is, "d": as_is})
    return story


def test_the_json_keeps_to_its_schema(two_runs: Story) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    printed = report(two_runs, "--format", "json").stdout
    document: dict[str, Any] = json.loads(printed)
    jsonschema.validate(document, schema)
    assert document["summary"]["endings"]["unreachable"] == 1
    assert (document["summary"]["clusters"], document["summary"]["read"]) == (4, 3)
    stale = [
        f
        for issue in document["issues"]
        for cause in issue["causes"]
        for f in cause["findings"]
        if f["cluster"] == "b" and issue["rule"] == "index-duplicate"
    ]
    assert [f["is_current"] for f in stale] == [False]


@pytest.mark.parametrize(
    ("gate", "status"),
    [
        ("critical", 0),
        ("warning", 1),
        ("new:warning", 1),
        ("worse:info", 0),
        ("never", 0),
    ],
)
def test_the_exit_status_is_that_of_the_fleet(two_runs: Story, gate: str, status: int) -> None:
    assert report(two_runs, "--format", "text", "-q", "--fail-on", gate).return_value == status


def test_damaged_traits_of_one_cluster_do_not_cost_the_others_their_review(
    two_runs: Story,
) -> None:
    whole = json.loads(report(two_runs, "--format", "json").stdout)
    with two_runs.opened.writing() as connection:
        address = connection.execute(
            sa.select(schema.fleet_visits.c.traits)
            .where(schema.fleet_visits.c.traits.is_not(None))
            .order_by(schema.fleet_visits.c.fleet_run_id.desc())
            .limit(1)
        ).scalar_one()
        mine = schema.blobs.c.hash == address
        connection.execute(schema.blobs.update().where(mine).values(data=b"0"))
    done = report(two_runs, "--format", "json")
    assert done.exception is None
    assert json.loads(done.stdout).keys() == whole.keys()


def test_the_text_fits_80_columns(two_runs: Story) -> None:
    printed = report(two_runs, "--format", "text").stdout
    assert max(map(len, printed.splitlines())) <= 80
    assert "What to do where" in printed
    assert "unreachable: no answer within 10 s" in printed


def test_names_cannot_write_to_the_terminal(story: Story) -> None:
    story.run(MONDAY, {"evil\x1b[2J\u202e</script>": VisitEnding.UNREACHABLE, "b\nc": as_is})
    printed = report(story, "--format", "text", "-v").stdout
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "evil\\x1b[2J\\u202e" in printed


def test_without_a_fleet_run_one_line_says_so(story: Story) -> None:
    done = report(story)
    assert "there is no fleet run in the history" in str(done.exception)


HOSTILE = "../../x\x1b]0;y\x07</script><script>alert(1)</script>\n'\"&"


class Links(HTMLParser):
    """The links of a page, its ids, and its scripts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.ids: set[str] = set()
        self.scripts = 0
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.scripts += tag == "script"
        self.ids |= {found["id"] or ""} if "id" in found else set()
        self.hrefs += [found["href"] or ""] if tag == "a" else []


def pages(story: Story, folder: Path) -> Path:
    done = report(story, "--format", "html", "-o", str(folder), "-q")
    assert done.exception is None, done.exception
    (page,) = folder.glob("fleet-report-*.html")
    return page


def test_each_name_leads_to_the_clusters_own_report(two_runs: Story, tmp_path: Path) -> None:
    silent = {"b": VisitEnding.UNREACHABLE, "never": VisitEnding.REFUSED, "waits": None}
    two_runs.run(MONDAY + 2 * DAY, {"a": as_is, **silent})
    page = pages(two_runs, tmp_path)
    links = Links(page)
    assert {p.name for p in (tmp_path / "clusters").iterdir()} == {
        *("a.html", "b.html", "never.html", "waits.html", "c.html", "d.html")
    }
    for href in links.hrefs:
        name, _, fragment = href.partition("#")
        target = tmp_path / unquote(name) if name else page
        assert target.exists(), href
        assert not fragment or fragment in Links(target).ids, href
    own = (tmp_path / "clusters" / "b.html").read_text(encoding="utf-8")
    assert "Not read in the last run: unreachable" in own
    never = (tmp_path / "clusters" / "never.html").read_text(encoding="utf-8")
    assert "never read, so nothing is known of it" in never
    assert "DROP INDEX CONCURRENTLY public.orders_copy;" in own


def test_who_left_the_fleet_has_a_page_and_counts_nowhere(two_runs: Story, tmp_path: Path) -> None:
    two_runs.run(MONDAY + 2 * DAY, {"a": as_is, "b": as_is})
    page = pages(two_runs, tmp_path)
    assert {"clusters/c.html", "clusters/d.html"} <= set(Links(page).hrefs)
    own = (tmp_path / "clusters" / "c.html").read_text(encoding="utf-8")
    assert "The inventory no longer names it" in own
    assert "orders_copy" in own
    assert "no longer names" not in (tmp_path / "clusters" / "a.html").read_text(encoding="utf-8")
    found = json.loads(report(two_runs, "--format", "json").stdout)
    assert (found["left"], [c["name"] for c in found["clusters"]]) == (["c", "d"], ["a", "b"])
    members = {f["cluster"] for i in found["issues"] for c in i["causes"] for f in c["findings"]}
    assert members == {"a", "b"}


def test_a_name_is_neither_markup_nor_a_path(story: Story, tmp_path: Path) -> None:
    story.tags = {HOSTILE: HOSTILE}
    story.groups = {HOSTILE: HOSTILE}
    story.run(MONDAY, {HOSTILE: as_is, "b": as_is, "CON": as_is})
    page = pages(story, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".sqlite3"] == ["out"]
    files = [page, *(tmp_path / "out" / "clusters").iterdir()]
    assert len(files) == 4
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f]", text)
        assert Links(file).scripts == (file == page)
        assert all(
            re.fullmatch(r"[\w.%-]+", href.partition("#")[0].removeprefix("clusters/"))
            for href in Links(file).hrefs
            if not href.startswith("#")
        )
        assert not re.search(r"(src|href)=.?https?:", text)


def test_junit_has_a_suite_a_cluster_and_no_pass_for_who_was_not_read(two_runs: Story) -> None:
    root = ET.fromstring(report(two_runs, "--format", "junit").stdout)
    suites = {s.get("name"): s for s in root}
    assert list(suites) == ["a", "b", "c", "d"]
    error = suites["b"].find("testcase[@name='visit']/error")
    assert error is not None
    assert error.get("type") == "unreachable"
    cases = {c.get("name"): c for c in suites["b"]}
    assert cases["index-duplicate"].find("system-out") is not None
    assert all(len(c) for c in cases.values()), "of a cluster that was not read, nothing passes"
    assert suites["a"].get("errors") == "0"


def test_a_redacted_report_has_no_names(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", lambda: MONDAY + 2 * DAY)
    members = ("secret-a", "secret-b", "secret-c", "secret-d")
    story.groups, story.tags = dict.fromkeys(members, "secret-group"), {"secret-tag": "secret-bob"}
    when = MONDAY + 40 * DAY
    full = Forecast(
        *("table", 1, "bytes", 60.0, 97.0, 40, 0.1, 0.2, 0.3, when, when, when),
        schema="secret_schema",
        table="orders",
        begins=MONDAY - 40 * DAY,
        as_of=MONDAY,
        note="secret note",
    )

    def odd(snapshot: Snapshot) -> Snapshot:
        changed = set_to(without_index(COPY)(snapshot), "search_path", "secret_schema")
        return replace(changed, forecasts=(full,))

    story.run(MONDAY, dict.fromkeys(members, as_is))
    details: dict[str, Any] = {
        "secret-a": {"lacking": {"secret-db": "secret-host does not answer"}},
        "secret-e": {"reason": "secret-host"},
        "secret-f": {"same_as": "secret-a", "reason": "the same server as secret-a"},
    }
    story.run(
        MONDAY + DAY,
        {**dict.fromkeys(members[:3], as_is), "secret-d": odd}
        | {"secret-e": VisitEnding.REFUSED, "secret-f": VisitEnding.SKIPPED},
        **details,
    )
    story.run(MONDAY + DAY * 3 / 2, {**dict.fromkeys(members[:3], as_is), "secret-d": odd})
    secrets = re.compile(r"secret|\borders|\bcustomer|10\.0\.0\.")
    for run in ("2", "3"):
        folder = tmp_path / run
        given = ("--run", run, "-v")
        plain = report(story, *given, "--format", "text").output
        assert {m[0] for m in secrets.finditer(plain)} >= {"secret", "orders"}
        everything = ("--format", "html,json,junit,metrics,text", "-o", str(folder))
        done = report(story, *given, *everything, "--redact")
        assert done.exception is None, done.exception
        said = {"printed": done.stdout.replace(str(tmp_path), "")}
        newest = {p.suffix: p for p in folder.glob("fleet-report*")}
        written = [*newest.values(), *(folder / "clusters").glob("cluster_*.html")]
        said |= {p.name: p.read_text(encoding="utf-8") for p in written}
        assert len(said) == 5 + 5
        for name, text in said.items():
            found = secrets.search(text)
            assert found is None, (name, text[found.start() - 80 : found.end() + 80])
        assert "cluster_1" in said["printed"]
        assert "table_1" in said["printed"]
        jsonschema.validate(
            json.loads(said[newest[".json"].name]), json.loads(SCHEMA.read_text(encoding="utf-8"))
        )
    kept = report(story, "--format", "text", "-v", "--redact", "--allow-name", "orders*")
    assert "orders_copy" in kept.stdout
    assert "secret" not in kept.stdout


def test_what_siblings_tell_of_advice_is_the_grade_of_the_clusters_own_report(story: Story) -> None:
    story.run(MONDAY, {"a": as_is, "b": as_is})
    with story.opened.reading() as connection:
        plain = review_formats.whole_review(connection, MONDAY)
        (stored,) = (c.run for c in plain.recollection.clusters if c.visit.member == "a" and c.run)
        worst = next(f for f in plain.review.findings if f.rule == "index-duplicate")
        tells = SiblingsTell("D", 0.1, "applied on 3 of 5 clusters: harmed on 3: c, d, e.")
        review = reviewed(plain.recollection, MONDAY, {(stored.cluster_id, worst.id): tells})
    told = {f.member: f for f in review.findings if f.id == worst.id}
    assert (told["a"].grade, told["a"].own_grade, told["a"].weight) == ("D", worst.grade, 0.1)
    assert (told["b"].grade, told["b"].record) == (worst.grade, "")
    texts = dict(review_formats.pages(story.opened, replace(plain, review=review)))
    said = f"Siblings: {tells.record} Without them, its grade would be {worst.grade}."
    assert said in texts["a.html"]
    assert "Siblings" not in texts["b.html"]
    mine, theirs = (re.findall(r'id="f-(\w+)"', texts[name]) for name in ("a.html", "b.html"))
    assert mine.index(worst.id) > theirs.index(worst.id)
    assert sorted(mine) == sorted(theirs)


def test_metrics_have_no_names_of_clusters(two_runs: Story) -> None:
    text = report(two_runs, "--format", "metrics").stdout
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert samples['pgwatch_wed_fleet_clusters{ending="unreachable"}'] == "1"
    assert samples['pgwatch_wed_fleet_rule_clusters{rule="fleet-silence"}'] == "1"
    assert samples["pgwatch_wed_fleet_oldest_read_seconds"] == str(2 * 86_400)
    labels = set(re.findall(r"(\w+)=", text))
    assert labels <= {"ending", "severity", "rule", "what", "kind", "days", "major"}


def test_nobody_who_writes_waits_for_the_pages(two_runs: Story) -> None:
    with two_runs.opened.reading() as connection:
        whole = review_formats.whole_review(connection, MONDAY + 2 * DAY)
    made = review_formats.pages(two_runs.opened, whole)
    next(made)
    two_runs.run(MONDAY + 2 * DAY, {"a": VisitEnding.UNREACHABLE})
    assert len(list(made)) == 3
