"""What must hold for every format of a report, the ones of tomorrow included.

The formats come from :data:`pgwatch_wed.render.rendering.FORMATS`. What a format says can be proven only by
reading it back as its own readers do: a format without an entry in :data:`READERS` fails.
"""

import csv
import html.parser
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.render import rendering as render

TEXTUAL = tuple(f.name for f in render.FILES if f.is_text)
ALL_TEXT = tuple(f.name for f in render.FORMATS.values() if f.is_text)
# Tabs and line ends apart: C0, DEL, C1, and what turns the direction of writing.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# A spreadsheet runs a cell that begins so.
FORMULA = re.compile(r"[=+\-@\t\r]")
SPREADSHEETS = (".csv", ".tsv")


def document(name: str, report: Report, snapshots: Sequence[Snapshot] = ()) -> str:
    """Return a format's text, the printed one's without colour."""
    if not render.FORMATS[name].is_file:
        return render.text(report, colour=False, verbose=True)
    return render.document(name, report, snapshots).decode("utf-8")


def strings(name: str, text: str) -> Iterator[str]:
    """Yield what a reader of the format finds in a document; raise where it is broken."""
    if name not in READERS:
        raise AssertionError(f"tests/formats.py cannot read {name}: add it to READERS")
    yield from READERS[name](text)


def _json(text: str) -> Iterator[str]:
    def walk(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            for key, each in value.items():
                yield str(key)
                yield from walk(each)
        elif isinstance(value, list):
            for each in value:
                yield from walk(each)

    yield from walk(json.loads(text))


def _xml(text: str) -> Iterator[str]:
    for element in ET.fromstring(text).iter():
        yield from element.attrib.values()
        yield element.text or ""


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value for _, value in attrs if value]

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def _html(text: str) -> Iterator[str]:
    page = _Page()
    page.feed(text)
    page.close()
    assert page.tags.count("script") == 2, "the page has its own two scripts"
    assert "img" not in page.tags
    yield from page.found


def _markdown(text: str) -> Iterator[str]:
    outside = re.sub(r"(?s)(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<(?:script|img)", outside)
    yield re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)


def _plain(text: str) -> Iterator[str]:
    yield " ".join(text.split())


def _csv(text: str) -> Iterator[str]:
    rows = list(csv.reader(io.StringIO(text), strict=True))
    assert len({len(row) for row in rows}) == 1, "every row has as many cells as the first"
    yield from (cell for row in rows for cell in row)


READERS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "html": _html,
    "json": _json,
    "sarif": _json,
    "junit": _xml,
    "markdown": _markdown,
    "text": _plain,
    "csv": _csv,
}
