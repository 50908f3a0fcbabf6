"""db-analyze collect: keep snapshots without evaluating them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
from click.core import ParameterSource

from pgwatch_wed.cli import options
from pgwatch_wed.cli.gathering import gathering
from pgwatch_wed.cli.keeping import keeper, keeping
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.repeating import Repeated, check, repeating
from pgwatch_wed.gather import run as gather
from pgwatch_wed.gather.rounds import Repetition
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target import connect


@click.command()
@click.argument("target", required=False)
@keeping
@click.option("--quiet", "-q", is_flag=True, help="Print only errors.")
@repeating
@options.redacting
@gathering
def collect(
    target: str | None,
    output: str | None,
    history_url: str | None,
    quiet: bool,
    every: timedelta | None,
    length: timedelta | None,
    samples: timedelta | None,
    redact: bool,
    allowed_names: tuple[str, ...],
    no_progress: bool,
    **given: Any,
) -> int:
    """Keep a snapshot of TARGET, or one after another, in files or in the history.

    `db-analyze report` evaluates a file, on any machine.
    """
    check(every, length, samples)
    kept = keeper(
        output,
        history_url,
        target,
        is_repeated=every is not None,
        redact=redact,
        allowed_names=allowed_names,
        quiet=quiet,
    )
    progress = ProgressBar(enabled=not (no_progress or quiet))
    wanted = Wanted.from_options(given)
    conninfo = connect.resolve(target)
    if every is None and samples is None:
        snapshots = gather.gather(conninfo, wanted, progress)
        progress.clear()
        kept.keep(snapshots)
        return 0
    source = click.get_current_context().get_parameter_source("advise")
    if every and source is ParameterSource.DEFAULT:
        # the lab is built anew each time, and its advice is that of the whole time
        wanted = replace(wanted, advise=False)
    repetition = Repetition(_seconds(every), _seconds(length))
    return Repeated(conninfo, wanted, repetition, samples, kept, progress).run()


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
