"""What somebody meant who mistyped a name."""

from collections.abc import Iterable
from difflib import get_close_matches

from pgwatch_wed.errors import UsageError


def meant(word: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'lock'?`` with the nearest of the known names; empty if none is near."""
    spelled = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), spelled, n=1, cutoff=0.6)
    return f"did you mean {spelled[near[0]]!r}?" if near else ""


def unknown_key(where: str, key: str, known: Iterable[str]) -> UsageError:
    """Return the error for a key that a table of a configuration file cannot have."""
    names = tuple(known)
    hint = f"{meant(key, names)} valid keys: {', '.join(names) or 'none'}"
    return UsageError(f"{where}: unknown key {key!r}", hint)
