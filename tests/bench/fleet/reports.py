"""How long the report of many clusters takes, and how large it is; ``tests.bench.fleet.review`` writes their history."""

from pathlib import Path

from pgwatch_wed.history import store
from tests.bench.fleet import review
from tests.bench.fleet.measures import Measured, spent

GOAL_S = 10
GOAL_MB = 5


def report_of_many(folder: Path, number: int) -> list[Measured]:
    """Report a fleet of so many clusters in each form."""
    path = folder / "many.sqlite3"
    opened = store.open_store(str(path))
    review.fleet(opened, number, review.variants())
    opened.close()
    return [line for form in ("text", "json", "html") for line in _form(folder, path, form, number)]


def _form(folder: Path, path: Path, form: str, number: int) -> list[Measured]:
    found = folder / f"report-{form}"
    words = ("fleet", "report", "--history", str(path), "--format", form, "-o", str(found))
    took = spent(folder, *words)
    lines = [
        Measured(
            f"report of {number:,} clusters, {form}",
            f"{took.cpu_s:.1f} s ({took.wall_s:.1f} s while others worked, too; {took.peak_mb:.0f} MB)",
            f"at most {GOAL_S} s of one processor",
            took.cpu_s <= GOAL_S,
            is_rough=True,
        )
    ]
    for page in found.glob("*.html"):
        size = page.stat().st_size / 1_000_000
        goal = f"at most {GOAL_MB} MB"
        lines.append(Measured(f"{page.name} of it", f"{size:.1f} MB", goal, size <= GOAL_MB))
    return lines
