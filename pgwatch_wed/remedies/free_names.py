"""Names for new indexes: as PostgreSQL would choose them, and not in use."""

from collections.abc import Iterable, Mapping, Set

_MAX_BYTES = 63


class FreeNames:
    """Returns each name only once, and none that is in use in the schema."""

    def __init__(self, taken: Mapping[str, Set[str]]) -> None:
        self._taken = taken
        self._given: dict[str, set[str]] = {}

    def take(self, schema: str, name: str) -> None:
        """Mark a name as used."""
        self._given.setdefault(schema, set()).add(name)

    def is_free(self, schema: str, name: str) -> bool:
        """Tell whether a name is not in use in the schema."""
        return name not in self._taken.get(schema, ()) and name not in self._given.get(schema, ())

    def new(self, schema: str, table: str, words: Iterable[str], suffix: str = "idx") -> str:
        """Return ``table_words_suffix`` in at most 63 bytes, numbered until it is free."""
        stem, number = "_".join(words), 0
        while not self.is_free(schema, name := fitted(table, stem, f"{suffix}{number or ''}")):
            number += 1
        self.take(schema, name)
        return name


def fitted(table: str, stem: str, suffix: str) -> str:
    """Join the parts; like PostgreSQL, shorten the longer of table and stem until all of it fits."""
    one, other = table.encode(), stem.encode()
    room = _MAX_BYTES - len(suffix.encode()) - 1 - (1 if stem else 0)
    while len(one) + len(other) > room:
        if len(one) > len(other):
            one = one[:-1]
        else:
            other = other[:-1]
    # a truncated character is removed completely
    parts = (part.decode("utf-8", "ignore") for part in (one, other))
    return "_".join([*filter(None, parts), suffix])
