-- A row is a bound of a column's histogram; the outermost represent half a bin.
select
    value::@type@,
    rest * case when place in (1, cardinality(bounds)) then 0.5 else 1 end / nullif(cardinality(bounds) - 1, 0),
    false
from found, unnest(bounds) with ordinality u (value, place)
