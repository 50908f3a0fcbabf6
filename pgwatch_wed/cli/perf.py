"""db-analyze perf: load, analysis, index advice and proof in one report, and what to fix first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pgwatch_wed import config
from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli.load_delivery import (
    check_folder,
    delivered,
    documents_of,
    interrupted_status,
    print_text,
)
from pgwatch_wed.cli.options import CommaList, FilePath, flat
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.report_files import PERFORMANCE_REPORT
from pgwatch_wed.cli.stress import check_place, telling
from pgwatch_wed.cli.summaries import SummarizedGroup
from pgwatch_wed.findings import Report
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.load.course.chosen_profile import with_seconds
from pgwatch_wed.load.course.stress_job import Owned, StressJob
from pgwatch_wed.load.ground.ground_refusals import EVEN_IF
from pgwatch_wed.load.ground.server_environment import without_chosen_server
from pgwatch_wed.load.ground.target_ground import allowed, named
from pgwatch_wed.load.load_json import render_performance
from pgwatch_wed.load.load_model import Answer
from pgwatch_wed.load.load_pages.load_html import performance_html
from pgwatch_wed.load.load_text import performance_text
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.scenarios.profile_file import MAX_SECONDS, profile_of
from pgwatch_wed.load.stress_report import PerformanceReport
from pgwatch_wed.progress import Progress

_FORMATS = ("html", "json", "text")
_DOCUMENTS = {"html": performance_html, "json": render_performance}
_FOLDER = Path("performance-reports")
_ANALYSIS_S = 300.0
_OPTIONS = (
    click.argument("target", required=False),
    click.option(
        "--seconds",
        type=click.FloatRange(0, MAX_SECONDS, min_open=True),
        metavar="N",
        help="How long the load takes; proof takes longer. [default: 1, 5 or 45 minutes]",
    ),
    click.option(
        "--copy",
        metavar="COPY",
        help="Put the load on this copy of TARGET, where causes are also proven; --i-own-this-server is about it.",
    ),
    click.option(
        "--i-own-this-server",
        "owned",
        metavar="HOST/DBNAME",
        default="",
        help="Confirms the server that gets the load, spelled as it answers; load disturbs everything on it.",
    ),
    click.option(
        "--even-if",
        "even_if",
        multiple=True,
        type=CommaList(EVEN_IF),
        metavar="|".join(EVEN_IF),
        help="Do not refuse a server that others use, or that is replicated (repeatable).",
    ),
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=CommaList(_FORMATS),
        metavar="FORMAT[,FORMAT…]",
        help=f"One or more of {', '.join(_FORMATS)}. [default: {','.join(_FORMATS)}]",
    ),
    click.option(
        "--output",
        "-o",
        "folder",
        type=FilePath(file_okay=False, path_type=Path),
        default=_FOLDER,
        show_default=True,
        help="The directory for report files.",
    ),
    click.option(
        "--fail-on",
        "fail_on",
        multiple=True,
        type=CommaList(("slo", "unknown", "never")),
        metavar="slo,unknown",
        help="Exit with status 1 if an objective failed (slo), or could not be answered (unknown). [default: never]",
    ),
    click.option("--quiet", "-q", is_flag=True, help="Print only errors."),
    click.option("--no-progress", is_flag=True, help="Do not show progress."),
)


def _with_options(command: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(cls=SummarizedGroup)
def perf() -> None:
    """Load, analysis and proof in one report: what to fix first.

    Without TARGET, all of it is done on an embedded server; DATABASE_URL and libpq's environment variables are ignored.
    """


@perf.command()
@_with_options
def quick(**given: Any) -> int:
    """Check in a minute or two, without proof."""
    return _perform("quick", is_proving=False, given=given)


@perf.command()
@click.option("--heavy", is_flag=True, help="Search for the capacity, then soak for half an hour.")
@_with_options
def suite(heavy: bool, **given: Any) -> int:
    """Do everything: load, rules, index advice, and proof.

    The load is that of `ci`; causes are proven by taking them away.
    """
    may_prove = given["target"] is None or given["copy"] is not None
    return _perform("heavy" if heavy else "ci", is_proving=may_prove, given=given)


def _perform(profile_name: str, *, is_proving: bool, given: dict[str, Any]) -> int:
    target, copy = given["target"], given["copy"]
    check_place(target, {**given, "is_proving": is_proving})
    profile = with_seconds(profile_of(profile_name), given["seconds"])
    scenarios = {
        name: known_scenarios.scenario(name, scale=profile.scale, seed=profile.seed)
        for name in profile.scenarios
    }
    check_folder(given["folder"], flat(given["formats"]) or _FORMATS)
    settings = config.load(None)
    progress = ProgressBar(enabled=not given["no_progress"] and not given["quiet"])
    is_writing = any(s.is_writing for s in scenarios.values())
    owned = Owned(
        given["owned"], frozenset(flat(given["even_if"])), is_writing, needs_database=True
    )
    try:
        if target is not None:
            _check_owner(copy or target, owned)
        analysis = None if target is None else _analyzed(target, settings, progress)
        job = StressJob(
            profile=profile,
            scenarios=scenarios,
            settings=settings,
            is_proving=is_proving,
            original=target if copy else None,
            progress=progress,
            tell=telling(progress),
        )
        report = PerformanceReport(stress=job.run(copy or target, owned), analysis=analysis)
    finally:
        progress.clear()
    return _deliver(report, given)


def _check_owner(place: str, owned: Owned) -> None:
    """Refuse before the analysis, which takes minutes, what would be refused after it."""
    with without_chosen_server(keep_harmless=True):
        allowed(
            place,
            owned.name,
            owned.even_if,
            writing=owned.is_writing,
            watched_s=0.0,
            needs_database=owned.needs_database,
        )


def _analyzed(target: str, settings: config.Config, progress: Progress) -> Report:
    """Return what the monthly run says of the target, index advice included; nothing of it is changed."""
    with without_chosen_server(keep_harmless=True):
        snapshots = gather.gathered(named(target), Wanted(budget_s=_ANALYSIS_S), progress).measured
    return analyse(snapshots, settings)


def _deliver(report: PerformanceReport, given: dict[str, Any]) -> int:
    formats = flat(given["formats"]) or _FORMATS
    stress = report.stress

    def printed() -> None:
        if "text" in formats:
            print_text(lambda width, colour: performance_text(report, width=width, colour=colour))

    documents = documents_of(report, _DOCUMENTS, formats)
    shown = None if given["quiet"] else printed
    failure = delivered(documents, given["folder"], PERFORMANCE_REPORT, stress.generated_at, shown)
    if failure := failure or stress.failure:
        raise failure
    status = interrupted_status(stress.ended_early)
    if status is not None:
        return status
    counts = {"slo": stress.count(Answer.FAIL), "unknown": stress.count(Answer.UNKNOWN)}
    return int(any(counts.get(each, 0) for each in flat(given["fail_on"])))
