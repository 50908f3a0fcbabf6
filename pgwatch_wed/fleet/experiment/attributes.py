"""What clusters may have in common: each value of a version, a setting, an extension, an index or a tag."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pgwatch_wed.fleet.traits import Traits


class AttributeKind(StrEnum):
    """What an attribute is of."""

    VERSION = "version"
    MAJOR = "major version"
    SETTING = "setting"
    EXTENSION = "extension"
    INDEX = "index"
    TAG = "tag"


ALL_KINDS = frozenset(AttributeKind)

FeatureKey = tuple[AttributeKind, str]
"""What can be compared: a kind and a name, such as a setting's."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value of a feature; None if the cluster has none: a default, or no such extension, index or tag.

    ``is_other``: any value but this one.
    """

    kind: AttributeKind
    name: str
    value: str | None
    is_other: bool = False

    @property
    def label(self) -> str:
        """Name it for a reader."""
        if self.is_other:
            return f"not {Attribute(self.kind, self.name, self.value).label}"
        return _LABELS[self.kind](self.name, self.value)


def _setting(name: str, value: str | None) -> str:
    return f"{name} = {value}" if value is not None else f"{name} at its default"


def _extension(name: str, value: str | None) -> str:
    return f"extension {name} {value}" if value is not None else f"no extension {name}"


def _index(name: str, value: str | None) -> str:
    return f"the index {name}" if value is not None else f"no index {name}"


def _tag(name: str, value: str | None) -> str:
    return f"tag {name}={value}" if value is not None else f"no tag {name}"


_LABELS = {
    AttributeKind.VERSION: lambda _, value: f"PostgreSQL {value}",
    AttributeKind.MAJOR: lambda _, value: f"PostgreSQL {value}",
    AttributeKind.SETTING: _setting,
    AttributeKind.EXTENSION: _extension,
    AttributeKind.INDEX: _index,
    AttributeKind.TAG: _tag,
}

# What the client or the host sets, wherever a query runs.
_OF_PLACE = frozenset(("client_encoding", "TimeZone", "log_timezone"))


@dataclass(frozen=True, slots=True)
class ClusterFeatures:
    """Of one cluster: the values by feature. Of the kinds that are not known, nothing is compared."""

    values: Mapping[FeatureKey, str]
    known: frozenset[AttributeKind] = ALL_KINDS


def features_of(
    traits: Traits, tags: Mapping[str, str], database: str, tables: Iterable[str] = ()
) -> ClusterFeatures:
    """Return what a cluster may share with others, in one of its databases; ``tables`` are those whose indexes matter."""
    found: dict[FeatureKey, str] = {(AttributeKind.TAG, k): v for k, v in tags.items()}
    known = {AttributeKind.TAG}
    if traits.version:
        known |= {AttributeKind.VERSION, AttributeKind.MAJOR}
        found[AttributeKind.VERSION, ""] = traits.version
        found[AttributeKind.MAJOR, ""] = traits.version.partition(".")[0]
    if "settings" not in traits.unread:
        known.add(AttributeKind.SETTING)
        found |= {
            (AttributeKind.SETTING, name): value
            for name, value in traits.settings.items()
            if name not in _OF_PLACE
        }
    extensions = traits.extensions.get(database)
    if extensions is not None:
        known.add(AttributeKind.EXTENSION)
        found |= {(AttributeKind.EXTENSION, n): v for n, v in extensions.items()}
    indexes = traits.indexes(database)
    if indexes is not None:
        known.add(AttributeKind.INDEX)
        each = (f"on {table} {form}" for table in tables for form in indexes.get(table, ()))
        found |= {(AttributeKind.INDEX, name): "there" for name in each}
    return ClusterFeatures(found, frozenset(known))


@dataclass(frozen=True, slots=True)
class Split:
    """A way to divide clusters: those that have certain attributes, and those that do not.

    ``having`` are the places of the clusters that have all of ``attributes``, which here always occur together; ``of`` those
    of which it is known. ``lacking`` are the attributes of all the others.
    """

    having: frozenset[int]
    of: frozenset[int]
    attributes: tuple[Attribute, ...]
    lacking: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Splits:
    """All ways to divide some clusters; ``constant`` features have the same value everywhere."""

    splits: tuple[Split, ...]
    constant: int


def splits(clusters: Sequence[ClusterFeatures]) -> Splits:
    """Return each way in which an attribute divides clusters once, with all attributes that do so."""
    sides: dict[tuple[frozenset[int], frozenset[int]], list[Attribute]] = defaultdict(list)
    constant = 0
    for feature in sorted({f for c in clusters for f in c.values}):
        of = frozenset(n for n, c in enumerate(clusters) if feature[0] in c.known)
        values = _by_value(clusters, feature, of)
        constant += len(values) == 1
        if len(values) > 1:
            for value, having in values.items():
                sides[having, of].append(Attribute(*feature, value))
    return Splits(tuple(_merged(sides)), constant)


def _by_value(
    clusters: Sequence[ClusterFeatures], feature: FeatureKey, of: Iterable[int]
) -> dict[str | None, frozenset[int]]:
    found: dict[str | None, set[int]] = defaultdict(set)
    for n in of:
        found[clusters[n].values.get(feature)].add(n)
    return {value: frozenset(having) for value, having in found.items()}


def _merged(
    sides: Mapping[tuple[frozenset[int], frozenset[int]], list[Attribute]],
) -> Iterator[Split]:
    seen: set[tuple[frozenset[int], frozenset[int]]] = set()
    for (having, of), attributes in sides.items():
        if (having, of) in seen:
            continue
        others = of - having
        seen |= {(having, of), (others, of)}
        opposite = sides.get((others, of), [])
        yield Split(having, of, tuple(attributes), tuple(opposite))
