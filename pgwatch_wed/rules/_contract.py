"""What a rule module must define, checked when it is discovered.

A misspelled fact in ``NEEDS`` would never be missing, and the rule would say `clear` although it cannot
look; type checks and linters do not notice. So every name of the contract is checked, once, before any
rule judges.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import Any, get_type_hints

from pgwatch_wed.facts import fact_names

SCOPES = ("database", "cluster")
PROFILES = ("oltp", "mixed", "analytics")
# What the configuration file supports.
_LIMIT_TYPES = (int, float, bool, str, timedelta)
_IN_A_RULE = ("NEEDS", "Limits", "check", "SCOPE", "PRIMARY_ONLY", "PROFILES")
_IN_A_FOLDER = ("AREA",)
_MISSING = object()


def faults(module: ModuleType) -> Iterator[str]:
    """Yield what is wrong with a rule module, and what was probably meant."""
    if not (module.__doc__ or "").strip():
        yield "it has no docstring, which is the rule's documentation"
    if "AREA" in vars(module):
        yield "AREA belongs in the __init__ of its folder: all rules of a folder share an area"
    yield from _near_misses(module, _IN_A_RULE)
    yield from _needs(module)
    yield from _scope(module)
    yield from _check(module)
    yield from _limits(module)


def folder_faults(package: ModuleType) -> Iterator[str]:
    """Yield what is wrong with a folder of rules."""
    if not hasattr(package, "__path__"):
        yield "a rule belongs in the folder of its area, such as index/; a helper's name starts with _"
    if not isinstance(getattr(package, "AREA", ""), str):
        yield "AREA must be a string, such as 'vacuum'"
    yield from _near_misses(package, _IN_A_FOLDER)


def _needs(module: ModuleType) -> Iterator[str]:
    needs = getattr(module, "NEEDS", _MISSING)
    if needs is _MISSING:
        yield "it has no NEEDS: a tuple of the facts that it requires, or ()"
        return
    if not isinstance(needs, tuple) or not all(isinstance(n, str) for n in needs):
        yield f"NEEDS must be a tuple of strings, not {needs!r}; for a single fact: ('tables',)"
        return
    for name in needs:
        if name not in _facts():
            yield f"NEEDS names {name!r}, which is not a fact{_meant(name, _facts())}"


def _scope(module: ModuleType) -> Iterator[str]:
    scope = getattr(module, "SCOPE", "database")
    if scope not in SCOPES:
        yield f"SCOPE must be one of {', '.join(SCOPES)}, not {scope!r}"
    if not isinstance(only := getattr(module, "PRIMARY_ONLY", False), bool):
        yield f"PRIMARY_ONLY must be True or False, not {only!r}"


def _check(module: ModuleType) -> Iterator[str]:
    check = getattr(module, "check", None)
    if not inspect.isfunction(check):
        yield "it has no function check(snapshot, limits)"
    elif not _takes_two(check):
        yield f"check must take (snapshot, limits), not {inspect.signature(check)}"


def _takes_two(check: Any) -> bool:
    """Tell whether it can be called with two arguments, like every rule."""
    try:
        inspect.signature(check).bind(None, None)
    except TypeError:
        return False
    return True


def _limits(module: ModuleType) -> Iterator[str]:
    limits = getattr(module, "Limits", None)
    if not (inspect.isclass(limits) and is_dataclass(limits)):
        yield "it has no frozen dataclass Limits, which may be empty"
        return
    if not limits.__dataclass_params__.frozen:  # type: ignore[attr-defined] # every dataclass has it
        yield "Limits must be frozen: @dataclass(frozen=True, slots=True)"
    if (wrong := _unmade(limits, {})) is not None:
        yield f"every limit needs a default: {wrong}"
        return
    for name, hint in get_type_hints(limits).items():
        if hint not in _LIMIT_TYPES:
            yield f"Limits.{name} must be {_one_of(_LIMIT_TYPES)}, which the configuration supports"
    yield from _profiles(limits, getattr(module, "PROFILES", {}))


def _profiles(limits: type, profiles: Any) -> Iterator[str]:
    if not isinstance(profiles, Mapping):
        yield f"PROFILES must map a profile to limits, not {profiles!r}"
        return
    for profile, values in profiles.items():
        if profile not in PROFILES:
            yield f"PROFILES has no profile {profile!r}{_meant(profile, PROFILES)}"
        elif not isinstance(values, Mapping):
            yield f"PROFILES[{profile!r}] must map limits to values, not {values!r}"
        else:
            names = [f.name for f in fields(limits)]
            for name in values.keys() - set(names):
                yield f"PROFILES[{profile!r}] sets {name!r}, which is not a limit{_meant(name, names)}"


def _unmade(limits: type, values: Mapping[str, Any]) -> str | None:
    try:
        limits(**values)
    except TypeError as error:
        return str(error)
    return None


def _near_misses(module: ModuleType, known: tuple[str, ...]) -> Iterator[str]:
    """Yield which of its own capitalized names look like a name of the contract, but are not."""
    for name, value in vars(module).items():
        own = getattr(value, "__module__", module.__name__) == module.__name__
        if name[0].isupper() and name not in known and own and (meant := _nearest(name, known)):
            yield f"{name} means nothing to db-analyze; did you mean {meant}? (otherwise start it with _)"


def _nearest(name: str, known: Iterable[str]) -> str | None:
    spelled = {word.casefold(): word for word in known}
    near = get_close_matches(name.casefold(), spelled, n=1, cutoff=0.7)
    return spelled[near[0]] if near else None


def _meant(name: Any, known: Iterable[str]) -> str:
    nearest = _nearest(str(name), known)
    return f"; did you mean {nearest!r}?" if nearest else f"; known: {', '.join(known)}"


def _one_of(types: Iterable[type]) -> str:
    return "one of " + ", ".join(t.__name__ for t in types)


@cache
def _facts() -> tuple[str, ...]:
    return fact_names()
