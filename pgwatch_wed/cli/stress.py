"""db-analyze stress: load in blocks, and what it shows."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from pgwatch_wed import config
from pgwatch_wed.cli import report_files
from pgwatch_wed.cli.delivery import colour_wanted
from pgwatch_wed.cli.options import CommaList, flat
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.errors import Error
from pgwatch_wed.load.course.chosen_profile import with_rate, with_scenarios, with_seconds
from pgwatch_wed.load.course.phase_course import INTERRUPTED
from pgwatch_wed.load.course.stress_course import StressCourse
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.load_json import render_stress
from pgwatch_wed.load.load_model import Answer, Ground
from pgwatch_wed.load.load_text import stress_text
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.scenarios.load_profiles import PROFILES, LoadProfile
from pgwatch_wed.load.scenarios.profile_file import MAX_CLIENTS, MAX_RATE, MAX_SECONDS, profile_of
from pgwatch_wed.load.stress_report import StressReport

_FORMATS = ("json", "text")
_FAIL_ON = ("slo", "unknown", "never")
_FOLDER = Path("stress-test-results")
_INTERRUPTED_STATUS = 130


@dataclass(frozen=True, slots=True)
class StressOutput:
    """Where a report goes, in which formats, and what makes the command fail."""

    formats: tuple[str, ...]
    folder: Path
    fail_on: tuple[str, ...]
    quiet: bool
    verbose: bool


@click.command()
@click.option(
    "--profile",
    default="quick",
    show_default=True,
    metavar=f"{'|'.join(PROFILES)}|FILE",
    help="How long and how hard: about 1, 5 or 45 minutes, or a TOML file (see docs/load.md).",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=CommaList(known_scenarios.names()),
    metavar="NAME[,NAME…]",
    help=f"What to run instead of the profile's: {', '.join(known_scenarios.names())}.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, MAX_RATE, min_open=True),
    metavar="R",
    help="Transactions due each second. [default: 70% of the capacity, which is measured first]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, MAX_SECONDS, min_open=True),
    metavar="N",
    help="How long all blocks take together. [default: the profile's]",
)
@click.option(
    "--clients",
    type=click.IntRange(1, MAX_CLIENTS),
    metavar="N",
    help="The number of clients. [default: the scenario's]",
)
@click.option(
    "--seed",
    type=click.IntRange(1, 10**9),
    metavar="N",
    help="The seed of data and load. [default: the profile's]",
)
@click.option(
    "--fail-on",
    "fail_on",
    multiple=True,
    type=CommaList(_FAIL_ON),
    metavar="slo,unknown",
    help="Exit with status 1 if an objective failed (slo), or could not be answered (unknown). [default: never]",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=CommaList(_FORMATS),
    metavar="FORMAT[,FORMAT…]",
    help=f"One or more of {', '.join(_FORMATS)}. [default: {','.join(_FORMATS)}]",
)
@click.option(
    "--output",
    "-o",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=_FOLDER,
    show_default=True,
    help="The directory for report files.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only errors.")
@click.option("--verbose", "-v", is_flag=True, help="Print everything in full.")
@click.option("--no-progress", is_flag=True, help="Do not show progress.")
def stress(no_progress: bool, **given: Any) -> int:
    """Put a server under load, and say what it can do, why not more, and whether to believe it.

    The server is an embedded one that is removed afterwards; DATABASE_URL and libpq's environment variables are ignored.
    """
    profile = _profile(given)
    output = StressOutput(
        formats=flat(given["formats"]) or _FORMATS,
        folder=given["folder"],
        fail_on=flat(given["fail_on"]),
        quiet=given["quiet"],
        verbose=given["verbose"],
    )
    scenarios = {
        name: known_scenarios.scenario(name, scale=profile.scale, seed=profile.seed)
        for name in profile.scenarios
    }
    settings = config.load(None)
    progress = ProgressBar(enabled=not no_progress and not output.quiet)
    try:
        progress("starting PostgreSQL", 0.01)
        with _ground() as ground:
            course = StressCourse(ground, profile, scenarios, runner(ground), settings, progress)
            report = course.run()
    finally:
        progress.clear()
    return _deliver(report, output)


def _profile(given: dict[str, Any]) -> LoadProfile:
    profile = profile_of(given["profile"])
    profile = with_scenarios(profile, flat(given["scenarios"]))
    profile = with_seconds(with_rate(profile, given["rate"]), given["seconds"])
    if given["clients"] is not None:
        profile = replace(profile, clients=given["clients"])
    return replace(profile, seed=given["seed"] or profile.seed)


@contextmanager
def _ground() -> Iterator[Ground]:
    with embedded_ground() as place:
        yield place.ground


def _deliver(report: StressReport, output: StressOutput) -> int:
    """Write and print the report, and return the exit status; if it cannot be written, it is still printed."""
    documents = {".json": render_stress(report).encode()} if "json" in output.formats else {}
    failure: Error | None = None
    paths: list[Path] = []
    try:
        paths = report_files.written(documents, output.folder, "report", report.generated_at)
    except Error as error:
        failure = error
    if not output.quiet:
        if "text" in output.formats:
            _print(report, verbose=output.verbose)
        elif documents:
            click.echo(documents[".json"].decode(), nl=False)
        for path in paths:
            click.echo(f"written: {path}", err=True)
    if failure:
        raise failure
    if report.ended_early == INTERRUPTED:
        click.echo("db-analyze: interrupted", err=True)
        return _INTERRUPTED_STATUS
    return _status(report, output.fail_on)


def _print(report: StressReport, *, verbose: bool) -> None:
    width = shutil.get_terminal_size((80, 24)).columns
    colour = sys.stdout.isatty() and colour_wanted()
    click.echo(stress_text(report, width=width, colour=colour, verbose=verbose), color=colour)


def _status(report: StressReport, fail_on: tuple[str, ...]) -> int:
    is_met = {
        "slo": report.count(Answer.FAIL) > 0,
        "unknown": report.count(Answer.UNKNOWN) > 0,
    }
    return int(any(is_met.get(each, False) for each in fail_on))
