"""db-analyze run: collect, judge, write reports, print the ranked recommendations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pgwatch_wed.analyse import looked_at
from pgwatch_wed.cli import baseline, delivery, options, report_files
from pgwatch_wed.cli.gathering import gathering
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.remembering import Memory, remembering, since
from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError, redact
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.render import formats, rendering
from pgwatch_wed.target import connect
from pgwatch_wed.target.collect import Demand


@click.command()
@click.argument("target", required=False)
@options.reporting
@options.comparing
@options.with_baseline
@remembering
@gathering
def run(target: str | None, no_progress: bool, **given: Any) -> int:
    """Analyze TARGET, write reports and print recommendations."""
    settings, wanted_output = reporting_options(given)
    conninfo = connect.resolve(target)
    history = Memory.from_options(given, settings)
    progress = ProgressBar(enabled=not no_progress and not wanted_output.quiet)
    try:
        wanted = replace(
            Wanted.from_options(given),
            since=wanted_output.since,
            looked_at=_looked_at(given, settings, wanted_output),
        )
        found = gather.gathered(conninfo, wanted, progress)
        progress("consulting the history", 0.97)
        history.remember(delivery.as_stored(found.read, wanted_output))
        snapshots = history.recall(found.measured)
        progress("evaluating the rules", 0.98)
        label = connect.label(conninfo)
        settings = history.acknowledged(settings, snapshots)
        report, snapshots = delivery.judged(snapshots, settings, wanted_output, label)
        history.conclude(report, snapshots)
    finally:
        progress.clear()
    return delivery.deliver(report, snapshots, wanted_output, redact(target or ""))


def _looked_at(given: dict[str, Any], settings: Config, output: options.Output) -> Demand | None:
    """Return what tells which facts ``--only`` needs; None for everything: to be kept, or to be compared."""
    if not given["only"] or given["history_url"] or output.baseline is not None:
        return None
    return lambda snapshot: looked_at(snapshot, settings)


def reporting_options(given: dict[str, Any]) -> tuple[Config, options.Output]:
    """Extract the options shared by `run`, `report` and `demo` from Click's arguments."""
    settings = options.build_config(
        given["config_file"],
        given["only"],
        given["ignore"],
        given["min_severity"],
        given["window"],
        given["memory"],
    )
    folder: Path = given["folder"]
    wanted = options.Output(
        formats=options.flat(given["formats"]) or formats.DEFAULT,
        folder=folder,
        redact=given["redact"],
        allowed_names=given["allowed_names"],
        quiet=given["quiet"],
        verbose=given["verbose"],
        fail_on=tuple(each for several in given["fail_on"] for each in several),
        since=since(tuple(given.get("since_references", ())), given, settings),
        baseline=baseline.load(tuple(given.get("baseline_references", ())), given, settings),
    )
    if any(formats.FORMATS[name].is_file for name in wanted.formats):
        report_files.check_writable(folder)
    rendering.check(wanted.formats)
    if wanted.baseline is None and any(f.standing for f in wanted.fail_on):
        raise UsageError("--fail-on new: and worse: compare with a baseline", "add --baseline FILE")
    return settings, wanted
