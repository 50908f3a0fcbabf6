"""Plans for tests of the scripts that are written from them."""

import subprocess
from dataclasses import replace
from pathlib import Path

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.findings import Action, ActionGain, ActionPlan, ActionStage, Object, Remedy, Report
from tests import reports

INDEX = Remedy(
    "CREATE INDEX CONCURRENTLY orders_idx ON public.orders (customer_id);",
    "SHARE UPDATE EXCLUSIVE",
    in_transaction=False,
    undo="DROP INDEX CONCURRENTLY public.orders_idx;",
)


def action(*steps: Remedy, title: str = "Do it", **values: object) -> Action:
    """An action of some steps, whose undos are those of the steps."""
    base: dict[str, object] = {
        "title": title,
        "stage": ActionStage.INDEXES,
        "object": Object("table", "orders", "shop", "public"),
        "closes": ("0",),
        "statements": steps,
        "undo": tuple(step.undo for step in reversed(steps) if step.undo),
        "gain": ActionGain(bytes=1_000_000),
        "database": "shop",
    }
    return Action(**(base | values))  # type: ignore[arg-type]


def planned(*actions: Action, databases: tuple[str, ...] = ("shop",)) -> Report:
    """A report with a plan."""
    made = reports.report((reports.finding(),))
    target = replace(made.target, databases=databases)
    return replace(made, target=target, plan=ActionPlan(actions))


def run_file(
    dsn: str, path: Path, *more: str, anywhere: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a script as its header says, with the wheel's psql; the database of a test has another name."""
    copy = ("-v", "anywhere=1") if anywhere else ()
    command = [str(embedded.bindir() / "psql"), "-X", *copy, *more, "-d", dsn, "-f", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
