"""At most so many series: the largest families are cut, and what is cut is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgwatch_wed.serve.state import Family

LIMIT = 5_000


@dataclass(slots=True)
class SeriesLimit:
    """Cuts families to a total; the order of samples decides which stay, so that the same do each time."""

    limit: int = LIMIT
    dropped: dict[str, int] = field(default_factory=dict)

    def apply(self, families: Sequence[Family]) -> tuple[Family, ...]:
        """Return the families within the limit, and count what is dropped; 0 for those that are whole."""
        most = largest_share(self.limit, {f.name: len(f.samples) for f in families})
        kept = []
        for family in families:
            # a histogram without all of its buckets would be wrong
            allowed = len(family.samples) if family.kind == "histogram" else most
            over = max(0, len(family.samples) - allowed)
            self.dropped[family.name] = self.dropped.get(family.name, 0) + over
            kept.append(replace(family, samples=family.samples[:allowed]) if over else family)
        return tuple(kept)


def largest_share(limit: int, sizes: Mapping[str, int]) -> int:
    """Return how many samples a family may have at most, so that all together keep the limit."""
    left, share = limit, limit
    ascending = sorted(sizes.values())
    for place, size in enumerate(ascending):
        share = left // (len(ascending) - place)
        if size > share:
            return share
        left -= size
    return limit
