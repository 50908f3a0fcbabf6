"""Our own form in TOML: ``[[clusters]]``, ``[defaults]`` and ``include``.

A cluster that is no valid TOML costs only itself: then each ``[[clusters]]`` is read by itself.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from pgwatch_wed.fleet.inventory.listing import Listing, Located
from pgwatch_wed.fleet.inventory.own_form import OwnForm

_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*clusters[ \t]*\]\]", re.MULTILINE)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def toml_members(text: str, located: Located, common: Mapping[str, Any]) -> Listing:
    """Return the members and the includes of a file."""
    form, label = OwnForm(located.label, common), located.label
    starts = [found.start() for found in _HEADER.finditer(text)]
    lines = _lines(text, starts)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        _by_parts(form, label, text, starts)
        return form.listing()
    form.head(document)
    clusters = document.get("clusters", [])
    if not isinstance(clusters, list):
        form.refuse("clusters must be written as [[clusters]]")
        return form.listing()
    # a text of several lines may hold what looks like a header
    known = lines if len(lines) == len(clusters) else [0] * len(clusters)
    for table, line in zip(clusters, known, strict=True):
        form.cluster(table, f"{label}:{line}" if line else label)
    return form.listing()


def _lines(text: str, starts: list[int]) -> list[int]:
    found, line, before = [], 1, 0
    for start in starts:
        line += text.count("\n", before, start)
        before = start
        found.append(line)
    return found


def _by_parts(form: OwnForm, label: str, text: str, starts: list[int]) -> None:
    lines = [1, *_lines(text, starts)]
    parts = zip([0, *starts], [*starts, len(text)], lines, strict=True)
    for number, (begin, end, line) in enumerate(parts):
        try:
            document = tomllib.loads(text[begin:end])
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            at, why = _position(error)
            form.refuse(f"not valid TOML: {why}", f"{label}:{line + at - 1}")
            continue
        if number == 0:
            form.head(document)
            continue
        for table in document.pop("clusters"):
            form.cluster(table, f"{label}:{line}")
        for key in document:
            why = f"{key[:60]!r} stands after [[clusters]]; write it before the first"
            form.refuse(why, f"{label}:{line}")


def _position(error: Exception) -> tuple[int, str]:
    """Return the line of an error, from 1, and what it says."""
    found = _AT.search(str(error))
    if found is None:
        return 1, "nested too deeply" if isinstance(error, RecursionError) else str(error)
    column = f" (column {found[2]})" if found[2] else ""
    return int(found[1] or 1), f"{str(error)[: found.start()]}{column}"
