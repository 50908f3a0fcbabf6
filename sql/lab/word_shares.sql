-- A row is a word of several texts, with the share of rows that contain it, in the order in which ANALYZE stores them.
-- once, twice: how many words are in one and in two of the texts whose shares are not those of common values.
with shares as (
    select
        word,
        sum(share)::float8 as share,
        bool_and(is_common) as is_common
    from
        unnest(%(values)s::tsvector[], %(shares)s::float8[], %(are_common)s::bool[]) as text_search (value, share, is_common),
        unnest(tsvector_to_array(value)) as word
    group by word
)
select
    word,
    least(1, share) as share,
    (select count(*) from shares where not is_common and share <= %(least)s::float8) as once,
    (select count(*) from shares where not is_common and share > %(least)s::float8 and share <= %(twice)s::float8) as twice
from shares
where share > %(least)s::float8 or is_common
order by octet_length(word), word collate "C"
