"""A remedy's SQL where a format has no place for who may run it."""

from pgwatch_wed.findings import Remedy
from pgwatch_wed.remedies.script import comment


def script(remedy: Remedy) -> str:
    """Return the SQL, preceded by a comment that says who may run it if our role may not."""
    return f"{comment(f'run as: {remedy.run_as}')}\n{remedy.sql}" if remedy.run_as else remedy.sql
