"""The page: what it says of a state, that it changes as the state does, and that anybody can use it."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from pgwatch_wed.findings import Grade, Remedy
from pgwatch_wed.serve import service
from pgwatch_wed.serve.assembly import ServiceSettings
from pgwatch_wed.serve.pages.live_page import SECTIONS, LivePage
from pgwatch_wed.serve.settings import ServeSettings
from pgwatch_wed.serve.state import (
    Alert,
    Board,
    Collected,
    Family,
    Health,
    ProbeResult,
    Reason,
    Sample,
)
from tests.reports import HOSTILE
from tests.serve.states import NOW, board, probe

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
IS_MISSING = CHROMIUM is None and not os.environ.get("CI")


class Cause:
    """A suspect as the causes' room makes it."""

    title = "session 4711, idle in transaction for 40 min, blocks 37 sessions"
    grade = Grade.A
    remedy = (Remedy("SELECT pg_terminate_backend(4711);", "none", True, ""),)


FIRING = Alert(
    "BlockedSessions",
    (("severity", "critical"), ("priority", "P1"), ("target", "shop")),
    (("summary", "37 sessions wait for a lock"), ("description", HOSTILE)),
    "firing",
    37.0,
    NOW - 90,
    fired_at=NOW - 30,
)


def shown(over: Board, *, page: LivePage | None = None) -> str:
    return "".join((page or LivePage()).render(over.state, NOW).sections.values())


def test_an_alert_stands_with_its_cause_and_its_remedy() -> None:
    text = shown(board([probe("database")], alerts=(replace(FIRING, causes=(Cause(),)),)))
    assert "37 sessions wait for a lock" in text
    assert Cause.title in text
    assert "pg_terminate_backend" in text
    assert HOSTILE not in text


def test_the_headline_counts_alerts_but_not_the_one_that_always_fires() -> None:
    always = replace(FIRING, name="Watchdog", labels=(("severity", "none"),))
    assert "Everything that is watched works" in shown(board([probe("database")], alerts=(always,)))
    text = shown(board([probe("database")], alerts=(always, FIRING)))
    assert "Everything essential answers, but 1 critical alert fires" in text


def test_an_alert_whose_cause_is_unknown_says_so() -> None:
    assert "Cause: unknown" in shown(board(alerts=(FIRING,)))


def test_a_component_says_why_and_what_it_affects() -> None:
    down = probe("database", Health.FAIL, reason=Reason.REFUSED, detail="no server", target="shop")
    stale = Collected("shop", None, {"moving": NOW - 100}, {"moving": 15})
    text = shown(board([down], targets={"shop": stale}))
    assert "Something essential fails" in text
    assert "<b>refused</b>: no server" in text
    assert 'affects <a href="#c-facts-shop">' in text
    assert 'because of <a href="#c-database">' in text


def test_an_empty_state_says_what_is_to_be_configured() -> None:
    text = shown(Board())
    for sentence in ("Nothing is watched yet", "[serve.targets.NAME]", "[slo.NAME]"):
        assert sentence in text


def test_charts_draw_rates_and_break_where_a_counter_began_anew() -> None:
    page = LivePage()
    for step, total in enumerate((100.0, 400.0, 5.0, 305.0)):
        name = "pgwatch_wed_transactions_total"
        family = Family(name, "counter", "", (Sample(name, (), total),))
        over = board(families={"metrics": (family,)})
        page.remember(over.state, NOW - 60 + 15 * step)
    assert page._recent.points("transactions") == ((NOW - 45, 20.0), (NOW - 15, 20.0))
    assert "Transactions: 20/s now" in shown(Board(), page=page)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[service.Service, str]]:
    running = service.Service(ServiceSettings(ServeSettings(port=0)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(running.app(), lifespan="off", log_config=None, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        running.publisher.start()
        thread.start()
        yield running, f"http://127.0.0.1:{listening.getsockname()[1]}/"
        running.watching.end()
        server.should_exit = True
        thread.join(10)
        running.publisher.stop()


def put(running: service.Service, *probes: ProbeResult, alerts: tuple[Alert, ...] = ()) -> None:
    at = service.now()
    fresh = {p.name: replace(p, at=at, since=at - 60, interval_s=60) for p in probes}
    running.board.change(lambda s: replace(s, probes=fresh, alerts=alerts))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "CI needs a Chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page; any error in it, and any violation of its policy, fails the test."""
    opened = browser.new_page(viewport={"width": 360, "height": 800})
    trouble: list[str] = []
    opened.on("pageerror", lambda e: trouble.append(str(e)))
    opened.on("console", lambda m: trouble.append(m.text) if "policy" in m.text.lower() else None)
    yield opened
    opened.close()
    assert trouble == []


@pytest.mark.browser
@pytest.mark.skipif(IS_MISSING, reason="no Chromium on this machine")
def test_it_lives_fits_a_phone_and_reads_well_to_a_screen_reader(
    served: tuple[service.Service, str], page: Page, tmp_path: Path
) -> None:
    running, url = served
    down = probe("database", Health.FAIL, reason=Reason.TIMEOUT, detail="no answer for 5 s")
    put(running, probe("database"))
    page.goto(url)
    page.wait_for_selector("text=Everything that is watched works")
    page.wait_for_function("document.getElementById('live').textContent === 'Live.'")
    put(running, down, alerts=(replace(FIRING, causes=(Cause(),)),))
    page.wait_for_selector("text=Something essential fails")
    page.wait_for_selector("text=37 sessions wait for a lock")
    assert page.title().startswith("fail")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    violations = Axe().run(page).response["violations"]
    assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []
    page.screenshot(path=str(tmp_path / "page.png"), full_page=True)
    running.watching.end()


@pytest.mark.browser
@pytest.mark.skipif(IS_MISSING, reason="no Chromium on this machine")
def test_it_says_the_same_without_script(
    served: tuple[service.Service, str], browser: Browser
) -> None:
    running, url = served
    put(running, probe("database", Health.FAIL, detail="no answer for 5 s"))
    with browser.new_context(java_script_enabled=False) as context:
        plain = context.new_page()
        plain.goto(url)
        assert "no answer for 5 s" in (plain.text_content("#components") or "")
        assert "reloads every 15 seconds" in (plain.text_content("#live") or "")
        assert [plain.text_content(f"#{name}") for name in SECTIONS].count("") == 0
