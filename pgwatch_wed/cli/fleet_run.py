"""db-analyze fleet run: visit every cluster of the inventory, and review them."""

from collections import Counter
from typing import Any

import click

from pgwatch_wed import config
from pgwatch_wed.cli import fleet_options, interrupts
from pgwatch_wed.cli.fleet_delivery import check_writable, deliver, review_output, reviewing
from pgwatch_wed.cli.fleet_progress import FleetProgress
from pgwatch_wed.cli.remembering import HISTORY_OPTION
from pgwatch_wed.cli.visit_choices import visit_options, with_visits
from pgwatch_wed.errors import UsageError
from pgwatch_wed.fleet import (
    fleet_begin,
    fleet_engine,
    fleet_workers,
    leftovers,
    shards,
    visit_log,
)
from pgwatch_wed.fleet.fleet_engine import EngineOptions
from pgwatch_wed.fleet.members import Inventory
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import store


class ShardType(click.ParamType[Shard]):
    """A part of the fleet such as ``2/5``."""

    name = "shard"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        """Read it."""
        try:
            return value if isinstance(value, Shard) else shards.read(str(value))
        except UsageError as error:
            self.fail(f"{error.message}: {error.hint}", param, ctx)


@click.command("run")
@fleet_options.with_inventory
@HISTORY_OPTION
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=16,
    show_default=True,
    metavar="N",
    help="Clusters that are visited at the same time; of one server, one connection is open at a time.",
)
@click.option(
    "--per-host",
    type=click.IntRange(min=1),
    metavar="N",
    help="Clusters of one host that are visited at the same time. [default: no limit]",
)
@click.option(
    "--per-group",
    type=click.IntRange(min=1),
    metavar="N",
    help="Clusters of one group that are visited at the same time. [default: no limit]",
)
@fleet_options.run_budget
@with_visits
@click.option(
    "--jitter",
    "jitter_s",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Begin each visit up to so much later, so that clusters on the same storage are not read at once.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the last run if it has not ended and is younger than 12 hours.",
)
@click.option(
    "--shard",
    type=ShardType(),
    default="1/1",
    metavar="I/N",
    help="Visit only the I-th of N parts of the fleet, from 1; all parts are one run.",
)
@click.option("--no-progress", is_flag=True, help="Do not show progress.")
@reviewing
def command(history_url: str | None, no_progress: bool, **given: Any) -> int:
    """Visit all clusters of an inventory, keep what is found in the history, and review them.

    Each cluster is done, done in part, unreachable, refused, over budget or skipped; none of them stops the others.
    The status is 2 if a part of the inventory could not be used, and 3 if no cluster could be reached.
    """
    output = review_output(given)
    check_writable(output)
    found = fleet_options.inventory_to_visit(given, hides_names=output.redact)
    settings = config.load(given["config_file"])
    progress = FleetProgress(
        enabled=not no_progress and not output.quiet,
        is_quiet=output.quiet,
        nameless=output.redact,
    )
    worker = fleet_workers.worker_name()
    opened = store.open_store(history_url or settings.history)
    begun = fleet_begin.begin(
        opened,
        found.members,
        worker,
        {"sources": fleet_options.noted_sources(found, given)},
        shard=given["shard"],
        resume=given["resume"],
    )
    progress.begin(begun)
    leftovers.begin()
    interrupts.end_at_once_when_told_again()  # connections end with the process, and its visits are resumed
    try:
        fleet_engine.run(opened, begun, worker, _options(given, settings), progress.told)
    except (KeyboardInterrupt, SystemExit):
        progress.say_how_to_resume()
        raise
    finally:
        progress.clear()
    progress.conclude()
    reviewed = 0
    if given["shard"].of == 1 or _has_ended(opened, begun.run.id):
        reviewed = deliver(opened, output, begun.run.id)
    return status(progress.endings, found, begun.read_before) or reviewed


def _has_ended(opened: store.Store, fleet_run_id: int) -> bool:
    """Tell whether this was the last of several shards."""
    with opened.reading() as connection:
        return all(visit.ending for visit in visit_log.visits(connection, fleet_run_id))


def _options(given: dict[str, Any], settings: config.Config) -> EngineOptions:
    names = ("concurrency", "per_host", "per_group", "budget_s", "jitter_s")
    return EngineOptions(
        visit_options(given, settings),
        end_if_told=interrupts.end_if_told,
        **{name: given[name] for name in names},
    )


def status(endings: Counter[VisitEnding], found: Inventory, read_before: int) -> int:
    """Return the exit status: 3 if nobody who was to be visited was reached, before an interruption or after it."""
    read = read_before + sum(endings[each] for each in VisitEnding if each.was_read)
    tried = sum(endings.values()) - endings[VisitEnding.SKIPPED]
    if tried and not read:
        return 3
    return 2 if found.is_wrong else 0
