-- A row is what pgstattuple measured in a table: bytes, those of dead rows, those that are free.
select
    table_len as total_bytes,
    dead_tuple_len as dead_bytes,
    free_space as free_bytes,
    null::float8 as density
from @schema@.pgstattuple(%(oid)s::oid::regclass)
