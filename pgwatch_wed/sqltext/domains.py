"""CREATE DOMAIN as text: rewritten for another base type."""

from typing import Any

from pglast import ast
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees

_INTEGERS = frozenset(("int2", "int4"))


def is_readable(definition: str) -> bool:
    """Tell whether a text is what :func:`of_type` can rewrite."""
    try:
        statements = trees.parse(definition)
    except trees.UnreadableError:
        return False
    kinds = [type(s) for s in statements]
    return kinds[:1] == [ast.CreateDomainStmt] and set(kinds[1:]) <= {ast.AlterDomainStmt}


def of_type(definition: str, name: tuple[str, str], base: str) -> str:
    """Return the statements that create such a domain with another name and type."""
    statements = trees.parse(definition)
    wanted = trees.parse(f"SELECT NULL::{base}")[0].targetList[0].val.typeName
    words = tuple(ast.String(sval=part) for part in name)
    return "\n".join(f"{RawStream()(_renamed(s, words, wanted))};" for s in statements)


def _renamed(statement: Any, name: tuple[ast.String, ...], wanted: ast.TypeName) -> Any:
    _widen_casts(statement, wanted)
    if isinstance(statement, ast.CreateDomainStmt):
        return ast.CreateDomainStmt(
            domainname=name,
            typeName=wanted,
            collClause=statement.collClause,
            constraints=statement.constraints,
        )
    if isinstance(statement, ast.AlterDomainStmt):
        statement.typeName = name
    return statement


def _widen_casts(statement: Any, wanted: ast.TypeName) -> None:
    """Let checks of VALUE::integer accept what the new type holds."""
    for node in trees.walk(statement):
        if not isinstance(node, ast.TypeCast) or not isinstance(node.arg, ast.ColumnRef):
            continue
        kind = node.typeName
        if kind is not None and not kind.arrayBounds and trees.names(kind.names)[-1] in _INTEGERS:
            node.typeName = wanted
