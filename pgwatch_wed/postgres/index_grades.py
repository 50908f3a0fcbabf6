"""How sure the promise of an index is: as sure as what it rests on."""

from pgwatch_wed.findings import Grade

# The planner's estimates for these are rough.
_ROUGH = frozenset({"gin", "gist", "spgist", "brin"})

GUESSED_SHARE = 0.2
"""A promise rests on a guess if statements with this share of the gain do."""


def promised(method: str, *, is_doubted: bool, is_guessed: bool) -> Grade:
    """Return the grade of an index that was only planned.

    ``is_doubted``: the server may plan otherwise than the lab; ``is_guessed``: the planner assumes a default share of the rows.
    """
    return Grade.C if method in _ROUGH or is_doubted or is_guessed else Grade.A
