"""Keys of an index for a condition, and what must never be in an index: values of one call."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from pgwatch_wed.sqltext import forms, terms
from pgwatch_wed.sqltext.terms import Kind, Operand, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.model import Candidate, Key
from pgwatch_wed.whatif.operator_classes import ValueType

_MOST_STATES = 20
_WHOLE = frozenset({"int2", "int4", "int8"})
_TEXTS = frozenset({"text", "varchar", "bpchar"})
_STATE = re.compile(r"[^\W\d][^\W\d]*(?:[ ._-][^\W\d]+)*")
_LONGEST_STATE = 32
_SHORT = frozenset({"numeric", "inet", "cidr", "name", "varbit", "bit"})
_ADDRESSES = frozenset({"inet", "cidr"})
_WITHIN = frozenset({"<<", "<<="})
_LIMIT = re.compile(r"character(?: varying)?\((\d+)\)")
_WIDEST = 2704
_NARROW = 32

TypeOf = Callable[[CatalogTable, str], ValueType | None]


@dataclass(frozen=True, slots=True)
class CandidateOptions:
    """Which kinds of candidates are allowed.

    ``type_of`` tells the type of an expression, if it is known; ``changed`` are columns by table that the workload sets; ``varying`` are
    constants that other texts of the statement do not have.
    """

    max_width: int = 3
    is_c_collation: bool = False
    type_of: TypeOf = lambda _table, _text: None
    changed: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    varying: frozenset[str] = frozenset()


def index(table: CatalogTable, keys: tuple[Key, ...], **more: object) -> Candidate:
    """Return a candidate on a table."""
    return Candidate(table.schema, table.name, keys, **more)  # type: ignore[arg-type]


def of_term(table: CatalogTable, term: Term, options: CandidateOptions) -> Key | None:
    """Return the B-tree key for a condition, if its operand can be indexed."""
    operand_key = of_operand(table, term.operand)
    if operand_key is None or term.kind is not Kind.PREFIX or options.is_c_collation:
        return operand_key
    return Key(operand_key.text, operand_key.column, _prefix_class(table, term.operand, options))


def of_operand(table: CatalogTable, operand: Operand) -> Key | None:
    """Return a column or an expression as the key of an index, or None if it cannot be one."""
    if operand.column is not None:
        column = table.columns.get(operand.column)
        return None if column is None or column.is_virtual else Key.of(operand.column)
    if not operand.columns <= table.columns.keys() or not may_be_indexed(operand):
        return None
    return Key(operand.text, None) if _serves_all_calls(table, operand.text) else None


def _serves_all_calls(table: CatalogTable, text: str) -> bool:
    """Tell whether an expression holds no value of one call, but at most states."""
    if not terms.holds_value(text):
        return True
    compared = terms.compared_values(text)
    return compared is not None and all(
        (column := table.columns.get(name)) is not None
        and (is_name(value) if _names_states(column) else _numbers_states(column))
        for name, value in compared
    )


def may_be_indexed(operand: Operand) -> bool:
    """Tell whether an expression could be immutable; the server decides."""
    return not forms.changes_by_call(operand.text)


def value_type(
    table: CatalogTable, operand: Operand, options: CandidateOptions
) -> ValueType | None:
    """Return the type of an operand."""
    if operand.column is None:
        return options.type_of(table, operand.text)
    column = table.columns.get(operand.column)
    return None if column is None else (column.base_type, column.category)


def is_network(table: CatalogTable, term: Term, options: CandidateOptions) -> bool:
    """Tell whether a condition is that an address is in a network, for which a B-tree serves as for a range if it is known."""
    kind = value_type(table, term.operand, options)
    return kind is not None and kind[0] in _ADDRESSES and term.operator in _WITHIN


def _prefix_class(table: CatalogTable, operand: Operand, options: CandidateOptions) -> str:
    """Return the operator class that LIKE 'x%' requires, except in the collation C."""
    kind = value_type(table, operand, options)
    classes = {"bpchar": "bpchar_pattern_ops", "varchar": "varchar_pattern_ops"}
    return classes.get("" if kind is None else kind[0], "text_pattern_ops")


def may_be_wide(catalog: Catalog, table: CatalogTable, name: str | None) -> bool:
    """Tell whether a column may have values of more than a third of a page, which a B-tree cannot store.

    Statistics leave such values out. They are looked for in the widest columns of a table with values out of line.
    """
    column = table.columns.get(name or "")
    if column is None or column.type_length > 0 or column.base_type in _SHORT:
        return False
    limit = _LIMIT.fullmatch(column.type_name)
    if (limit and int(limit[1]) * 4 <= _WIDEST) or not catalog.has_toast(table):
        return False
    if not column.has_values:
        return True
    others = [c for c in table.columns.values() if c.type_length < 0]
    if any(not c.has_values for c in others) or column.mean_width < _NARROW:
        return False
    return column.mean_width >= max(c.mean_width for c in others) / 2


def is_state(catalog: Catalog, table: CatalogTable, term: Term) -> bool:
    """Tell whether a condition compares a column with states that rows pass through, and not with a value of one call.

    Only then may the constant be in a predicate: another call has another value, but the same state.
    """
    column = table.columns.get(term.operand.column or "")
    if column is None or not has_states(catalog, table, column):
        return False
    texts = terms.texts(term.text)
    return column.base_type not in _TEXTS or (bool(texts) and all(map(is_name, texts)))


def has_states(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> bool:
    """Tell whether a column has few values, as far as numbers and statistics tell."""
    if column.is_virtual or column.distinct > _MOST_STATES:
        return False
    if column.base_type in _WHOLE:
        return not _is_reference(catalog, table, column)
    return column.base_type == "bool" or _names_states(column)


def _names_states(column: CatalogColumn) -> bool:
    """Tell whether a column has few values, which are texts or those of an enum."""
    is_text = column.base_type in _TEXTS or column.category == "E"
    return is_text and column.distinct <= _MOST_STATES and not column.is_virtual


def _numbers_states(column: CatalogColumn) -> bool:
    """Tell whether a column has few values, which are numbers and seem to be no keys of another table."""
    is_few = column.base_type in _WHOLE and column.distinct <= _MOST_STATES
    return is_few and not column.is_virtual and not _is_named_as_key(column)


def is_name(text: str) -> bool:
    """Tell whether a text is the name of something, without numbers that would make it one of many."""
    return len(text) <= _LONGEST_STATE and _STATE.fullmatch(text) is not None


def _is_reference(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> bool:
    """Tell whether a number is the key of another table's row."""
    is_declared = any(
        column.name in key.columns for key in catalog.foreign_keys if key.table_oid == table.oid
    )
    return is_declared or _is_named_as_key(column)


def _is_named_as_key(column: CatalogColumn) -> bool:
    return column.name.lower().endswith("id")
