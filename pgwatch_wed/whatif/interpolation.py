"""Values between two others, by type."""

# Values between a histogram's bounds can be interpolated if the type supports it. Of other types, there
# are only the bounds, the outermost of which represent half a bin.
BETWEEN = {
    "int2": "lo + round((hi - lo) * f)::int2",
    "int4": "lo + round((hi::int8 - lo) * f)::int4",
    "int8": "lo + round((hi::numeric - lo) * f::numeric)::int8",
    "numeric": "lo + (hi - lo) * f::numeric",
    "float4": "(lo + (hi - lo) * f)::float4",
    "float8": "lo + (hi - lo) * f",
    "date": "lo + round((hi - lo) * f)::int4",
    "timestamp": "lo + (hi - lo) * f",
    "timestamptz": "lo + (hi - lo) * f",
}
