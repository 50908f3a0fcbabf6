"""Who waits for whom, drawn with the characters of a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgwatch_wed.render.chapters import Branch


@dataclass(frozen=True, slots=True)
class LockLine:
    """A session of the tree: what is drawn before it, and before what follows of it."""

    before: str
    below: str
    session: str
    query: str


def drawn(tree: Sequence[Branch]) -> Iterator[LockLine]:
    """Yield the sessions from those that block down to those that wait."""
    for branch in tree:
        yield from _drawn(branch, "", "")


def _drawn(branch: Branch, before: str, below: str) -> Iterator[LockLine]:
    stem = "│  " if branch.waiting else "   "
    yield LockLine(before, f"{below}{stem}", branch.text, branch.query)
    for place, waiting in enumerate(branch.waiting, 1):
        is_last = place == len(branch.waiting)
        corner, bar = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        yield from _drawn(waiting, f"{below}{corner}", f"{below}{bar}")
