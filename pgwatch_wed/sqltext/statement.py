"""A statement's text as the planner accepts it, or the reason why it does not."""

from dataclasses import dataclass

from pglast.parser import scan

from pgwatch_wed.sqltext.held_queries import query_within
from pgwatch_wed.sqltext.plannable import plannable
from pgwatch_wed.sqltext.reading import QualifiedName, Reading, read
from pgwatch_wed.sqltext.repairs import with_values

_KINDS: dict[str, str] = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "merge",
}


class UnsupportedError(ValueError):
    """The text is not one statement that can be planned; the message says why."""


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """A statement that the planner accepts: ``text`` without a trailing semicolon."""

    text: str
    kind: str
    relations: frozenset[QualifiedName]
    parameters: int

    @property
    def is_write(self) -> bool:
        """Whether it changes rows of a table."""
        return self.kind != "select"


def parse(text: str, typical_limit: int | None = None) -> ParsedStatement:
    """Return the statement in the text; raise :class:`UnsupportedError` unless there is exactly one.

    Supported are SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE and MERGE, with or without WITH, and commands that run
    one of them: then it is the one within.
    ``typical_limit`` replaces a parameter in LIMIT, one in that of a query run for each row of others, and zero in OFFSET: a
    generic plan assumes that an unknown LIMIT is a tenth of the rows, which no user requests.
    """
    found = read(text)
    if found.kind not in _KINDS or found.makes_table:
        found = read(query_within(text) or text)
    if found.why_not:
        raise UnsupportedError(found.why_not)
    if found.kind not in _KINDS:
        raise UnsupportedError(f"{_words(found.kind)} statements are not planned")
    found = read(plannable(found.text))
    limits = [] if typical_limit is None else [p for p in found.parameters if p.bounds]
    typical = {"limit": str(typical_limit), "one": "1", "offset": "0"}
    values = {p.start: typical[p.bounds] for p in limits}
    numbers = (p.number for p in found.parameters if p.start not in values)
    written = with_values(found.text, lambda _number, start: values.get(start))
    return ParsedStatement(
        _trimmed(written), _kind(found), found.relations, max(numbers, default=0)
    )


def _kind(found: Reading) -> str:
    """Return the kind; a SELECT that writes in its WITH counts as what it writes."""
    writes = (_KINDS[k] for k in _KINDS if k in found.kinds and k != "SelectStmt")
    return next(writes, "select") if found.kind == "SelectStmt" else _KINDS[found.kind]


def _trimmed(text: str) -> str:
    """Remove semicolons and comments at the end: whatever follows the last token."""
    tokens = [t for t in scan(text) if t.name not in ("SQL_COMMENT", "C_COMMENT")]
    while tokens and tokens[-1].name == "ASCII_59":
        tokens.pop()
    return text[: tokens[-1].end + 1] if tokens else ""


def _words(name: str) -> str:
    return "".join(f" {c}" if c.isupper() else c for c in name.removesuffix("Stmt")).strip().upper()
