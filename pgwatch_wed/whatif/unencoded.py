"""Texts of a target whose database has no encoding: psycopg returns them as bytes, which may be no text."""

from typing import Any


def readable(value: Any) -> Any:
    """Return bytes as text, also those in lists; anything else as it is."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple):
        return type(value)(readable(each) for each in value)
    return value
