"""Documents of other programs: a mapping, or a list whose entries know where they stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.fleet.members import LeftOut


@dataclass(frozen=True, slots=True)
class Entry:
    """One of a list: what it says, where it stands, and why it cannot be read, if so."""

    value: Any
    place: str
    problem: str = ""

    def left_out(self, name: str, why: str, *, is_wrong: bool = False) -> LeftOut:
        """Say why it is not visited."""
        return LeftOut(name, self.place, why, is_wrong)


SourceDocument = dict[str, Any] | list[Entry]


def entries(values: Any, place: str) -> list[Entry]:
    """Return the entries of a list without positions, counted from 1."""
    found = values if isinstance(values, list) else []
    return [Entry(value, f"{place}, entry {number}") for number, value in enumerate(found, 1)]


def mappings(document: SourceDocument, key: str, place: str) -> Iterator[Entry]:
    """Yield the entries of a list, or of the list under a key of a mapping."""
    if isinstance(document, dict):
        yield from entries(document.get(key), place)
    else:
        yield from document


def text_of(value: Any) -> str:
    """Return what should be a text; empty if it is none."""
    return value if isinstance(value, str) else ""


def list_of(value: Any) -> list[Any]:
    """Return what should be a list; empty if it is none."""
    return value if isinstance(value, list) else []


def mapping_of(value: Any) -> dict[str, Any]:
    """Return what should be a mapping; empty if it is none."""
    return value if isinstance(value, dict) else {}
