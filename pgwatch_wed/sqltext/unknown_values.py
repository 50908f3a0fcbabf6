"""Values that only a session knows, in an expression: the planner shall not take them for known.

Where nobody has set ``app.user_id``, ``current_setting('app.user_id')`` is NULL or an error; and the planner, which
evaluates it to estimate rows, expects none. With a sub-select as its argument it is not evaluated: it stands for any
value, for which the planner takes the average, and costs for each row what it did before.
"""

from collections.abc import Callable
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, SubLinkType
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees

_QUANTIFIED = (A_Expr_Kind.AEXPR_OP_ANY, A_Expr_Kind.AEXPR_OP_ALL)
_OF_ROWS = (ast.ColumnRef, ast.SubLink, ast.ParamRef)

IsUnsteady = Callable[[tuple[str, ...]], bool]


def unknown_values(text: str, is_unsteady: IsUnsteady) -> tuple[str, tuple[str, ...]]:
    """Return an expression with its session's values unknown, and these values as they were written.

    ``is_unsteady`` tells by its name whether a function depends on the session. Raises ValueError if it cannot be parsed.
    """
    (statement,) = trees.parse(f"select {text}")
    found: list[str] = []
    changed = _changed(statement.targetList[0].val, is_unsteady, found)
    return (RawStream()(changed), tuple(dict.fromkeys(found))) if found else (text, ())


def _changed(node: Any, is_unsteady: IsUnsteady, found: list[str]) -> Any:
    if isinstance(node, tuple):
        return tuple(_changed(each, is_unsteady, found) for each in node)
    if not isinstance(node, ast.Node) or isinstance(node, ast.RangeFunction):
        return node
    if isinstance(node, ast.FuncCall) and _is_value(node, is_unsteady):
        found.append(_printed(node))
        return _unknown(node)
    for name in node:
        value = getattr(node, name)
        if isinstance(value, tuple | ast.Node):
            setattr(node, name, _changed(value, is_unsteady, found))
    if isinstance(node, ast.A_Expr) and node.kind in _QUANTIFIED:
        _keep_array(node)
    return node


def _is_value(call: ast.FuncCall, is_unsteady: IsUnsteady) -> bool:
    """Tell whether a call has the same result for all rows, but perhaps another in each session."""
    each = list(trees.walk(call))
    if any(isinstance(n, _OF_ROWS) for n in each):
        return False
    return is_unsteady(trees.names(call.funcname))


def _unknown(call: ast.FuncCall) -> ast.Node:
    if not call.args:
        return _sub_select(call)
    call.args = (_sub_select(call.args[0]), *call.args[1:])
    return call


def _sub_select(node: Any) -> ast.SubLink:
    query = ast.SelectStmt(targetList=(ast.ResTarget(val=node),), all=False)
    return ast.SubLink(subLinkType=SubLinkType.EXPR_SUBLINK, subselect=query)


def _keep_array(comparison: ast.A_Expr) -> None:
    """Keep an array an array: a sub-select directly in ANY would be one of rows."""
    if isinstance(comparison.rexpr, ast.SubLink):
        comparison.rexpr = ast.CoalesceExpr(args=(comparison.rexpr,))


def _printed(call: ast.FuncCall) -> str:
    name = ".".join(trees.names(call.funcname))
    return f"{name}({', '.join(RawStream()(trees.without_casts(arg)) for arg in call.args or ())})"
