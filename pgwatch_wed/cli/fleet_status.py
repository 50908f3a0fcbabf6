"""db-analyze fleet status: what waits in the queue, who works, and what is stuck."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from tabulate import tabulate

from pgwatch_wed import config, units
from pgwatch_wed.fleet.queue.queue_extra import require_queue
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import store
from pgwatch_wed.render.characters import in_json, visible_line


@click.command("status")
@click.option(
    "--history",
    "history_url",
    metavar="URL",
    help="The PostgreSQL server that has the history and the queue: postgresql://… [default: history of the configuration]",
)
@click.option(
    "--lost-after",
    "lost_after_s",
    type=click.FloatRange(min=1),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="What is silent for so long is called stalled; as of the workers.",
)
@click.option("--limit", type=click.IntRange(min=1), default=5, show_default=True, help="Runs.")
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)
def command(history_url: str | None, lost_after_s: float, limit: int, form: str) -> int:
    """Show runs, workers, and visits of which nothing is heard; needs the extra fleet."""
    require_queue()
    from pgwatch_wed.fleet.queue import queue_state, queue_tables

    url = history_url or config.load(None).history
    queue_tables.queue_conninfo(url)
    with store.unchanged(url) as opened:
        found = queue_state.queue_state(opened, lost_after_s, limit)
    document = asdict(found)
    if form == "json":
        text = json.dumps(document, ensure_ascii=False, indent=2, default=_plain)
        click.echo(in_json(text))
    else:
        click.echo(_text(document, lost_after_s))
    return 0


def _plain(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()


def _text(state: dict[str, Any], lost_after_s: float) -> str:
    parts = [_runs(state["runs"]), _workers(state["workers"], lost_after_s)]
    if state["stalled"]:
        rows = [
            (v["member"], v["fleet_run"], _age(v["silent_s"]), v["worker"])
            for v in state["stalled"]
        ]
        parts.append("Stalled:\n" + _table(("cluster", "run", "silent for", "worker"), rows))
    return "\n\n".join(parts)


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    if not runs:
        return "There are no fleet runs."
    known = [e.value for e in VisitEnding if any(e.value in run["endings"] for run in runs)]
    heads = ("run", "began (UTC)", "ended", "engine", "clusters", "waiting", "under way", *known)
    rows = [
        (
            run["id"],
            _when(run["began_at"]),
            _when(run["ended_at"]) or "-",
            run["engine"],
            *(run[name] for name in ("members", "waiting", "under_way")),
            *(run["endings"].get(name, 0) for name in known),
        )
        for run in runs
    ]
    return _table(heads, rows)


def _workers(workers: Sequence[dict[str, Any]], lost_after_s: float) -> str:
    if not workers:
        return "No worker is running: db-analyze fleet worker starts one."
    heads = ("worker", "since (UTC)", "last heartbeat", "under way", "inventory")
    rows = [
        (
            worker["name"],
            _when(worker["began_at"]),
            f"{_age(worker['silent_s'])} ago"
            + (", lost" if worker["silent_s"] > lost_after_s else ""),
            f"{worker['under_way']} of {worker['concurrency']}",
            units.count(worker["members"], "cluster"),
        )
        for worker in workers
    ]
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    cells = [[visible_line(str(cell)) for cell in row] for row in rows]
    return tabulate(cells, headers=list(heads), tablefmt="plain", disable_numparse=True)


def _age(seconds: float) -> str:
    return units.duration(max(seconds, 0) * 1000)


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
