"""Renderers: pure functions from a Report to a document.

``document(format, report, snapshots)`` gives a file's bytes, ``text`` the terminal's report.
Each format is a module of its own and is imported when it is asked for.
"""

from collections.abc import Sequence
from importlib import import_module

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.render.redact import redacted
from pgwatch_wed.render.terminal import text

__all__ = ["SUFFIXES", "document", "redacted", "text"]

SUFFIXES = {
    "html": ".html",
    "json": ".json",
    "markdown": ".md",
    "sarif": ".sarif",
    "junit": ".xml",
    "pdf": ".pdf",
}
_MODULES = {"json": "json_v1"}


def document(format_name: str, report: Report, snapshots: Sequence[Snapshot]) -> bytes:
    """Render one of :data:`SUFFIXES`."""
    module = import_module(f"{__name__}.{_MODULES.get(format_name, format_name)}")
    data: bytes | str = module.render(report, tuple(snapshots))
    return data if isinstance(data, bytes) else data.encode("utf-8", "replace")
