"""What most clusters of a group have in common, and some do not: versions, settings, extensions, tables, indexes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed.fleet.review.reviews import Drift, VersionCount
from pgwatch_wed.fleet.traits import Indexes, Traits

LEAST = 3
"""Of fewer clusters, nobody can say what is usual."""

KINDS = ("version", "setting", "extension", "table", "index")
"""What can differ, in the order of the review."""

_USUAL = 0.6
NONE = ""
_DEFAULT = "the default"
# Memory, disks and the number of clients differ between machines, and these follow them.
_OF_MACHINE = frozenset(
    (
        *("shared_buffers", "effective_cache_size", "maintenance_work_mem", "max_connections"),
        *("max_worker_processes", "max_parallel_workers", "max_wal_size", "min_wal_size"),
    )
)


@dataclass(frozen=True, slots=True)
class Sibling:
    """A cluster with what it is compared by."""

    member: str
    group: str
    traits: Traits


def drifts(siblings: Iterable[Sibling]) -> tuple[Drift, ...]:
    """Return what differs, by group: what concerns the fewest clusters first."""
    groups: dict[str, list[Sibling]] = defaultdict(list)
    for each in siblings:
        groups[each.group].append(each)
    found = [d for name, own in groups.items() if len(own) >= LEAST for d in _drifts(name, own)]
    return tuple(sorted(found, key=lambda d: (KINDS.index(d.kind), d.group, d.differing, d.name)))


def _drifts(group: str, own: list[Sibling]) -> Iterator[Drift]:
    yield from _versions(group, own)
    yield from _settings(group, own)
    yield from _extensions(group, own)
    yield from _schemas(group, own)


def _drift(kind: str, group: str, name: str, values: Mapping[str, str]) -> Drift | None:
    """Compare the values of clusters; None if all have the same, or if none is usual."""
    counts = Counter(values.values())
    if len(values) < LEAST or len(counts) < 2:
        return None
    usual, having = max(counts.items(), key=lambda item: (item[1], item[0]))
    if having < _USUAL * len(values):
        return None
    others: dict[str, list[str]] = defaultdict(list)
    for member, value in values.items():
        if value != usual:
            others[value].append(member)
    differing = ((value, tuple(members)) for value, members in sorted(others.items()))
    return Drift(kind, group, name, usual, having, len(values), tuple(differing))


def _versions(group: str, own: list[Sibling]) -> Iterator[Drift]:
    found = _drift("version", group, "PostgreSQL", {s.member: s.traits.version for s in own})
    if found:
        yield found


def _settings(group: str, own: list[Sibling]) -> Iterator[Drift]:
    known = [s for s in own if "settings" not in s.traits.unread]
    for name in sorted({name for s in known for name in s.traits.settings} - _OF_MACHINE):
        values = {s.member: s.traits.settings.get(name, _DEFAULT) for s in known}
        found = _drift("setting", group, name, values)
        if found:
            yield found


def _extensions(group: str, own: list[Sibling]) -> Iterator[Drift]:
    by_member = {s.member: _installed(s.traits) for s in own if s.traits.extensions}
    for name in sorted({name for found in by_member.values() for name in found}):
        values = {member: found.get(name, NONE) for member, found in by_member.items()}
        found = _drift("extension", group, name, values)
        if found:
            yield found


def _installed(traits: Traits) -> dict[str, str]:
    """Return the extensions of all databases of a cluster with their versions."""
    found: dict[str, set[str]] = defaultdict(set)
    for own in traits.extensions.values():
        for name, version in own.items():
            found[name].add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


# --- schemas --------------------------------------------------------------------------------------


def _schemas(group: str, own: list[Sibling]) -> Iterator[Drift]:
    """Compare the tables of databases that are called alike, or of clusters with one database each."""
    for database, schemas in _comparable(own):
        tables = Counter(table for schema in schemas.values() for table in schema)
        prefix = f"{database}: " if database else ""
        for table, count in sorted(tables.items()):
            if count < _USUAL * len(schemas):
                continue
            have = {m: "there" if table in s else NONE for m, s in schemas.items()}
            found = _drift("table", group, f"{prefix}{table}", have)
            if found:
                yield found
            mine = {m: s[table] for m, s in schemas.items() if table in s}
            yield from _indexes(group, f"{prefix}{table}", mine)


def _indexes(group: str, table: str, mine: Mapping[str, Iterable[str]]) -> Iterator[Drift]:
    forms = {member: set(found) for member, found in mine.items()}
    for form in sorted({f for found in forms.values() for f in found}):
        have = {m: "there" if form in found else NONE for m, found in forms.items()}
        found = _drift("index", group, f"{table} {form}", have)
        if found:
            yield found


def _comparable(own: list[Sibling]) -> Iterator[tuple[str, dict[str, Indexes]]]:
    by_name: dict[str, dict[str, Indexes]] = defaultdict(dict)
    for s in own:
        for database in s.traits.databases:
            schema = s.traits.indexes(database)
            if schema is not None:
                by_name[database][s.member] = schema
    shared = {name: found for name, found in by_name.items() if len(found) >= LEAST}
    if len(shared) == 1:
        yield "", next(iter(shared.values()))
        return
    yield from sorted(shared.items())
    if not shared and all(len(s.traits.databases) <= 1 for s in own):
        each = {m: schema for found in by_name.values() for m, schema in found.items()}
        if len(each) >= LEAST:
            yield "", each


# --- versions -------------------------------------------------------------------------------------


def versions(siblings: Iterable[Sibling]) -> tuple[VersionCount, ...]:
    """Return who runs which version, the newest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in siblings:
        if each.traits.version:
            found[each.traits.version].append(each.member)
    newest: dict[int, str] = {}
    for version in sorted(found, key=_parts):
        newest[_parts(version)[0]] = version
    return tuple(
        VersionCount(version, tuple(found[version]), newest[_parts(version)[0]])
        for version in sorted(found, key=_parts, reverse=True)
    )


def _parts(version: str) -> tuple[int, int, str]:
    """Return major and minor of ``17.6``, ``18beta1`` or ``15.18 (Debian 15.18-1)``."""
    head = version.split(" ")[0]
    major, _, minor = head.partition(".")
    digits = "".join(c for c in major if c.isdecimal()) if major.isdecimal() else major[:2]
    return (
        int(digits) if digits.isdecimal() else 0,
        int(minor) if minor.isdecimal() else -1,
        version,
    )
