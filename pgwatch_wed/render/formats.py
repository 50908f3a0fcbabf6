"""The formats of a report: one table for the command line, the documentation and the tests."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the module that renders it, and what happens to the document.

    ``suffix`` is the file's; a format without one is only printed. ``is_text``: the document is
    UTF-8, so it must not contain control characters and has to escape names. ``is_piped``: it is
    also printed if it is the only format. ``purpose`` is shown in docs/report.md.
    """

    name: str
    module: str
    suffix: str
    purpose: str
    is_text: bool = True
    is_piped: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is written to the output directory."""
        return bool(self.suffix)


FORMATS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format(
            "html",
            "html",
            ".html",
            "people: one file, no network requests, light and dark, printable",
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
            "terminals: the ranking at 80 columns and wider, through `$PAGER` if it is long",
        ),
        Format("markdown", "markdown", ".md", "pull requests and wikis", is_piped=True),
        Format("sarif", "sarif", ".sarif", "GitHub code scanning (SARIF 2.1.0)", is_piped=True),
        Format(
            "junit",
            "junit",
            ".xml",
            "CI: one test case per rule; a warning or worse fails it, `unknown` skips it",
            is_piped=True,
        ),
        Format(
            "pdf",
            "pdf",
            ".pdf",
            "mail and archives: the HTML report printed by a headless Chromium on this machine",
            is_text=False,
        ),
    )
}
DEFAULT = ("html", "json", "text")
FILES = tuple(f for f in FORMATS.values() if f.is_file)
