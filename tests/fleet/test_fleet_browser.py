"""The fleet's pages in a real browser: they fit, they can be read by everybody, and one click opens a cluster's own report."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from playwright.sync_api import Browser, sync_playwright

from pgwatch_wed.cli import cli
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import store
from tests.fleet.siblings import of_version, set_to
from tests.fleet.story import COPY, DAY, MONDAY, Story, as_is, without_index

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
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
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield running
        running.close()


@pytest.fixture(scope="module")
def folder(story_shop: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fleet")
    opened = store.open_store(str(made / "history.sqlite3"))
    story = Story(opened, story_shop)
    names = {f"a-rather-long-name-of-a-cluster-{n}.eu-central-1": as_is for n in range(12)}
    story.run(MONDAY, {**names, "shop": without_index(COPY)})
    changed = lambda s: of_version(set_to(s, "work_mem", "65536"), "17.4")  # noqa: E731
    silent = {"crm": VisitEnding.REFUSED, "a-rather-long-name-of-a-cluster-3.eu-central-1": None}
    why = {"reason": "no pg_hba.conf entry", "mend": f"add a line to {'pg_hba_' * 8}.conf"}
    story.run(MONDAY + DAY, {**names, "shop": as_is, "odd": changed, **silent}, crm=why)
    opened.close()
    words = ["fleet", "report", "--history", str(made / "history.sqlite3"), "--format", "html"]
    done = CliRunner().invoke(cli, [*words, "-q", "-o", str(made)], standalone_mode=False)
    assert done.exception is None, done.exception
    return made


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("kind", ["fleet", "cluster"])
def test_pages_fit_and_are_accessible(
    browser: Browser, folder: Path, width: int, kind: str
) -> None:
    (page_file,) = folder.glob("fleet-report-*.html")
    file = page_file if kind == "fleet" else folder / "clusters" / "shop.html"
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert said == []
    page.close()


def test_why_a_cluster_was_not_read_has_room_on_a_phone(browser: Browser, folder: Path) -> None:
    (page_file,) = folder.glob("fleet-report-*.html")
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(page_file.as_uri())
    cells = page.locator("#coverage tbody tr:first-child td")
    widths = cells.evaluate_all("cells => cells.map(c => c.getBoundingClientRect().width)")
    assert len(widths) == 4
    assert min(widths[1:]) > 140
    page.close()


def test_one_click_opens_the_finding_in_the_clusters_own_report(
    browser: Browser, folder: Path
) -> None:
    (page_file,) = folder.glob("fleet-report-*.html")
    page = browser.new_page()
    page.goto(page_file.as_uri())
    issue = page.locator("#issue-index-duplicate-info .causes")
    issue.get_by_text("which").click()
    issue.locator("details a").first.click()
    page.wait_for_url("**/clusters/*.html#f-*", timeout=5_000)
    assert page.get_by_text("DROP INDEX CONCURRENTLY public.orders_copy;").last.is_visible()
    page.close()


def test_the_table_of_all_clusters_can_be_searched(browser: Browser, folder: Path) -> None:
    (page_file,) = folder.glob("fleet-report-*.html")
    page = browser.new_page()
    page.goto(page_file.as_uri())
    rows = page.locator("#all-clusters tbody tr:visible")
    assert rows.count() == 15
    page.get_by_label("Search").fill("odd")
    assert rows.count() == 1
    page.get_by_label("Search").fill("")
    page.get_by_label("Show").select_option("unread")
    assert rows.count() == 2
    page.close()
