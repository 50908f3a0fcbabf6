"""An inventory → text for a terminal of 80 columns, and JSON. Nothing in them is secret."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from unicodedata import combining, east_asian_width

from pgwatch_wed import units
from pgwatch_wed.errors import redact
from pgwatch_wed.fleet.inventory.member_table import DAYS
from pgwatch_wed.fleet.members import AllowedTime, Inventory, LeftOut, Member, Source
from pgwatch_wed.render.characters import visible_line
from pgwatch_wed.target import connect

_WIDTH = 80
_WIDEST_NAME, _WIDEST_GROUP = 28, 16


def text(inventory: Inventory) -> str:
    """Return what ``fleet list`` prints."""
    lines = [*_sources(inventory.sources), ""]
    lines += _members(inventory.members) if inventory.members else ["No clusters."]
    if inventory.left_out:
        lines += ["", "Left out:", *(f"  {left_out_line(e)}" for e in inventory.left_out)]
    lines += ["", _counts(inventory)]
    return "\n".join(lines)


def source_line(source: Source) -> str:
    """Say on one line what a source gave, or why it gave nothing."""
    count = _clusters(source.members)
    if not source.failure:
        return _clean(f"{source.label}: {count}")
    kept = ""
    if source.kept_age_s is not None:
        age = units.duration(source.kept_age_s * 1000)
        kept = f"; its last good list stands for it: {count}, {age} old"
    return _clean(f"{source.label}: {source.failure}{kept}")


def left_out_line(entry: LeftOut) -> str:
    """Say on one line where something is left out, what, and why."""
    name = f"{entry.name!r}: " if entry.name else ""
    return _clean(f"{entry.place}: {name}{entry.reason}")


def _clean(line: str) -> str:
    return visible_line(redact(line))


def _clusters(count: int) -> str:
    return f"{count:,} cluster{'' if count == 1 else 's'}"


def _sources(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        yield source_line(source)


def _members(members: Sequence[Member]) -> Iterator[str]:
    rows = [(visible_line(m.name), visible_line(m.group), m) for m in members]
    columns = _columns("cluster", (name for name, _, _ in rows), _WIDEST_NAME)
    groups = _columns("group", (group for _, group, _ in rows), _WIDEST_GROUP)
    groups = groups if any(group for _, group, _ in rows) else 0
    begin = columns + 2 + (groups + 2 if groups else 0)

    def row(name: str, group: str, rest: str) -> str:
        middle = f"{_padded(group, groups)}  " if groups else ""
        return f"{_padded(name, columns)}  {middle}{rest}".rstrip()

    yield row("cluster", "group", "servers")
    for name, group, member in rows:
        servers, remarks = [_label(t) for t in member.targets], [*_remarks(member)]
        fits = _width(name) <= columns and _width(group) <= groups
        if fits and max(map(_width, servers)) <= _WIDTH - begin:
            first, *others = [*servers, *_wrapped(remarks, _WIDTH - begin)]
            yield row(name, group, first)
            yield from (f"{'':{begin}}{other}" for other in others)
        else:  # what does not fit has lines of its own, so that the others keep their columns
            yield f"{name}  {group}".rstrip()
            yield from (f"    {each}" for each in [*servers, *_wrapped(remarks, _WIDTH - 4)])


def _columns(head: str, texts: Iterable[str], widest: int) -> int:
    return min(max([len(head), *map(_width, texts)]), widest)


def _wrapped(texts: Iterable[str], width: int) -> Iterator[str]:
    for each in texts:
        yield from textwrap.wrap(
            each, width, break_long_words=False, break_on_hyphens=False, subsequent_indent=" "
        )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    return 0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1


def _label(target: str) -> str:
    return _clean(connect.label(target))


def _remarks(member: Member) -> Iterator[str]:
    if not member.is_enabled:
        yield "(disabled)"
    if member.allowed is not None:
        yield f"(only {window(member.allowed)})"
    take, leave = member.databases.take, member.databases.leave
    if take:
        without = f" without {', '.join(leave)}" if leave else ""
        yield _clean(f"(databases {', '.join(take)}{without})")
    if member.budget_s is not None:
        yield f"(at most {units.duration(member.budget_s * 1000)})"
    if member.tags:
        yield _clean(f"({', '.join(f'{key}={value}' for key, value in member.tags.items())})")


def window(allowed: AllowedTime) -> str:
    """Return when a cluster may be visited, as an inventory writes it."""
    which = f"{_days(sorted(allowed.days))} " if len(allowed.days) < len(DAYS) else ""
    return f"{which}{allowed.begins:%H:%M}-{allowed.ends:%H:%M} UTC"


def _days(days: Sequence[int]) -> str:
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)


def _counts(inventory: Inventory) -> str:
    disabled = sum(not m.is_enabled for m in inventory.members)
    wrong = sum(e.is_wrong for e in inventory.left_out)
    failed = sum(bool(s.failure) for s in inventory.sources)
    parts = [
        _clusters(len(inventory.members)),
        *([f"{disabled:,} disabled"] if disabled else []),
        *([f"{inventory.not_selected:,} not selected"] if inventory.not_selected else []),
        *([f"{len(inventory.left_out):,} left out"] if inventory.left_out else []),
        *([f"{wrong:,} to mend in the inventory"] if wrong else []),
        *([f"{failed:,} of {len(inventory.sources):,} sources failed"] if failed else []),
    ]
    return f"{', '.join(parts)}."


def document(inventory: Inventory) -> dict[str, Any]:
    """Return what ``fleet list --format json`` prints."""
    return {
        "clusters": [_member(m) for m in inventory.members],
        "left_out": [
            {
                "name": e.name,
                "place": redact(e.place),
                "reason": redact(e.reason),
                "is_wrong": e.is_wrong,
            }
            for e in inventory.left_out
        ],
        "sources": [
            {
                "source": redact(s.label),
                "kind": s.kind,
                "clusters": s.members,
                "failure": redact(s.failure) or None,
                "kept_age_s": s.kept_age_s,
            }
            for s in inventory.sources
        ],
        "not_selected": inventory.not_selected,
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "name": member.name,
        "servers": [redact(connect.label(target)) for target in member.targets],
        "databases": {"take": list(member.databases.take), "leave": list(member.databases.leave)},
        "tags": dict(member.tags),
        "group": member.group,
        "budget_s": member.budget_s,
        "window": window(member.allowed) if member.allowed else None,
        "enabled": member.is_enabled,
        "place": redact(member.place),
    }
