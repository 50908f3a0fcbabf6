"""Our own inventory in TOML: ``[[clusters]]``, what is common to them, and further sources.

A cluster that is no valid TOML costs only itself: then each ``[[clusters]]`` is read by itself.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from pgwatch_wed.fleet.inventory.listing import Include, Listing, Located
from pgwatch_wed.fleet.inventory.member_table import (
    COMMON_KEYS,
    WrongEntryError,
    check_keys,
    choices,
    member,
    tags,
)
from pgwatch_wed.fleet.members import LeftOut

TOP_KEYS = ("clusters", "include", "defaults")
_HEADER = re.compile(r"^[ \t]*\[\[[ \t]*clusters[ \t]*\]\]", re.MULTILINE)
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


class _Reader:
    """The state of reading one file."""

    def __init__(self, located: Located, common: Mapping[str, Any]) -> None:
        self.label = located.label
        self.common = dict(common)
        self.members: list[Any] = []
        self.left_out: list[LeftOut] = []
        self.includes: list[Include] = []
        self.variables: set[str] = set()

    def place(self, line: int) -> str:
        return f"{self.label}:{line}" if line else self.label

    def refuse(self, name: Any, line: int, why: str) -> None:
        shown = name if isinstance(name, str) else ""
        self.left_out.append(LeftOut(shown, self.place(line), why, is_wrong=True))

    def cluster(self, table: Any, line: int) -> None:
        try:
            found = member(table, self.place(line), self.common, self.variables)
        except WrongEntryError as error:
            self.refuse(table.get("name") if isinstance(table, dict) else "", line, str(error))
        else:
            self.members.append(found)

    def head(self, document: Mapping[str, Any]) -> None:
        """Read what is not a cluster."""
        for key in document:
            if key not in TOP_KEYS:
                self.refuse(
                    "", 0, f"unknown key {key[:60]!r}; known keys are {', '.join(TOP_KEYS)}"
                )
        self._defaults(document.get("defaults", {}))
        includes = document.get("include", [])
        for each in includes if isinstance(includes, list) else [includes]:
            self._include(each)

    def _defaults(self, table: Any) -> None:
        try:
            self.common = joined(self.common, checked_common(table))
        except WrongEntryError as error:
            self.refuse("", 0, f"defaults: {error}")

    def _include(self, entry: Any) -> None:
        table = {"source": entry} if isinstance(entry, str) else entry
        try:
            if not isinstance(table, dict) or not isinstance(table.get("source"), str):
                raise WrongEntryError("must name a source")
            common = {key: value for key, value in table.items() if key != "source"}
            common = joined(self.common, checked_common(common))
        except WrongEntryError as error:
            self.refuse("", 0, f"include: {error}")
        else:
            self.includes.append(Include(table["source"], self.label, common))

    def listing(self) -> Listing:
        return Listing(
            tuple(self.members),
            tuple(self.left_out),
            tuple(self.includes),
            frozenset(self.variables),
        )


def toml_members(text: str, located: Located, common: Mapping[str, Any]) -> Listing:
    """Return the members and the includes of a file."""
    reader = _Reader(located, common)
    starts = [found.start() for found in _HEADER.finditer(text)]
    lines = [text.count("\n", 0, start) + 1 for start in starts]
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        _by_parts(reader, text, starts, lines)
        return reader.listing()
    reader.head(document)
    clusters = document.get("clusters", [])
    if not isinstance(clusters, list):
        reader.refuse("", 0, "clusters must be written as [[clusters]]")
        return reader.listing()
    known = lines if len(lines) == len(clusters) else [0] * len(clusters)
    for table, line in zip(clusters, known, strict=True):
        reader.cluster(table, line)
    return reader.listing()


def _by_parts(reader: _Reader, text: str, starts: list[int], lines: list[int]) -> None:
    parts = zip([0, *starts], [*starts, len(text)], [1, *lines], strict=True)
    for number, (begin, end, line) in enumerate(parts):
        try:
            document = tomllib.loads(text[begin:end])
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            at, why = _position(error)
            reader.refuse("", line + at - 1, f"not valid TOML: {why}")
            continue
        if number == 0:
            reader.head(document)
            continue
        for table in document.pop("clusters"):
            reader.cluster(table, line)
        for key in document:
            reader.refuse(
                "", line, f"{key[:60]!r} stands after [[clusters]]; write it before the first"
            )


def _position(error: Exception) -> tuple[int, str]:
    """Return the line of an error, from 1, and what it says."""
    found = _AT.search(str(error))
    if found is None:
        return 1, "nested too deeply" if isinstance(error, RecursionError) else str(error)
    column = f" (column {found[2]})" if found[2] else ""
    return int(found[1] or 1), f"{str(error)[: found.start()]}{column}"


def checked_common(table: Any) -> dict[str, Any]:
    """Return what is said about several clusters, or say what is wrong about it."""
    if not isinstance(table, dict):
        raise WrongEntryError("must be a table")
    check_keys(table, COMMON_KEYS)
    choices(table)
    tags(table.get("tags", {}))
    return dict(table)


def joined(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is common with what is said nearer by: the nearer counts, tags are united."""
    both = {**outer, **inner}
    if "tags" in both:
        both["tags"] = {**outer.get("tags", {}), **inner.get("tags", {})}
    return both
