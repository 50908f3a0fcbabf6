"""What one source gives, and how it says that it cannot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgwatch_wed.fleet.members import LeftOut, Member


class SourceFailureError(Exception):
    """A source gave no list at all: one line that says why, without secrets."""


@dataclass(frozen=True, slots=True)
class Include:
    """Another source that a source names, and what it says about all of its members.

    ``common`` has the keys of a cluster; ``target`` in it are parameters that each target of the source lacks.
    ``name`` is that of its only cluster: many of Patroni's have the same one.
    """

    source: str
    place: str
    common: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The members that a source names, what it leaves out, and which sources it includes.

    ``variables`` are the environment variables that its targets took values from.
    """

    members: tuple[Member, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    includes: tuple[Include, ...] = ()
    variables: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Located:
    """A source whose kind is known: a file, a URL or a command, and where relative names in it begin.

    ``is_text``: a file or standard input, also of a kind that is asked over the network otherwise.
    """

    kind: str
    value: str
    label: str
    folder: Path
    is_text: bool = False
