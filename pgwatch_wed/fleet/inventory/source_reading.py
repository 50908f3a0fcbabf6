"""Sources → an inventory: what each gave, includes followed, the same member once, in the order of names."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.errors import redact
from pgwatch_wed.fleet.inventory.include_patterns import expanded
from pgwatch_wed.fleet.inventory.kept_lists import KeptLists, default_folder
from pgwatch_wed.fleet.inventory.listing import Include, Listing, Located, SourceFailureError
from pgwatch_wed.fleet.inventory.merging import merged
from pgwatch_wed.fleet.inventory.source_answers import texts_of
from pgwatch_wed.fleet.inventory.source_documents import listing_of, named
from pgwatch_wed.fleet.inventory.source_kinds import STANDARD_INPUT, locate
from pgwatch_wed.fleet.members import Inventory, Member, Source

TIMEOUT_S = 30.0


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
    kept_in: Path | None = None,
    forgets: bool = False,
) -> Inventory:
    """Read all sources; what is wrong in one costs only that.

    Relative paths begin in ``folder``, by default the working directory. A source has ``timeout_s`` seconds to
    answer; if it fails, its last good list stands for it, which is in ``kept_in``, by default in the user's state
    directory, unless ``forgets``. Members that ``selects`` refuses are only counted. Nothing is raised: an inventory
    says what is wrong.
    """
    kept = KeptLists(kept_in or default_folder(), forgets=forgets)
    waiting = [_Asked(Include(source, ""), folder or Path()) for source in dict.fromkeys(sources)]
    given: list[_Given] = []
    known: set[str] = set()
    while waiting:
        found = _read_together(waiting, known, timeout_s, kept)
        given += found
        waiting = [inner for each in found for inner in _included(each)]
    members, left_out = merged([(each.listing, each.source.label) for each in given])
    chosen = [m for m in members if selects(m)]
    return Inventory(
        members=tuple(sorted(chosen, key=lambda m: m.name)),
        left_out=tuple(left_out),
        sources=tuple(each.source for each in given),
        not_selected=len(members) - len(chosen),
        asked=tuple(each.source.label for each in given if not each.asked.chain),
    )


def _read_together(
    waiting: Sequence[_Asked], known: set[str], timeout_s: float, kept: KeptLists
) -> list[_Given]:
    """Read sources, except those that were read already; all wait for their answers at the same time."""
    located: list[tuple[_Asked, Located | SourceFailureError]] = []
    for asked in waiting:
        try:
            place = _located(asked)
        except SourceFailureError as failure:
            located.append((asked, failure))
            continue
        if _identity(place) not in known:
            known.add(_identity(place))
            located.append((asked, place))
    places = [place for _, place in located if isinstance(place, Located)]
    texts = iter(texts_of(places, timeout_s))
    return [
        _failed(asked, place)
        if isinstance(place, SourceFailureError)
        else _given(asked, place, next(texts), kept)
        for asked, place in located
    ]


def _located(asked: _Asked) -> Located:
    place = locate(asked.include.source, asked.folder)
    if _identity(place) in asked.chain:
        cycle = " → ".join((*asked.chain, _identity(place)))
        raise SourceFailureError(f"a cycle of includes: {cycle}")
    return place


def _failed(asked: _Asked, failure: SourceFailureError) -> _Given:
    source = Source(redact(asked.include.source), "?", 0, _by(asked, failure))
    return _Given(source, Listing(), asked)


def _by(asked: _Asked, failure: SourceFailureError) -> str:
    by = f" (included by {asked.include.place})" if asked.include.place else ""
    return f"{failure}{by}"


def _given(
    asked: _Asked, located: Located, text: str | SourceFailureError, kept: KeptLists
) -> _Given:
    identity = _identity(located)
    try:
        if isinstance(text, SourceFailureError):
            raise text
        listing = named(listing_of(text, located, asked.include.common), asked.include.name)
        kept.check(identity, located, listing)
    except SourceFailureError as failure:
        reason = _by(asked, failure)
        found = kept.last(identity)
        if found is None:
            return _Given(Source(located.label, located.kind, 0, reason), Listing(), asked)
        count, age_s = len(found.listing.members), found.age_s
        source = Source(located.label, located.kind, count, reason, age_s)
        return _Given(source, expanded(found.listing, located.folder, kept), asked, located)
    kept.keep(identity, located, listing)
    source = Source(located.label, located.kind, len(listing.members))
    return _Given(source, expanded(listing, located.folder, kept), asked, located)


def _identity(located: Located) -> str:
    """Return what makes two sources the same one."""
    if located.kind in ("exec", "patroni") or located.value == STANDARD_INPUT:
        return f"{located.kind}:{located.value}"
    try:
        return str(Path(located.value).resolve())
    except (OSError, RuntimeError):  # a loop of links: reading it says so
        return str(Path(located.value).absolute())


def _included(given: _Given) -> Iterator[_Asked]:
    """Return the sources that a source names."""
    if given.located is not None:
        chain = (*given.asked.chain, _identity(given.located))
        yield from (_Asked(i, given.located.folder, chain) for i in given.listing.includes)
