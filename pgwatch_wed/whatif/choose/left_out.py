"""Rows that a partial index does not contain, whatever they were before: jobs that an UPDATE sets to another state than that of the predicate."""

from collections.abc import Mapping

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.terms import Kind, Term


def leaves_out(predicate: str, constants: Mapping[str, str | None]) -> bool:
    """Tell whether a predicate is certainly not true of rows with these values by column, None for NULL."""
    if not predicate or not constants:
        return False
    by_text = {ident(name): value for name, value in constants.items()}
    return any(
        _is_untrue(term, by_text[term.operand.text])
        for term in terms.conditions(predicate).terms
        if term.operand.text in by_text
    )


def _is_untrue(term: Term, value: str | None) -> bool:
    """Tell whether a condition on a column with this value is false, or unknown; where that is not known, it may be true."""
    match term.kind:
        case Kind.IS_NULL:
            return value is not None
        case Kind.NOT_NULL | Kind.RANGE if value is None:
            return True
        case Kind.EQUAL | Kind.IN:
            return value is None or value not in terms.constants(term.text)
        case Kind.DIFFERENT if term.operator == "<>":
            return value is None or value in terms.constants(term.text)
        case Kind.BOOLEAN:
            return value == _excluded(term)
        case _:
            return False


def _excluded(term: Term) -> str:
    """Return the boolean for which a condition on a column is not true, or nothing where it is about something else."""
    name = term.operand.text
    if term.text in (name, f"{name} IS TRUE"):
        return "false"
    return "true" if term.text in (f"NOT {name}", f"{name} IS FALSE") else ""
