"""A part of a fleet: the members that one of several processes visits, the same ones each time."""

import hashlib
import re
from dataclasses import dataclass

from pgwatch_wed.errors import UsageError


@dataclass(frozen=True, slots=True)
class Shard:
    """The ``number``-th of ``of`` parts, counted from 1."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def holds(self, member: str) -> bool:
        """Tell whether a member belongs to this part, whatever other members there are."""
        digest = hashlib.sha256(member.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) % self.of == self.number - 1


def read(text: str) -> Shard:
    """Read ``2/5``. Raises :class:`UsageError`."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(
            f"{text!r} is not a shard", "use I/N, such as 2/5: the second of five; the first is 1/5"
        )
    return Shard(int(found[1]), int(found[2]))
