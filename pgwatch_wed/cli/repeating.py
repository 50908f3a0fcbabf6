"""Options of `collect` that repeat it, and what happens in each round."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import click

from pgwatch_wed.cli.keeping import Keeper
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.spans import Span
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.gather import rounds as gathering
from pgwatch_wed.gather.rounds import Repetition
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target.sampler import Sampler, sampling

_Keep = Callable[[tuple[Snapshot, ...]], None]
F = TypeVar("F", bound=Callable[..., Any])

_REPEATING = (
    click.option(
        "--every",
        type=Span(timedelta(seconds=1), timedelta(days=7)),
        metavar="TIME",
        help="Repeat it, for example every 60s; each file name contains its time.",
    ),
    click.option(
        "--for",
        "length",
        type=Span(timedelta(seconds=1), timedelta(days=31)),
        metavar="TIME",
        help="For how long, for example 10m. [default: until it is interrupted]",
    ),
    click.option(
        "--samples",
        type=Span(timedelta(milliseconds=200), timedelta(seconds=60)),
        metavar="TIME",
        help="Meanwhile, look at sessions and lock waits, for example every 1s, in a session of its own.",
    ),
)


def repeating(command: F) -> F:
    """Add the options."""
    for option in reversed(_REPEATING):
        command = option(command)
    return command


def check(every: timedelta | None, length: timedelta | None, samples: timedelta | None) -> None:
    """Raise UsageError for options that make no sense together."""
    if samples and not (every or length):
        raise UsageError("--samples requires a length of time", "add --for 10m")
    if length and not (every or samples):
        raise UsageError("--for requires --every or --samples", "for example --every 60s")
    if samples and samples >= (every or length or samples * 2):
        raise UsageError("--samples must be shorter than --every and --for", "use --samples 1s")


@dataclass(slots=True)
class Repeated:
    """A repeated collection, and how many rounds were kept."""

    conninfo: str
    wanted: Wanted
    repetition: Repetition
    samples: timedelta | None
    keeper: Keeper
    progress: ProgressBar
    kept: int = field(default=0)

    def run(self) -> int:
        """Collect; return the exit status: 3 if nothing at all was read."""
        if self.samples is None:
            self._rounds(None)
        else:
            with sampling(self.conninfo, self.samples.total_seconds()) as sampler:
                self._sampled(sampler)
        return 0 if self.kept else 3

    def _sampled(self, sampler: Sampler) -> None:
        try:
            self._rounds(sampler)
        except (KeyboardInterrupt, SystemExit):
            sampler.stop()
            self._keep_last(sampler)
            raise

    def _rounds(self, sampler: Sampler | None) -> None:
        for each in gathering.rounds(
            self.conninfo, self.wanted, self.repetition, sampler, self.progress
        ):
            if each.failure:
                click.echo(f"db-analyze: round {each.number}: {each.failure}", err=True)
            else:
                self.progress.clear()
                self._keep(self.keeper.keep, each.snapshots)

    def _keep(self, keep: _Keep, snapshots: tuple[Snapshot, ...]) -> None:
        try:
            keep(snapshots)
        except UsageError:
            raise
        except Error as error:
            # the next round may find some room again
            click.echo(f"db-analyze: {error}", err=True)
        else:
            self.kept += 1

    def _keep_last(self, sampler: Sampler) -> None:
        with suppress(KeyboardInterrupt):
            try:
                snapshot = gathering.last(self.conninfo, sampler)
            except Error as error:
                click.echo(f"db-analyze: the last samples are lost: {error.message}", err=True)
                return
            if gathering.is_sampled(snapshot):
                self._keep(self.keeper.keep_last, (snapshot,))
