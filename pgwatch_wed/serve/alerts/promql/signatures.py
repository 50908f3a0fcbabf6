"""The functions and aggregations that are evaluated here."""

# The sample functions: of the samples of one series in a window.
OVER_WINDOW = frozenset(
    {
        *("rate", "increase", "delta", "irate", "idelta", "changes", "resets", "deriv"),
        *("predict_linear", "avg_over_time", "min_over_time", "max_over_time", "sum_over_time"),
        *("count_over_time", "last_over_time", "present_over_time", "quantile_over_time"),
        *("stddev_over_time", "stdvar_over_time"),
    }
)
# Of one value each.
OF_VALUES = frozenset(
    {
        *("abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn"),
        *("round", "clamp", "clamp_min", "clamp_max"),
    }
)
# Of a moment in seconds; without an argument, of the evaluation's.
OF_DATES = frozenset(
    {"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month"}
    | {"month", "year"}
)
OTHERS = frozenset(
    {
        *("absent", "absent_over_time", "histogram_quantile", "label_replace", "label_join"),
        *("scalar", "vector", "time", "timestamp", "pi", "sort", "sort_desc"),
    }
)
FUNCTIONS = OVER_WINDOW | OF_VALUES | OF_DATES | OTHERS
AGGREGATIONS = frozenset(
    {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"}
    | {"topk", "bottomk", "count_values"}
)
