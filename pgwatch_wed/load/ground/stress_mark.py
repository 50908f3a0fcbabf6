"""The mark of what a load test has created: a name of a certain form, and a comment that only fits this one object.

Only what bears it is ever dropped. The comment repeats the object's own name and oid, so that one that was renamed,
copied or restored from a dump bears a mark no longer, and neither does one that merely has a name like ours.

A database cannot be created with a comment. Until it has one, its connection limit is the mark: a number beyond any
that people set, which follows from its name.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

PREFIX = "pgwatch_wed_stress_"
_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{12}}")
_COMMENT = re.compile(
    r"pgwatch_wed load test; dropped by the next one \(name=(\w+) oid=(\d+) run=([0-9a-f]{16})\)"
)


@dataclass(frozen=True, slots=True)
class StressMark:
    """What the comment on an object of ours says; ``run`` is the same for everything of one run."""

    name: str
    oid: int
    run: str

    @property
    def comment(self) -> str:
        """The text of the comment."""
        return (
            "pgwatch_wed load test; dropped by the next one"
            f" (name={self.name} oid={self.oid} run={self.run})"
        )

    @property
    def lock(self) -> int:
        """The key of the advisory lock that is held as long as the run lives."""
        return lock_of(self.run)


def lock_of(run: str) -> int:
    """Return the key of a run's advisory lock, a bigint."""
    return int.from_bytes(bytes.fromhex(run), signed=True)


def new_name() -> str:
    """Return a name for a database or schema of ours."""
    return PREFIX + secrets.token_hex(6)


def run_of(name: str) -> str:
    """Return the identity of the run that creates an object, so that its lock is known before there is a comment."""
    return _digest(name)[:8].hex()


def limit_of(name: str) -> int:
    """Return the connection limit of a database of ours that has no comment yet: 2^30 or more, which limits nothing."""
    return 1 << 30 | int.from_bytes(_digest(name)[8:12]) >> 2


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def mark_of(name: str, oid: int, comment: str | None) -> StressMark | None:
    """Return the mark of an object, or None if it bears none of ours."""
    said = _COMMENT.fullmatch(comment or "")
    if said is None or _NAME.fullmatch(name) is None:
        return None
    mark = StressMark(said[1], int(said[2]), said[3])
    return mark if (mark.name, mark.oid) == (name, oid) else None


def looks_like_ours(name: str) -> bool:
    """Tell whether an object has a name like ours, which alone is no mark."""
    return _NAME.fullmatch(name) is not None
