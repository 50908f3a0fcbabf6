"""Our own description of a fleet, whatever wrote it: clusters, what is common to them, further sources."""

from collections.abc import Mapping
from typing import Any

from pgwatch_wed.fleet.inventory.listing import Include, Listing
from pgwatch_wed.fleet.inventory.member_table import (
    COMMON_KEYS,
    WrongEntryError,
    check_keys,
    checked_name,
    choices,
    member,
    tags,
    unknown,
)
from pgwatch_wed.fleet.members import LeftOut, Member

TOP_KEYS = ("clusters", "include", "defaults")


class OwnForm:
    """The state of reading one source."""

    def __init__(self, label: str, common: Mapping[str, Any]) -> None:
        self._label = label
        self._common = dict(common)
        self._members: list[Member] = []
        self._left_out: list[LeftOut] = []
        self._includes: list[Include] = []
        self._variables: set[str] = set()

    def refuse(self, why: str, place: str = "", name: Any = "") -> None:
        """Leave something out; ``place`` is the source by default."""
        shown = name if isinstance(name, str) else ""
        self._left_out.append(LeftOut(shown, place or self._label, why, is_wrong=True))

    def cluster(self, table: Any, place: str) -> None:
        """Read a cluster."""
        try:
            found = member(table, place, self._common, self._variables)
        except WrongEntryError as error:
            self.refuse(str(error), place, table.get("name") if isinstance(table, dict) else "")
        else:
            self._members.append(found)

    def head(self, document: Mapping[str, Any]) -> None:
        """Read what is not a cluster."""
        for key in document:
            if key not in TOP_KEYS:
                self.refuse(unknown(key, TOP_KEYS))
        try:
            defaults = checked_common(document.get("defaults", {}))
            self._common = joined(self._common, defaults)
        except WrongEntryError as error:
            self.refuse(f"defaults: {error}")
        includes = document.get("include", [])
        for each in includes if isinstance(includes, list) else [includes]:
            self._include(each)

    def _include(self, entry: Any) -> None:
        table = {"source": entry} if isinstance(entry, str) else entry
        try:
            if not isinstance(table, dict) or not isinstance(table.get("source"), str):
                raise WrongEntryError("must name a source")
            common = {key: each for key, each in table.items() if key not in ("source", "name")}
            common = joined(self._common, checked_common(common))
            name = checked_name(table["name"]) if isinstance(table.get("name"), str) else ""
        except WrongEntryError as error:
            self.refuse(f"include: {error}")
        else:
            self._includes.append(Include(table["source"], self._label, common, name))

    def listing(self) -> Listing:
        """Return what was read."""
        return Listing(
            tuple(self._members),
            tuple(self._left_out),
            tuple(self._includes),
            frozenset(self._variables),
        )


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
