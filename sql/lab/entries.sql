-- A row is an entry that a GIN index creates from a column's sampled values: its place in a document, number of values, share of rows, bytes.
with recursive @sampled@, numbered as (
    select row_number() over () as number, share, is_common, (@expression@) as value
    from (
        select value as @name_as_column@, share, is_common from sampled where value is not null
    ) as @alias@
), @parts@
select
    kind,
    count(*) as values,
    sum(share)::float8 as share,
    octet_length(entry)::int as size,
    bool_or(is_common) as is_common
from (
    select distinct number, share, is_common, kind, entry from parts where entry is not null
) x
group by kind, entry
