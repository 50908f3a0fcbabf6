-- A row is a word of several texts, with the share of rows that contain it, in the order in which ANALYZE stores them.
select
    word,
    least(1, sum(share))::float8 as share
from
    unnest(%(values)s::tsvector[], %(shares)s::float8[], %(are_common)s::bool[]) as text_search (value, share, is_common),
    unnest(tsvector_to_array(value)) as word
group by word
having sum(share) > %(least)s::float8 or bool_and(is_common)
order by octet_length(word), word collate "C"
