"""The names and types of facts and their fields, as declared by the dataclasses."""

from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_type_hints

from pgwatch_wed.facts.snapshot import Snapshot


def fact_names() -> tuple[str, ...]:
    """Return the names of all collections of facts in a snapshot."""
    own = {"tool_version", "server", "missing", "measured_since"}
    return tuple(f.name for f in fields(Snapshot) if f.name not in own)


@cache
def fact_types() -> dict[str, type]:
    """Map each collection of a snapshot to the dataclass of its rows."""
    hints = get_type_hints(Snapshot)
    return {name: get_args(hints[name])[0] for name in fact_names()}


@cache
def field_types(kind: type) -> dict[str, Any]:
    """Map a fact's fields to their types."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}
