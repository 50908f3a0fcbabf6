"""The example report, created from its snapshot: ``python -m tools.example [FOLDER]``.

Without a folder, it writes the committed report in Markdown: changes to the report appear as a diff,
and a test compares it. With a folder, it writes every format there.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from pgwatch_wed import assets
from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.render import rendering as render
from pgwatch_wed.rules import Rule

COMMITTED = "markdown"


def folder() -> Path:
    """Return the directory of the example."""
    return assets.asset("reports") / "example"


def snapshot() -> Snapshot:
    """Return the snapshot of the demo's shop."""
    return snapshot_file.load(folder() / "shop.json.zst")


def document(form: str = COMMITTED, rules: Iterable[Rule] | None = None) -> bytes:
    """Render the shop's report."""
    shop = snapshot()
    report = analyse([shop], Config(window_days=0), rules, target="the demo shop")
    return render.document(form, report, (shop,))


def write(target: Path, forms: Iterable[str]) -> None:
    """Write documents to a directory."""
    for form in forms:
        path = target / f"report{render.FORMATS[form].suffix}"
        path.write_bytes(document(form))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        write(Path(sys.argv[1]), [f.name for f in render.FILES if f.is_text])
    else:
        write(folder(), [COMMITTED])
