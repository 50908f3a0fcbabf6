"""Sources → an inventory: what each gave, includes followed, the same member once, in the order of names."""

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pgwatch_wed.fleet.inventory import source_text
from pgwatch_wed.fleet.inventory.listing import Include, Listing, Located, SourceFailureError
from pgwatch_wed.fleet.inventory.member_table import with_common
from pgwatch_wed.fleet.inventory.merging import merged
from pgwatch_wed.fleet.inventory.service_file import service_members
from pgwatch_wed.fleet.inventory.source_kinds import STANDARD_INPUT, locate
from pgwatch_wed.fleet.inventory.toml_file import toml_members
from pgwatch_wed.fleet.members import Inventory, Member, Source

TIMEOUT_S = 30.0

_READERS: Mapping[str, Callable[[str, Located, Mapping[str, Any]], Listing]] = {
    "service": lambda text, located, _common: service_members(text, located),
    "toml": toml_members,
}

# Their readers take what is common to all, since a cluster there may say otherwise.
_OWN = ("toml", "json")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A source that is to be read, where its relative paths begin, and the sources that include it."""

    include: Include
    folder: Path
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """What became of a source."""

    source: Source
    listing: Listing
    asked: _Asked
    located: Located | None = None


def read(
    sources: Sequence[str],
    *,
    folder: Path | None = None,
    timeout_s: float = TIMEOUT_S,
    selects: Callable[[Member], bool] = lambda _member: True,
) -> Inventory:
    """Read all sources; what is wrong in one costs only that.

    Relative paths begin in ``folder``, by default the working directory. A source that answers has ``timeout_s``
    seconds. Members that ``selects`` refuses are only counted. Nothing is raised: an inventory says what is wrong.
    """
    start = folder or Path()
    waiting = [_Asked(Include(source, ""), start) for source in dict.fromkeys(sources)]
    given: list[_Given] = []
    known: set[str] = set()
    while waiting:
        found = [each for asked in waiting for each in _given(asked, known, timeout_s)]
        given += found
        waiting = [inner for each in found for inner in _included(each)]
    members, left_out = merged([(each.listing, each.source.label) for each in given])
    chosen = [m for m in members if selects(m)]
    return Inventory(
        members=tuple(sorted(chosen, key=lambda m: m.name)),
        left_out=tuple(left_out),
        sources=tuple(each.source for each in given),
        not_selected=len(members) - len(chosen),
    )


def _given(asked: _Asked, known: set[str], timeout_s: float) -> Iterator[_Given]:
    """Read a source, unless it was read already."""
    label, kind = asked.include.source, "?"
    try:
        located = locate(asked.include.source, asked.folder)
        label, kind = located.label, located.kind
        if _identity(located) in asked.chain:
            cycle = " → ".join((*asked.chain, _identity(located)))
            raise SourceFailureError(f"a cycle of includes: {cycle}")
        if _identity(located) in known:
            return
        known.add(_identity(located))
        listing = _listing(located, asked.include.common, timeout_s)
    except SourceFailureError as failure:
        by = f" (included by {asked.include.place})" if asked.include.place else ""
        source = Source(label, kind, 0, failure=f"{failure}{by}")
        yield _Given(source, Listing(), asked)
        return
    yield _Given(Source(label, kind, len(listing.members)), listing, asked, located)


def _listing(located: Located, common: Mapping[str, Any], timeout_s: float) -> Listing:
    text = (
        source_text.of_standard_input(timeout_s)
        if located.value == STANDARD_INPUT
        else source_text.of_file(Path(located.value))
    )
    reader = _READERS.get(located.kind)
    if reader is None:
        raise SourceFailureError("its kind cannot be read")
    listing = reader(text, located, common)
    return listing if located.kind in _OWN else _with_common(listing, common)


def _with_common(listing: Listing, common: Mapping[str, Any]) -> Listing:
    variables = set(listing.variables)
    members = tuple(with_common(m, common, variables) for m in listing.members)
    return replace(listing, members=members, variables=frozenset(variables))


def _identity(located: Located) -> str:
    """Return what makes two sources the same one."""
    if located.kind in ("exec", "patroni") or located.value == STANDARD_INPUT:
        return f"{located.kind}:{located.value}"
    return str(Path(located.value).resolve())


def _included(given: _Given) -> Iterator[_Asked]:
    """Return the sources that a source names, with names of several files resolved."""
    if given.located is None:
        return
    folder = given.located.folder
    chain = (*given.asked.chain, _identity(given.located))
    for include in given.listing.includes:
        if glob.has_magic(include.source) and ":" not in include.source:
            for path in sorted(folder.glob(include.source)):
                yield _Asked(replace(include, source=str(path)), folder, chain)
        else:
            yield _Asked(include, folder, chain)
