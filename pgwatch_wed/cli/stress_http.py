"""db-analyze stress --http: load on an HTTP service."""

import time
from collections.abc import Callable
from typing import Any

import click

from pgwatch_wed.cli.load_delivery import (
    check_folder,
    delivered,
    documents_of,
    interrupted_status,
    print_text,
)
from pgwatch_wed.cli.options import flat
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.report_files import STRESS_REPORT
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.http_load.http_json import render_http
from pgwatch_wed.load.http_load.http_outcome import HttpOrder
from pgwatch_wed.load.http_load.http_profile import check_for_http, http_order
from pgwatch_wed.load.http_load.http_report import HttpReport, http_report
from pgwatch_wed.load.http_load.http_run import http_run
from pgwatch_wed.load.http_load.http_text import http_text
from pgwatch_wed.load.load_model import Answer
from pgwatch_wed.load.load_pages.http_html import http_html
from pgwatch_wed.load.scenarios.profile_file import profile_of

# What is about a database, by its option.
_OF_DATABASES = {
    "scenarios": "--scenario",
    "scripts": "--scripts",
    "clients": "--clients",
    "timeout_s": "--timeout",
    "is_proving": "--prove",
    "copy": "--copy",
    "replay": "--replay",
    "window_s": "--window",
    "baseline": "--baseline",
    "against": "--against",
    "pairs": "--pairs",
    "keep_as": "--save-baseline",
    "even_if": "--even-if",
}
_OF_HTTP = {"host": "--host", "processes": "--processes"}
_FORMATS = ("html", "json", "text")
_DOCUMENTS: dict[str, Callable[[HttpReport], str]] = {"html": http_html, "json": render_http}


def check_no_http(given: dict[str, Any]) -> None:
    """Refuse what is about an HTTP service where none is given."""
    for option in (option for name, option in _OF_HTTP.items() if given[name] is not None):
        raise UsageError(f"{option} is about an HTTP service", "specify it with --http")


def stress_http(target: str | None, given: dict[str, Any], *, has_progress: bool) -> int:
    """Run the load, deliver what came of it, and return the exit status."""
    wrong = [option for name, option in _OF_DATABASES.items() if given.get(name)]
    if target is not None or wrong:
        raise UsageError(f"--http and {wrong[0] if wrong else 'TARGET'} exclude each other")
    if "regression" in flat(given["fail_on"]):
        raise UsageError("--http and --fail-on regression exclude each other")
    if len(given["owned"]) > 1:
        raise UsageError("with --http, --i-own-this-server is given once")
    check_folder(given["folder"], flat(given["formats"]) or _FORMATS)
    profile = profile_of(given["profile"])
    check_for_http(profile)
    order = http_order(
        profile,
        source=given["http"],
        host=given["host"],
        users=given["users"],
        think_s=given["think_s"],
        rate=given["rate"],
        seconds=given["seconds"],
        seed=given["seed"],
        processes=given["processes"] or 1,
    )
    progress = ProgressBar(enabled=has_progress and not given["quiet"])
    try:
        outcome = http_run(order, next(iter(given["owned"]), ""), stop=_showing(progress, order))
    finally:
        progress.clear()
    return _deliver(http_report(outcome, profile.objectives, profile.name), given)


def _showing(progress: ProgressBar, order: HttpOrder) -> Callable[[], str]:
    began, whole = time.monotonic(), order.ramp_s + order.seconds

    def shown() -> str:
        progress("load by Locust", min((time.monotonic() - began) / whole, 1.0))
        return ""

    return shown


def _deliver(report: HttpReport, given: dict[str, Any]) -> int:
    """Write and print the report, and return the exit status; if it cannot be written, it is still printed."""
    formats = flat(given["formats"]) or _FORMATS
    documents = documents_of(report, _DOCUMENTS, formats)

    def printed() -> None:
        if "text" in formats:
            print_text(
                lambda width, colour: http_text(
                    report, width=width, colour=colour, verbose=given["verbose"]
                )
            )
        elif ".json" in documents:
            click.echo(documents[".json"].decode(), nl=False)

    shown = None if given["quiet"] else printed
    failure = delivered(documents, given["folder"], STRESS_REPORT, report.generated_at, shown)
    if failure:
        raise failure
    status = interrupted_status(report.outcome.ended_early)
    return _status(report, flat(given["fail_on"])) if status is None else status


def _status(report: HttpReport, fail_on: tuple[str, ...]) -> int:
    is_met = {
        "slo": report.count(Answer.FAIL) > 0,
        "unknown": report.count(Answer.UNKNOWN) > 0,
    }
    return int(any(is_met.get(each, False) for each in fail_on))
