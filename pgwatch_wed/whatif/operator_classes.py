"""Which operators the index methods other than B-tree serve, as the server's operator classes say.

They are those of the target's extensions as well: trigrams, ltree, hstore, and whatever else defines some.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ValueType = tuple[str, str]
"""The name of a type, or of that below a domain, and its category."""

_TEXTS = frozenset({"text", "varchar", "name"})
# Not the default ones of their types, but smaller and faster where they serve an operator.
_BETTER = frozenset({"jsonb_path_ops"})


@dataclass(frozen=True, slots=True)
class OperatorClass:
    """An operator class; ``orders`` are the operators by whose result it can sort."""

    method: str
    name: str
    input_type: str
    is_default: bool
    operators: frozenset[str]
    orders: frozenset[str]

    @property
    def written(self) -> str:
        """What CREATE INDEX must say after the key."""
        return "" if self.is_default else self.name


def serving(
    classes: Iterable[OperatorClass], kind: ValueType, operator: str
) -> Iterator[OperatorClass]:
    """Yield the classes that serve a condition; GiST only if GIN does not, which is faster to read."""
    found = [c for c in classes if c.input_type in _accepted(kind) and operator in c.operators]
    has_gin = any(c.method == "gin" for c in found)
    yield from (c for c in _usual(found) if not (has_gin and c.method == "gist"))


def ordering(
    classes: Iterable[OperatorClass], kind: ValueType, operator: str
) -> Iterator[OperatorClass]:
    """Yield the classes that return rows in the order of a distance."""
    return _usual([c for c in classes if c.input_type in _accepted(kind) and operator in c.orders])


def _usual(found: list[OperatorClass]) -> Iterator[OperatorClass]:
    """Yield the default classes, and others only for methods that have none."""
    defaults = {c.method for c in found if c.is_default}
    yield from (c for c in found if c.is_default or c.method not in defaults or c.name in _BETTER)


def _accepted(kind: ValueType) -> frozenset[str]:
    """Return the types of classes that accept a type."""
    name, category = kind
    match category:
        case "A":
            return frozenset({name, "anyarray"})
        case "E":
            return frozenset({name, "anyenum"})
        case "R":
            return frozenset({name, "anymultirange" if "multirange" in name else "anyrange"})
        case _:
            others = _TEXTS if name in _TEXTS else {"inet"} if name == "cidr" else set()
            return frozenset({name, *others})
