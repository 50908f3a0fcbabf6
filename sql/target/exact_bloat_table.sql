-- A row is what pgstattuple measured in a table: its size, the size of dead rows, and free space.
select
    table_len as total_bytes,
    dead_tuple_len as dead_bytes,
    free_space as free_bytes,
    null::float8 as density
from @schema@.pgstattuple(%(oid)s::oid::regclass)
