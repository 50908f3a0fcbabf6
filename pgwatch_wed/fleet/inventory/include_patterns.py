"""Includes that stand for several files, such as ``conf.d/*.toml`` → an include for each file."""

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pgwatch_wed.fleet.inventory.kept_lists import KeptLists
from pgwatch_wed.fleet.inventory.listing import Include, Listing, Located
from pgwatch_wed.fleet.members import LeftOut


def expanded(listing: Listing, folder: Path, kept: KeptLists) -> Listing:
    """Return the same with its patterns resolved, which begin in ``folder``.

    A pattern that fits nothing is listed as left out: an empty directory is no mistake, and a name with a mistake is
    found there. If it did fit files the last time, these are asked for: a file system that is not mounted is no empty fleet.
    """
    includes: list[Include] = []
    left_out = list(listing.left_out)
    for include in listing.includes:
        if ":" in include.source or not glob.has_magic(include.source):
            includes.append(include)
            continue
        found = _files(include, folder, kept)
        includes += found
        if not found:
            left_out.append(LeftOut("", include.place, f"include {include.source!r} fits no file"))
    return replace(listing, includes=tuple(includes), left_out=tuple(left_out))


def _files(include: Include, folder: Path, kept: KeptLists) -> Sequence[Include]:
    paths = sorted(glob.glob(include.source, root_dir=folder))  # noqa: PTH207 - may be absolute
    identity = f"pattern:{folder.absolute() / include.source}"
    before = None if paths else kept.last(identity)
    if before is not None:
        return before.listing.includes
    found = tuple(replace(include, source=path) for path in paths)
    place = Located("pattern", include.source, include.source, folder)
    kept.keep(identity, place, Listing(includes=found))
    return found
