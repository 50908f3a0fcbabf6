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

    values: dict[FeatureKey, str]
    known: frozenset[AttributeKind] = ALL_KINDS

    def has(self, attribute: "Attribute") -> bool:
        """Tell whether the cluster has an attribute; what is not known, it has not."""
        value = self.values.get((attribute.kind, attribute.name))
        return (value == attribute.value) != attribute.is_other


def features_of(traits: Traits, tags: Mapping[str, str], database: str) -> ClusterFeatures:
    """Return what a cluster may share with others, in one of its databases; without indexes."""
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
    return ClusterFeatures(found, frozenset(known))


def with_indexes(
    own: ClusterFeatures, traits: Traits, database: str, tables: Iterable[str]
) -> ClusterFeatures:
    """Return the same with the indexes of some tables, if they are known."""
    indexes = traits.indexes(database)
    if indexes is None:
        return own
    each = (f"on {table} {form}" for table in tables for form in indexes.get(table, ()))
    values = own.values | {(AttributeKind.INDEX, name): "there" for name in each}
    return ClusterFeatures(values, own.known | {AttributeKind.INDEX})


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
    of_kind = {
        kind: frozenset(n for n, c in enumerate(clusters) if kind in c.known)
        for kind in AttributeKind
    }
    for feature, values in sorted(_by_value(clusters).items()):
        of = of_kind[feature[0]]
        each: dict[str | None, frozenset[int]] = {v: frozenset(n) for v, n in values.items()}
        lacking = of.difference(*each.values())
        if lacking:
            each[None] = lacking
        constant += len(each) == 1
        if len(each) > 1:
            for value, having in each.items():
                sides[having, of].append(Attribute(*feature, value))
    return Splits(tuple(_merged(sides)), constant)


def _by_value(clusters: Sequence[ClusterFeatures]) -> dict[FeatureKey, dict[str, list[int]]]:
    """Return which clusters have each value of each feature."""
    found: dict[FeatureKey, dict[str, list[int]]] = {}
    for n, cluster in enumerate(clusters):
        for feature, value in cluster.values.items():
            values = found.get(feature)
            if values is None:
                found[feature] = {value: [n]}
            elif value in values:
                values[value].append(n)
            else:
                values[value] = [n]
    return found


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
