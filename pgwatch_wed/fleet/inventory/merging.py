"""The members of several sources → each once."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pgwatch_wed.fleet.inventory.listing import Listing
from pgwatch_wed.fleet.members import LeftOut, Member
from pgwatch_wed.target import connect


def merged(listings: Iterable[tuple[Listing, str]]) -> tuple[list[Member], list[LeftOut]]:
    """Return the members of all listings, each with the label of its source, and what they leave out.

    Two sources may name the same member: then the targets are united, and what the first says counts. Two members
    of one name without a common server are a mistake, of which the second is left out.
    """
    found: dict[str, tuple[Member, str]] = {}
    left_out: list[LeftOut] = []
    for listing, label in listings:
        left_out += listing.left_out
        for member in listing.members:
            if member.name not in found:
                found[member.name] = (member, label)
                continue
            first, source = found[member.name]
            if source != label and _servers(first.targets) & _servers(member.targets):
                found[member.name] = (_united(first, member), source)
            else:
                why = f"duplicate name; the first is at {first.place}"
                left_out.append(LeftOut(member.name, member.place, why, is_wrong=True))
    return [member for member, _ in found.values()], left_out


def _servers(targets: Sequence[str]) -> set[str]:
    return {connect.label(target).rpartition("/")[0] or target for target in targets}


def _united(first: Member, second: Member) -> Member:
    servers = _servers(first.targets)
    more = (t for t in second.targets if not _servers((t,)) & servers)
    return replace(
        first,
        targets=(*first.targets, *more),
        tags={**second.tags, **first.tags},
        group=first.group or second.group,
    )
