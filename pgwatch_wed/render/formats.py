"""The formats of a report: the one table that the command line, the documentation and the tests go by."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the module that renders it, and what becomes of the document.

    ``suffix`` is the file's; a format without one is only printed. ``is_text``: the document is
    UTF-8, and what holds for text holds for it (no control characters, names escaped).
    ``is_piped``: asked for alone it is printed as well. ``purpose`` stands in docs/report.md.
    """

    name: str
    module: str
    suffix: str
    purpose: str
    is_text: bool = True
    is_piped: bool = False

    @property
    def is_file(self) -> bool:
        """It is written to the output folder."""
        return bool(self.suffix)


FORMATS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format(
            "html",
            "html",
            ".html",
            "people: one file, no request leaves it, light and dark, prints",
        ),
        Format(
            "json",
            "json_v1",
            ".json",
            "programs: `schema_version` 1, described by [report.schema.json](report.schema.json)",
            is_piped=True,
        ),
        Format(
            "text",
            "terminal",
            "",
            "terminals: the ranking at 80 columns and wider, through `$PAGER` when long",
        ),
        Format("markdown", "markdown", ".md", "pull requests and wikis", is_piped=True),
        Format("sarif", "sarif", ".sarif", "GitHub code scanning (SARIF 2.1.0)", is_piped=True),
        Format(
            "junit",
            "junit",
            ".xml",
            "CI: a case per rule; warnings and worse fail it, `unknown` skips it",
            is_piped=True,
        ),
        Format(
            "pdf",
            "pdf",
            ".pdf",
            "mail and archives: the HTML printed by a headless Chromium on this machine",
            is_text=False,
        ),
    )
}
DEFAULT = ("html", "json", "text")
FILES = tuple(f for f in FORMATS.values() if f.is_file)
