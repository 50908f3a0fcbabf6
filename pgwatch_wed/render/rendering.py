"""``document(format, report, snapshots)`` gives a file's bytes, ``text`` the terminal's report."""

from collections.abc import Iterable, Sequence
from importlib import import_module

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.render.formats import FILES, FORMATS, Format
from pgwatch_wed.render.terminal import text

__all__ = ["FILES", "FORMATS", "Format", "check", "document", "text"]


def check(format_names: Iterable[str]) -> None:
    """Raise :class:`pgwatch_wed.errors.Error` if a format needs what is not there, before the work for a report."""
    if "pdf" in format_names:
        from pgwatch_wed.render import pdf

        pdf.check()


def document(format_name: str, report: Report, snapshots: Sequence[Snapshot]) -> bytes:
    """Render a format that is written to a file."""
    module = import_module(f"pgwatch_wed.render.{FORMATS[format_name].module}")
    data: bytes | str = module.render(report, tuple(snapshots))
    return data if isinstance(data, bytes) else data.encode("utf-8", "replace")
