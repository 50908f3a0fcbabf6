-- A row is what pgstatindex measured in a B-tree: its size, the size of empty pages, and the density of its leaves.
select
    index_size as total_bytes,
    (deleted_pages + empty_pages) * current_setting('block_size')::int8 as dead_bytes,
    0::int8 as free_bytes,
    avg_leaf_density as density
from @schema@.pgstatindex(%(oid)s::oid::regclass)
