"""db-analyze stress: load in blocks, and what it shows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from pgwatch_wed import config, units
from pgwatch_wed.cli.load_delivery import (
    check_folder,
    delivered,
    documents_of,
    interrupted_status,
    print_text,
)
from pgwatch_wed.cli.options import CommaList, FilePath, flat
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.report_files import STRESS_REPORT
from pgwatch_wed.cli.stress_http import check_no_http, stress_http
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.compare.against import read_against
from pgwatch_wed.load.compare.against_grounds import owned_name
from pgwatch_wed.load.compare.measured_runs import MeasuredRun
from pgwatch_wed.load.compare.run_comparison import has_regressed, nothing_compared
from pgwatch_wed.load.compare.stress_baselines import (
    check_baseline_name,
    read_baseline,
    save_baseline,
)
from pgwatch_wed.load.course.against_job import AgainstJob
from pgwatch_wed.load.course.baseline_comparison import compared_with
from pgwatch_wed.load.course.chosen_profile import (
    with_rate,
    with_scenarios,
    with_seconds,
    with_seed,
    with_users_of,
)
from pgwatch_wed.load.course.replay_job import ReplayJob
from pgwatch_wed.load.course.stress_job import Owned, StressJob
from pgwatch_wed.load.ground.ground_refusals import EVEN_IF
from pgwatch_wed.load.ground.target_ground import named
from pgwatch_wed.load.load_json import render_stress
from pgwatch_wed.load.load_model import Answer, Scenario
from pgwatch_wed.load.load_pages.load_html import stress_html
from pgwatch_wed.load.load_text import stress_text
from pgwatch_wed.load.replay.replay_ground import ReplaySource
from pgwatch_wed.load.replay.replay_mix import SCENARIO
from pgwatch_wed.load.scenarios import known_scenarios, own_scripts
from pgwatch_wed.load.scenarios.load_profiles import PROFILES, LoadProfile
from pgwatch_wed.load.scenarios.profile_file import MAX_CLIENTS, MAX_RATE, MAX_SECONDS, profile_of
from pgwatch_wed.load.stress_report import ComparedAs, StressReport

_FORMATS = ("html", "json", "text")
_DOCUMENTS = {"html": stress_html, "json": render_stress}
_FAIL_ON = ("slo", "regression", "unknown", "never")
_FOLDER = Path("stress-test-results")


class ThinkTime(click.ParamType[Any]):
    """A number of seconds, or a time such as ``5s`` or ``2min``."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        text = str(value)
        try:
            seconds = units.read_span(text if text[-1:].isalpha() else f"{text} s").total_seconds()
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is not a time such as 5s", param, ctx)
        if not 0 < seconds <= MAX_SECONDS:
            self.fail(f"{text!r} must be above 0", param, ctx)
        return seconds


@dataclass(frozen=True, slots=True)
class StressOutput:
    """Where a report goes, in which formats, and what makes the command fail."""

    formats: tuple[str, ...]
    folder: Path
    fail_on: tuple[str, ...]
    baseline: str | None
    keep_as: str | None
    quiet: bool
    verbose: bool


@click.command()
@click.argument("target", required=False)
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
    "--scripts",
    type=FilePath(readable=False, path_type=Path),
    metavar="DIR",
    help="Run your own pgbench scripts: .sql files, with optional weights.json and prepare.sql.",
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
    help="The seed of data and load. [default: that of --baseline, else the profile's]",
)
@click.option(
    "--fail-on",
    "fail_on",
    multiple=True,
    type=CommaList(_FAIL_ON),
    metavar="slo,regression,unknown",
    help="Exit with status 1 if an objective failed (slo), something became worse than in --baseline or --against "
    "(regression), or one of these cannot be told (unknown). [default: never]",
)
@click.option(
    "--users",
    type=click.IntRange(1, MAX_CLIENTS),
    metavar="N",
    help="As many connections through PgBouncer, each of which does a transaction every --think seconds.",
)
@click.option(
    "--think",
    "think_s",
    type=ThinkTime(),
    metavar="TIME",
    help="Time between the transactions of a user, on average: 5, 5s or 2min.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=ThinkTime(),
    metavar="TIME",
    help="A transaction that takes longer has failed: 2, 2s or 500ms. [default: the profile's]",
)
@click.option(
    "--prove",
    "is_proving",
    is_flag=True,
    help="Take causes away one by one, in pairs of blocks, to see which of them matters; takes 10 minutes or more.",
)
@click.option(
    "--copy",
    metavar="COPY",
    help="Run on this copy of TARGET, where --prove may change things; --i-own-this-server is about it.",
)
@click.option(
    "--replay",
    metavar="OLD,NEW|now",
    help="Run the SELECT statements of production on --copy COPY: those between two snapshot files, or of TARGET now.",
)
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(1, MAX_SECONDS),
    metavar="S",
    help="How many seconds of TARGET --replay now looks at. [default: 60]",
)
@click.option(
    "--baseline",
    metavar="FILE|NAME",
    help="An earlier JSON report, or the name of a saved one: work per transaction is compared.",
)
@click.option(
    "--against",
    metavar="NAME=VALUE,…|FILE|COPY",
    help="Afterwards, compare with other settings (of an embedded server, or of sessions on TARGET), or with another server, in "
    "interleaved blocks: times, too.",
)
@click.option(
    "--pairs",
    type=click.IntRange(6, 1000),
    metavar="N",
    help="Pairs of blocks of a scenario for --against. [default: as many as a large effect takes, at least 8]",
)
@click.option(
    "--save-baseline",
    "keep_as",
    metavar="NAME",
    help="Keep the report under this name, for --baseline.",
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
    type=FilePath(file_okay=False, path_type=Path),
    default=_FOLDER,
    show_default=True,
    help="The directory for report files.",
)
@click.option(
    "--http",
    metavar="URL|FILE",
    help="Load on an HTTP service instead: its URL, an OpenAPI document (GET only) or a locustfile (extra http).",
)
@click.option("--host", metavar="URL", help="The service, where --http FILE does not say it.")
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes of Locust, for --http; each can use one core. [default: 1]",
)
@click.option(
    "--i-own-this-server",
    "owned",
    multiple=True,
    metavar="HOST/DBNAME",
    help="Confirms TARGET, spelled as the server answers; load disturbs everything on it. Once more for a server of --against.",
)
@click.option(
    "--even-if",
    "even_if",
    multiple=True,
    type=CommaList(EVEN_IF),
    metavar="|".join(EVEN_IF),
    help="Do not refuse a TARGET that others use, or that is replicated (repeatable).",
)
@click.option("--quiet", "-q", is_flag=True, help="Print only errors.")
@click.option("--verbose", "-v", is_flag=True, help="Print everything in full.")
@click.option("--no-progress", is_flag=True, help="Do not show progress.")
def stress(target: str | None, no_progress: bool, **given: Any) -> int:
    """Put a server under load, and say what it can do, why not more, and whether to believe it.

    Without TARGET, the server is an embedded one that is removed afterwards; DATABASE_URL and libpq's environment variables are
    ignored. On TARGET, load runs in a database of its own, which is dropped afterwards.
    """
    if given["http"] is not None:
        return stress_http(target, given, has_progress=not no_progress)
    check_no_http(given)
    profile = _profile(given)
    output = StressOutput(
        formats=flat(given["formats"]) or _FORMATS,
        folder=given["folder"],
        fail_on=flat(given["fail_on"]),
        baseline=given["baseline"],
        keep_as=given["keep_as"],
        quiet=given["quiet"],
        verbose=given["verbose"],
    )
    check_folder(output.folder, output.formats)
    base = _baseline(output, given)
    profile = with_seed(profile, given["seed"], None if base is None else base.seed)
    source = _replayed(target, given)
    if source is None:
        check_place(target, given)
    check_names_a_server(target)
    scenarios, notes = _scenarios(profile, given["scripts"])
    progress = ProgressBar(enabled=not no_progress and not output.quiet)
    job = StressJob(
        profile=profile,
        scenarios=scenarios,
        settings=config.load(None),
        is_proving=given["is_proving"],
        original=target if given["copy"] else None,
        progress=progress,
        notes=notes,
        tell=telling(progress),
    )
    is_writing = any(s.is_writing for s in scenarios.values())
    place = given["copy"] or target
    even_if = frozenset(flat(given["even_if"]))
    against = _against(given, place, even_if, progress, is_writing=is_writing)
    try:
        name = "" if place is None else owned_name(place, given["owned"])
        owned = Owned(name, even_if, is_writing, needs_database=given["scripts"] is None)
        if source is None:
            report = job.run(place, owned)
        else:
            report = ReplayJob(job, source).run(given["copy"], owned)
        if against is not None:
            report = against.added_to(report)
    finally:
        progress.clear()
    if base is not None:
        label = output.baseline or ""
        report = replace(report, comparison=compared_with(base, report, label))
    return _deliver(report, output)


def _replayed(target: str | None, given: dict[str, Any]) -> ReplaySource | None:
    """Return what is replayed; None if nothing is."""
    if given["replay"] is None:
        if given["window_s"] is not None:
            raise UsageError("--window is for --replay now")
        return None
    if not given["copy"]:
        raise UsageError("a replay runs on a copy of production", "specify it with --copy")
    excluded = {
        "--scenario": given["scenarios"],
        "--scripts": given["scripts"],
        "--users": given["users"],
        "--against": given["against"],
    }
    for name in (name for name, value in excluded.items() if value):
        raise UsageError(f"--replay and {name} exclude each other")
    return ReplaySource.of_option(given["replay"], target, given["window_s"])


def telling(progress: ProgressBar) -> Callable[[str], None]:
    """Return what tells people that a run which failed has left something behind."""

    def tell(text: str) -> None:
        progress.clear()
        click.echo(f"db-analyze: {text}", err=True)

    return tell


def check_place(target: str | None, given: dict[str, Any]) -> None:
    """Refuse before anything is started what would be refused after the run."""
    if given["copy"] and target is None:
        raise UsageError("--copy is a copy of TARGET, and there is none", "specify TARGET, too")
    if given["is_proving"] and target is not None and not given["copy"]:
        raise UsageError(
            "--prove changes indexes, statistics and settings, so not on TARGET itself",
            "specify a copy of it with --copy, or omit TARGET",
        )
    if target is None and (given["owned"] or given["even_if"]):
        raise UsageError("--i-own-this-server and --even-if are about TARGET, and there is none")


def check_names_a_server(target: str | None) -> None:
    """Refuse a TARGET that the environment would have to complete, even if only its copy gets the load."""
    if target is not None:
        named(target)


def _against(
    given: dict[str, Any],
    place: str | None,
    even_if: frozenset[str],
    progress: ProgressBar,
    *,
    is_writing: bool,
) -> AgainstJob | None:
    """Check what this run is compared with: what is wrong with it must not cost a run."""
    if given["against"] is None:
        if given["pairs"] is not None:
            raise UsageError("--pairs is about --against", "add --against")
        return None
    job = AgainstJob(
        against=read_against(given["against"]),
        target=place,
        owned=given["owned"],
        even_if=even_if,
        is_writing=is_writing,
        pairs=given["pairs"],
        progress=progress,
        needs_database=given["scripts"] is None,
    )
    try:
        job.check()
    finally:
        progress.clear()
    return job


def _baseline(output: StressOutput, given: dict[str, Any]) -> MeasuredRun | None:
    """Read the baseline before the load runs: what is wrong with it must not cost a run."""
    if output.keep_as is not None:
        check_baseline_name(output.keep_as)
    if output.baseline and given["against"]:
        raise UsageError("--baseline and --against exclude each other")
    if output.baseline is None:
        if "regression" in output.fail_on and given["against"] is None:
            raise UsageError(
                "--fail-on regression compares with something", "add --baseline FILE, or --against"
            )
        return None
    return read_baseline(output.baseline)


def _scenarios(
    profile: LoadProfile, folder: Path | None
) -> tuple[dict[str, Scenario], tuple[str, ...]]:
    """Return the scenarios by name, and notes about them; that of a replay is made on the copy."""
    if SCENARIO in profile.scenarios:
        return {}, ()
    if folder is not None:
        own = own_scripts.from_directory(folder)
        return {own_scripts.NAME: own.scenario}, own.notes
    return {
        name: known_scenarios.scenario(name, scale=profile.scale, seed=profile.seed)
        for name in profile.scenarios
    }, ()


def _profile(given: dict[str, Any]) -> LoadProfile:
    profile = profile_of(given["profile"])
    names = flat(given["scenarios"])
    if given["scripts"] is not None:
        if names:
            raise UsageError("--scenario and --scripts exclude each other")
        names = (own_scripts.NAME,)
    if given["replay"] is not None:
        names = (SCENARIO,)
    profile = with_scenarios(profile, names)
    profile = with_rate(profile, given["rate"])
    profile = with_users_of(profile, given["users"], given["think_s"])
    profile = with_seconds(profile, given["seconds"])
    if given["clients"] is not None:
        profile = replace(profile, clients=given["clients"])
    if given["timeout_s"] is not None:
        profile = replace(profile, timeout_s=given["timeout_s"])
    return profile


def _deliver(report: StressReport, output: StressOutput) -> int:
    """Write and print the report, and return the exit status; if it cannot be written, it is still printed."""
    documents = documents_of(report, _DOCUMENTS, output.formats)

    def printed() -> None:
        if "text" in output.formats:
            print_text(
                lambda width, colour: stress_text(
                    report, width=width, colour=colour, verbose=output.verbose
                )
            )
        elif ".json" in documents:
            click.echo(documents[".json"].decode(), nl=False)

    shown = None if output.quiet else printed
    failure = delivered(documents, output.folder, STRESS_REPORT, report.generated_at, shown)
    if output.keep_as is not None and not report.ended_early:
        click.echo(f"saved: {save_baseline(output.keep_as, render_stress(report))}", err=True)
    if failure:
        raise failure
    if report.failure:
        raise report.failure
    status = interrupted_status(report.ended_early)
    if status is not None:
        return status
    if "regression" in output.fail_on and (why := nothing_compared(report.comparison)):
        click.echo(f"db-analyze: --fail-on regression: nothing could be compared: {why}", err=True)
    return _status(report, output.fail_on)


def _status(report: StressReport, fail_on: tuple[str, ...]) -> int:
    compared = report.comparison
    is_told = compared is None or (compared.metrics and not compared.count(ComparedAs.UNKNOWN))
    is_met = {
        "slo": report.count(Answer.FAIL) > 0,
        # a gate that can no longer see anything must not stay open
        "regression": has_regressed(compared) or bool(nothing_compared(compared)),
        "unknown": report.count(Answer.UNKNOWN) > 0 or not is_told,
    }
    return int(any(is_met.get(each, False) for each in fail_on))
