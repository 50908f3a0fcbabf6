"""The committed example report: ``python -m pgwatch_wed.render.example`` writes it from its snapshot.

A change of the report then shows as a diff, and a test compares.
"""

import re
from pathlib import Path

from pgwatch_wed import assets, render
from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import file as snapshot_file

SNAPSHOT = "shop.json.zst"
# zlib's versions compress alike, but not to the same bytes
_PACKED = re.compile(r'(<script type="application/octet-stream" id="data">)[^<]*')


def folder() -> Path:
    """Return where the example lives."""
    return assets.asset("reports") / "example"


def make() -> dict[str, str]:
    """Return the example's documents by file name."""
    snapshot = snapshot_file.load(folder() / SNAPSHOT)
    report = analyse([snapshot], Config(window_days=0), target="the demo shop")
    made = {
        f"report{form.suffix}": render.document(form.name, report, (snapshot,)).decode()
        for form in render.FILES
        if form.is_text
    }
    made["report.txt"] = render.text(report, width=80, verbose=True) + "\n"
    return made


def comparable(text: str) -> str:
    """Leave out the compressed data, whose bytes depend on the zlib at hand."""
    return _PACKED.sub(r"\1", text)


def write() -> None:
    """Write every document."""
    for name, text in make().items():
        (folder() / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
