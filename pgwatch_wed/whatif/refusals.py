"""Why the lab's server does not plan a statement, in words by which a user knows what to do."""

from pgwatch_wed.whatif.model import PlanError, WithheldError

_VALUES = "to plan it, put it with its values into a file for indexes --workload DIR"
_TYPES = f"the types of its parameters cannot be found; {_VALUES}"
_GONE = "it names a {} that is not there, at least not in the search_path: perhaps it was dropped, or is temporary"
_WORDS = {
    "UndefinedTable": _GONE.format("table"),
    "InvalidSchemaName": _GONE.format("schema"),
    "UndefinedColumn": "it names a column that is not there: perhaps it was dropped since",
    "UndefinedFunction": (
        "it calls a function or operator that is not there for such values: perhaps it was dropped, or its extension is not available"
        " in the lab"
    ),
    "UndefinedObject": "it names a type or another object that is not there, perhaps of an extension that is not available in the lab",
    "InsufficientPrivilege": "the role that runs it may not do so (any more)",
    "GroupingError": f"its GROUP BY does not match without its values; {_VALUES}",
    "InvalidColumnReference": (
        f"its ORDER BY or ON CONFLICT does not match without its values; {_VALUES}"
    ),
    **dict.fromkeys(
        (
            *("AmbiguousFunction", "AmbiguousParameter", "IndeterminateDatatype"),
            *("DatatypeMismatch", "CannotCoerce"),
        ),
        _TYPES,
    ),
    "FeatureNotSupported": "the lab's server was built without what it needs",
}


def told(error: PlanError) -> str:
    """Return why there is no plan, without any name or value from the statement."""
    if isinstance(error, WithheldError):
        return str(error)
    if error.kind.startswith("Fdw"):
        return "its foreign tables can only be planned by their own server"
    other = f"the lab's server refuses it ({error.kind})" if error.kind else "the server refuses it"
    return _WORDS.get(error.kind, other)
