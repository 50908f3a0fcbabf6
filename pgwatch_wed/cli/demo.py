"""db-analyze demo: analyze a small shop with planted faults on an embedded server."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import click
import psycopg

from pgwatch_wed import assets
from pgwatch_wed.cli import delivery, demo_story, options
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.run import reporting_options
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.gather.enrichment import enrich
from pgwatch_wed.gather.wanted import Budget, Wanted
from pgwatch_wed.target import collect as collecting

SETTINGS = {
    "fsync": "on",  # as on a production server
    "synchronous_commit": "on",
    "shared_buffers": "16MB",  # smaller than the data, so that the cache matters
    "work_mem": "1MB",
    "max_wal_size": "64MB",
    "checkpoint_timeout": "30s",
    "log_lock_waits": "on",
}
SHARES = {"browse.sql": 60, "checkout.sql": 35, "reports.sql": 5}


@click.command()
@options.reporting
@click.option(
    "--seconds",
    type=click.IntRange(1, 600),
    default=15,
    show_default=True,
    help="How long to run the workload, in seconds.",
)
@click.option("--no-progress", is_flag=True, help="Do not show progress.")
def demo(seconds: int, no_progress: bool, **given: Any) -> int:
    """Analyze a small shop on an embedded PostgreSQL server.

    No server of your own is needed. The shop has planted faults in every area: indexes, vacuum,
    locks, cache, queries, schema.
    """
    settings, wanted = reporting_options(given)
    # `unused` would rightly be unknown after a few minutes; the demo is to show the finding
    settings = replace(settings, window_days=settings.window_days or 0.0)
    progress = ProgressBar(enabled=not no_progress and not wanted.quiet)
    try:
        progress("starting PostgreSQL", 0.02)
        with embedded.start(SETTINGS) as server:
            progress("loading the shop", 0.1)
            fill(server)
            progress(f"running the workload for {seconds} s", 0.3)
            work(server, seconds)
            wanted_facts = Wanted(budget_s=45)
            budget = Budget(wanted_facts.budget_s)
            dsn = server.dsn("shop")
            with trouble(server):
                snapshot = collecting.collect(
                    dsn, progress=lambda what, share: progress(what, 0.6 + 0.1 * share)
                )
            # the lab reads definitions, and would have to wait in this queue for locks
            snapshots: tuple[Snapshot, ...] = (
                enrich(dsn, snapshot, wanted_facts, budget, progress),
            )
    finally:
        progress.clear()
    report, snapshots = delivery.judged(snapshots, settings, wanted, "the demo shop")
    status = delivery.deliver(report, snapshots, wanted, "TARGET")
    if "text" in wanted.formats and not (wanted.quiet or wanted.redact):
        click.echo("\n".join(("", *demo_story.told(report))))
    return status


def fill(server: embedded.EmbeddedServer) -> None:
    """Create the shop's database with its faults."""
    server.run("createdb", "shop")
    script = assets.text("sql", "demo", "shop.sql")
    server.run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", dbname="shop", stdin=script)
    # loading the shop is not part of its workload
    server.run("psql", "-X", "-q", "-c", "select pg_stat_statements_reset()", dbname="shop")


def work(server: embedded.EmbeddedServer, seconds: int) -> None:
    """Run the shop's customers and its back office."""
    folder = assets.asset("sql") / "demo"
    scripts = [f"--file={folder / name}@{share}" for name, share in SHARES.items()]
    clients = ("--client=4", "--jobs=2", f"--time={seconds}", "--no-vacuum")
    server.run("pgbench", *clients, *scripts, dbname="shop")


@contextlib.contextmanager
def trouble(server: embedded.EmbeddedServer) -> Iterator[None]:
    """Hold a lock in a forgotten transaction, and make two sessions wait for it."""
    with contextlib.ExitStack() as stack:
        holder, *waiters = [
            stack.enter_context(psycopg.connect(server.dsn("shop"), application_name=name))
            for name in ("back office", "checkout worker", "migration")
        ]
        holder.execute("update shop.products set price = price * 1.1 where id = 1")
        pool = stack.enter_context(ThreadPoolExecutor(len(waiters)))
        update = "update shop.products set price = price where id = 1"
        pool.submit(_wait, waiters[0], update)
        time.sleep(0.2)
        pool.submit(_wait, waiters[1], "alter table shop.products add column weight int")
        time.sleep(1.5)
        try:
            yield
        finally:
            for waiter in waiters:
                waiter.cancel_safe()
            holder.rollback()


def _wait(connection: psycopg.Connection[Any], sql: str) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.execute(sql.encode())
    connection.rollback()
