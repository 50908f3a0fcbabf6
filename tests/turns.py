"""On which of the chosen servers a case runs: its subject decides, and else its turn."""

import zlib
from collections.abc import Sequence

import pytest

from tests.servers import ServerSpec


def of(item: pytest.Item, chosen: Sequence[ServerSpec]) -> list[ServerSpec]:
    """Return the servers of a test that asks for every server; its marks say how many these are."""
    needs = list(item.iter_markers("pg"))
    fitting = [s for s in chosen if all(s.fits(*n.args, **n.kwargs) for n in needs)]
    ordered = sorted(fitting, key=lambda s: (s.major, s.name))
    if item.get_closest_marker("all_versions"):
        return ordered
    if mark := item.get_closest_marker("spread"):
        return spread(ordered, _without_servers(item.nodeid, chosen), mark.args[0])
    return edges(ordered, item.nodeid.split("[")[0])


def spread(ordered: Sequence[ServerSpec], key: str, number: int) -> list[ServerSpec]:
    """Return so many of the servers, in turn."""
    if number >= len(ordered):
        return list(ordered)
    step = len(ordered) // number
    first = zlib.crc32(key.encode())
    return [ordered[(first + n * step) % len(ordered)] for n in range(number)]


def edges(ordered: Sequence[ServerSpec], key: str) -> list[ServerSpec]:
    """Return the oldest and the newest of the servers; for every other test, in turn, one in between as well."""
    has_another = zlib.crc32(f"between {key}".encode()) % 2 == 0
    between = spread(ordered[1:-1], key, 1) if has_another else []
    return [*ordered[:1], *between, *ordered[1:][-1:]]


def _without_servers(nodeid: str, chosen: Sequence[ServerSpec]) -> str:
    for spec in chosen:
        nodeid = nodeid.replace(spec.name, "")
    return nodeid
