"""PDF: the HTML report printed by a headless Chromium on this machine."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.render import html
from pgwatch_wed.scratch import scratch_folder

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SECONDS = 120


def check() -> str:
    """Return the browser; raise :class:`Error` if none is found, before the work for a report."""
    browser = next((b for name in _BROWSERS if (b := shutil.which(name))), None)
    if browser is None:
        raise Error("Chromium, which prints the PDF, is not installed", "apt-get install chromium")
    return browser


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> bytes:
    """Return the PDF; raise :class:`Error` if no browser is found or if it fails."""
    browser = check()
    with scratch_folder("pdf") as folder:
        page, target = folder / "report.html", folder / "report.pdf"
        page.write_text(html.render(report, snapshots), encoding="utf-8")
        _print(browser, page, target, folder / "profile")
        return target.read_bytes()


def _print(browser: str, page: Path, target: Path, profile: Path) -> None:
    options = [
        *("--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={profile}", "--virtual-time-budget=5000", f"--print-to-pdf={target}"),
    ]
    if os.geteuid() == 0:
        options.append(
            "--no-sandbox"
        )  # Chromium refuses to run as root otherwise; the page is our own
    try:
        done = subprocess.run(  # noqa: S603 - a browser found on PATH, arguments are a list
            [browser, *options, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Error(f"{browser} did not print the PDF within {_SECONDS} s") from None
    if done.returncode or not target.exists():
        raise Error(f"{browser} could not print the PDF: {done.stderr.strip()[-300:]}")
