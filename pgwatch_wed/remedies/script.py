"""A change as a sequence of statements, each with its lock, and how to undo it."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_wed.findings import Remedy


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, without a semicolon; ``lock`` says what it blocks."""

    sql: str
    lock: str
    in_transaction: bool = True


@dataclass(frozen=True, slots=True)
class Script:
    """Steps to run in this order. ``undo`` reverses all of them; ``no_undo`` says why that is not possible."""

    steps: tuple[Step, ...]
    undo: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    no_undo: str = "nothing to undo"

    @property
    def sql(self) -> str:
        """The statements, preceded by the notes as comments."""
        return "\n".join((*(comment(note) for note in self.notes), *lines(self.steps)))

    @property
    def undo_sql(self) -> str:
        """The statements that undo it, or a comment that says why there are none."""
        return "\n".join(lines(self.undo)) or comment(self.no_undo)

    @property
    def remedy(self) -> Remedy:
        """The whole script as one step of a finding."""
        return Remedy(
            sql=self.sql,
            lock="; then ".join(dict.fromkeys(step.lock for step in self.steps)) or "none",
            in_transaction=all(step.in_transaction for step in self.steps),
            undo=self.undo_sql,
        )


def lines(steps: Iterable[Step]) -> list[str]:
    """Return the statements, terminated by semicolons."""
    return [f"{step.sql};" for step in steps]


def comment(text: str) -> str:
    """Return a comment on one line: a name may contain a newline, which would end it."""
    return f"-- {' '.join(text.split())}"
