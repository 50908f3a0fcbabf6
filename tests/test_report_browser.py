"""The HTML report in a real browser: it works, it is quiet, it executes nothing of others."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Action, ActionGain, ActionPlan, ActionStage, Finding, Report
from pgwatch_wed.render import rendering as render
from tests.reports import HOSTILE, blank, finding, large, report, server
from tools import example

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "CI needs a Chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    snapshot = large()
    rules = ("index-duplicate", "index-unused")  # many of each: groups
    many = (finding(n, rule=rules[n % 2]) for n in range(60))
    findings = (*many, finding(99, title=HOSTILE, detail=HOSTILE, rule="vacuum-never"))
    page = tmp_path_factory.mktemp("report") / "report.html"
    page.write_bytes(render.document("html", planned(findings, (snapshot,)), (snapshot,)))
    return page


def planned(findings: tuple[Finding, ...], snapshots: tuple[Snapshot, ...]) -> Report:
    """A report whose plan has steps of one action and of many."""
    actions = (
        Action(
            f"Drop index {f.object.label}",
            ActionStage.INDEXES,
            f.object,
            (f.id,),
            f.remedy,
            undo=tuple(r.undo for r in f.remedy),
            gain=ActionGain(bytes=f.impact.bytes),
            risk="a query may become slower",
        )
        for f in findings
    )
    return replace(report(findings, snapshots), plan=ActionPlan(tuple(actions)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example report, of real findings."""
    folder = tmp_path_factory.mktemp("shop")
    example.write(folder, ["html"])
    return folder / "report.html"


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """An open report; any request, dialog or error of the page fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    trouble: list[str] = []
    opened.on("request", lambda r: trouble.append(r.url) if r.url != path.as_uri() else None)
    opened.on("pageerror", lambda e: trouble.append(str(e)))
    opened.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)

    def refuse(dialog: Dialog) -> None:
        trouble.append(dialog.message)
        dialog.dismiss()

    opened.on("dialog", refuse)
    opened.goto(path.as_uri())
    opened.wait_for_selector("html[data-ready]")
    yield opened
    opened.close()
    assert [t for t in trouble if not t.startswith(path.as_uri())] == []


def test_filters_narrow_the_recommendations(page: Page) -> None:
    page.select_option("#severity", "critical")
    page.fill("#q", "index_3")
    shown = page.locator("details.finding:visible")
    assert {s.get_attribute("data-severity") for s in shown.all()} == {"critical"}
    assert 0 < shown.count() < 60
    assert page.text_content("#shown") == f"{shown.count()} of 61"


def test_a_finding_opens_and_its_remedy_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("details.group > summary").first.click()
    first = page.locator("details.finding").first
    first.locator("summary").first.click()
    first.locator("button.copy").first.click()
    first.locator("button.copy", has_text="Copied").wait_for()
    assert first.locator("dl").is_visible()


def test_a_deep_link_opens_its_finding(browser: Browser, path: Path) -> None:
    wanted = finding(42).id
    opened = browser.new_page()
    opened.goto(f"{path.as_uri()}#f-{wanted}")
    opened.wait_for_selector(f"#f-{wanted}[open]")
    opened.close()


def test_tables_sort_search_and_page(page: Page) -> None:
    rows = "table.data[data-chapter=tables] tbody tr"
    assert page.locator(rows).count() == 50
    page.click("table.data[data-chapter=tables] th:nth-child(2) button")
    page.click("table.data[data-chapter=tables] th:nth-child(2) button")
    assert page.text_content(f"{rows}:first-child td:first-child") == "s0.table_0"
    page.fill("input.search[data-chapter=tables]", "table_9999")
    assert page.locator(rows).count() == 1
    page.fill("input.search[data-chapter=tables]", "")
    page.click("span.pager[data-chapter=tables] button:has-text('Next')")
    assert "page 2" in (page.text_content("span.pager[data-chapter=tables]") or "")


def test_it_opens_quickly_with_ten_thousand_tables(page: Page) -> None:
    spent = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert spent < 5_000  # 2 s on an idle machine; this bound only catches a page that freezes


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_the_page_never_scrolls_sideways(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    ratio = page.evaluate(
        """() => {
          const light = (c) => { const [r, g, b] = c.match(/\\d+/g).map((v) => { v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const back = light(getComputedStyle(document.body).backgroundColor);
          const worst = [...document.querySelectorAll('p, h2, summary .rule, .gain')].map((n) => {
            const front = light(getComputedStyle(n).color);
            return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05); });
          return Math.min(...worst); }"""
    )
    assert ratio >= 4.5


def test_print_shows_what_was_closed_and_hides_the_tools(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    # a group of many stays one line
    assert page.locator("details.group[open]").count() == 0
    assert page.locator("section > details.finding:not([open])").count() == 0
    assert not page.locator("form.filter").is_visible()


def test_a_report_of_25_findings_is_at_most_12_pages_of_paper(browser: Browser, shop: Path) -> None:
    opened = browser.new_page(reduced_motion="reduce")
    opened.goto(shop.as_uri())
    opened.wait_for_selector("html[data-ready]")
    assert opened.locator("details.finding").count() >= 25
    paper = opened.pdf(format="A4")
    opened.close()
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) <= 12


@pytest.mark.parametrize("width", [390, 900, 1440])
def test_numbers_of_the_workload_are_seen_and_no_link_is_cut(
    browser: Browser, shop: Path, width: int
) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    opened.goto(shop.as_uri())
    opened.wait_for_selector("html[data-ready]")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    table = "table.data[data-chapter=workload] tbody tr:first-child td:nth-child"
    for column in (2, 3):
        box = opened.locator(f"{table}({column})").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
    if width > 640:
        cut = "n => n.scrollWidth > n.clientWidth"
        assert not opened.locator("nav.chapters").evaluate(cut)
    if width == 1440:
        scrolled = "all => all.filter(s => s.scrollWidth > s.clientWidth).map(s => s.ariaLabel)"
        assert opened.locator(".chapter .scroll").evaluate_all(scrolled) == []
    opened.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_stands_in_the_way_of_a_screen_reader(
    browser: Browser, path: Path, shop: Path, width: int
) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    for each in (path, shop):
        opened.goto(each.as_uri())
        opened.wait_for_selector("html[data-ready]")
        opened.evaluate(
            "document.querySelectorAll('details:not(.plan)').forEach(d => d.open = true)"
        )
        if each == shop:
            plan = opened.locator("details.plan").first
            plan.locator("> summary").click()
            plan.locator(".viewer").get_by_text("Scan").first.wait_for(timeout=10_000)
        violations = Axe().run(opened).response["violations"]
        assert [(v["id"], [n["target"] for n in v["nodes"][:3]]) for v in violations] == []
    opened.close()


def test_integers_are_shown_to_the_last_digit(browser: Browser, tmp_path: Path) -> None:
    exact = 2**63 - 1
    one = blank(Statement, query_id=1, is_toplevel=True, text="select x", calls=exact)
    less = blank(Statement, query_id=2, is_toplevel=True, text="select y", calls=exact - 1)
    snapshot = Snapshot(tool_version="0", server=server(), statements=(less, one))
    page = tmp_path / "report.html"
    page.write_bytes(render.document("html", report((), (snapshot,)), (snapshot,)))
    opened = browser.new_page()
    opened.goto(page.as_uri())
    opened.wait_for_selector("html[data-ready]")
    opened.click("table.data[data-chapter=workload] th:nth-child(3) button")
    cells = "table.data[data-chapter=workload] tbody td:nth-child(3)"
    assert opened.locator(cells).all_text_contents() == [f"{exact:,}", f"{exact - 1:,}"]
    opened.close()


def test_pictures_are_drawn_of_the_tables_below_them(page: Page) -> None:
    for chapter in ("workload", "tables", "indexes"):
        picture = page.locator(f"figure.picture[data-chapter={chapter}]").first
        assert picture.locator("svg").count() == 1
        assert picture.locator(".canvas").get_attribute("aria-label")
        assert page.locator(f"table.data[data-chapter={chapter}]").count() == 1
    dearest = page.text_content("table.data[data-chapter=workload] tbody td:nth-child(2)") or "?"
    drawn = page.text_content("figure.picture[data-chapter=workload] svg")
    assert dearest in (drawn or "")


def test_the_example_shows_plans_before_and_after_and_who_waits_for_whom(
    browser: Browser, tmp_path: Path
) -> None:
    opened = browser.new_page(reduced_motion="reduce")
    trouble: list[str] = []
    opened.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda e: trouble.append(str(e)))
    example.write(tmp_path, ["html"])
    own = (tmp_path / "report.html").as_uri()
    opened.on("request", lambda r: trouble.append(r.url) if not r.url.startswith(own) else None)
    opened.goto(own)
    opened.wait_for_selector("html[data-ready]")
    found = opened.locator("details.finding", has_text="index-missing").first
    opened.evaluate("document.querySelectorAll('details.group').forEach(g => g.open = true)")
    found.locator("> summary").click()
    now, then = (
        found.locator("details.plan", has_text=text).first
        for text in (" now", "with the recommended")
    )
    for plan, node in ((now, "Seq Scan"), (then, "Index")):
        plan.locator("> summary").click()
        plan.locator(".viewer").get_by_text(node).first.wait_for(timeout=10_000)
    assert opened.locator("ul.tree ul.tree li").count() >= 1
    opened.close()
    assert trouble == []


def test_every_control_has_a_name_and_every_heading_its_order(page: Page) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('input, select, button')].filter(
          (n) => !(n.labels && n.labels.length) && !n.textContent.trim() && !n.ariaLabel).length"""
    )
    assert nameless == 0
    assert page.locator("h1").count() == 1
    assert page.get_attribute("html", "lang") == "en"


def test_hostile_names_are_shown_and_not_run(page: Page) -> None:
    page.fill("#q", "onerror")
    assert page.locator("details.finding:visible").count() == 1
    assert page.locator("details.finding img").count() == 0


def test_the_pdf_is_printed_by_the_same_browser() -> None:
    data = render.document("pdf", report((finding(),)), ())
    assert data.startswith(b"%PDF-")
    assert len(data) > 10_000
