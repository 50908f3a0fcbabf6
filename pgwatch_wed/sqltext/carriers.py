"""Which parameters give an expression its type: those in it, and those that come to it through columns of VALUES, WITH and FROM."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast

from pgwatch_wed.sqltext import trees


@dataclass(frozen=True, slots=True)
class Carriers:
    """The expressions of a statement by where they begin, and what the columns that it makes consist of."""

    at_operator: Mapping[int, Sequence[Any]]
    by_start: Mapping[int, Sequence[Any]]
    columns: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, statement: Any) -> "Carriers":
        """Read a statement's tree."""
        at: dict[int, list[Any]] = {}
        starts: dict[int, list[Any]] = {}
        columns: dict[str, list[Any]] = {}
        for node in trees.walk(statement):
            place = getattr(node, "location", None)
            if place is not None:
                at.setdefault(place, []).append(node)
            begins = _begin(node)
            if begins is not None:
                starts.setdefault(begins, []).append(node)
            for name, made in _columns(node):
                columns.setdefault(name, []).append(made)
        return cls(at, starts, columns)

    def at(self, place: int) -> list[int]:
        """Return the parameters that decide the type of what is at a place in the text."""
        for nodes in (self.at_operator.get(place, ()), self.by_start.get(place, ())):
            found = list(dict.fromkeys(n for node in nodes for n in self._of(node, set())))
            if found:
                return found
        return []

    def anywhere(self) -> list[int]:
        """Return the parameters in the columns that the statement makes: ``USING`` has no place in the text."""
        made = tuple(m for each in self.columns.values() for m in each)
        return list(dict.fromkeys(self._of(made, set())))

    def _made(self, column: ast.ColumnRef) -> Iterator[Any]:
        fields = column.fields or ()
        if fields and isinstance(fields[-1], ast.A_Star):
            for each in self.columns.values():
                yield from each
        else:
            yield from self.columns.get(trees.names(fields)[-1], ())

    def _of(self, node: Any, seen: set[int]) -> Iterator[int]:
        if id(node) in seen:
            return
        seen.add(id(node))
        match node:
            case ast.ParamRef():
                yield int(node.number or 0)
            case ast.ColumnRef():
                for made in self._made(node):
                    yield from self._of(made, seen)
            case tuple():
                for each in node:
                    yield from self._of(each, seen)
            case ast.Node():
                for part in _parts(node):
                    yield from self._of(part, seen)


def _parts(node: Any) -> Iterator[Any]:
    """Yield what decides the type of a node."""
    match node:
        case ast.A_Expr():
            yield from (node.lexpr, node.rexpr)
        case (
            ast.FuncCall() | ast.CoalesceExpr() | ast.MinMaxExpr() | ast.RowExpr() | ast.BoolExpr()
        ):
            yield node.args
        case ast.NamedArgExpr() | ast.A_Indirection():
            yield node.arg
        case ast.CaseExpr():
            yield from (w.result for w in node.args or ())
            yield node.defresult
        case ast.A_ArrayExpr():
            yield node.elements
        case ast.SubLink():
            yield from (node.testexpr, node.subselect)
        case ast.SelectStmt():
            yield from (node.valuesLists, node.larg, node.rarg)
            yield tuple(t.val for t in node.targetList or ())
        case ast.ResTarget() | ast.MultiAssignRef():
            yield getattr(node, "val", None) or getattr(node, "source", None)


def _begin(node: Any) -> int | None:
    """Return where an expression begins: the server points there where the whole does not fit."""
    if not isinstance(
        node, (ast.A_Expr, ast.CaseExpr, ast.TypeCast, ast.ColumnRef, ast.ParamRef, ast.FuncCall)
    ):
        return None
    places = (getattr(n, "location", None) for n in trees.walk(node))
    return min((p for p in places if p is not None and p >= 0), default=None)


def _columns(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield columns that a part of a statement makes, with the expressions in them."""
    match node:
        case ast.CommonTableExpr():
            names = tuple(str(n.sval) for n in node.aliascolnames or ())
            yield from _of_query(node.ctequery, names)
        case ast.RangeSubselect():
            names = _aliases(node.alias)
            yield from _of_query(node.subquery, names)
        case ast.RangeFunction():
            yield from _of_function(node)


def _aliases(alias: Any) -> tuple[str, ...]:
    return tuple(str(n.sval) for n in (alias.colnames if alias is not None else None) or ())


def _of_query(query: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if not isinstance(query, ast.SelectStmt):
        return
    if query.op:
        first = next(iter(_arms(query)))
        own = names or tuple(name for name, _ in _of_query(first, ()))
        for arm in _arms(query):
            yield from _of_query(arm, own)
        return
    for row in query.valuesLists or ():
        yield from zip(_filled(names, len(row)), row, strict=False)
    targets = tuple(query.targetList or ())
    for place, target in enumerate(targets):
        yield (names[place] if place < len(names) else _name(target)), target.val


def _arms(query: Any) -> Iterator[Any]:
    if query.op:
        yield from _arms(query.larg)
        yield from _arms(query.rarg)
    else:
        yield query


def _filled(names: Sequence[str], length: int) -> list[str]:
    return [*names, *(f"column{n + 1}" for n in range(len(names), length))]


def _name(target: Any) -> str:
    if target.name:
        return str(target.name)
    match target.val:
        case ast.ColumnRef():
            return (trees.names(target.val.fields) or ("",))[-1]
        case ast.FuncCall():
            return trees.names(target.val.funcname)[-1]
    return "?column?"


def _of_function(node: ast.RangeFunction) -> Iterator[tuple[str, Any]]:
    calls = [function[0] for function in node.functions or () if function]
    names = _aliases(node.alias)
    own = [node.alias.aliasname] if node.alias is not None else []
    own += [trees.names(c.funcname)[-1] for c in calls if isinstance(c, ast.FuncCall)]
    for call in calls:
        arguments = tuple(getattr(call, "args", None) or ())
        if len(arguments) == len(names) or len(names) <= 1:
            yield from zip(names, arguments, strict=False)
        for name in (*names[:1], *own):
            yield str(name), arguments
