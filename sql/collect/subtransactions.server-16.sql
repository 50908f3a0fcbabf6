-- A row is a session whose transaction has open subtransactions (savepoints, exception blocks).
select s.pid, (s.found).subxact_count as open_count, (s.found).subxact_overflowed as is_overflowed
from (
    select pg_stat_get_backend_pid(b.id) as pid, pg_stat_get_backend_subxact(b.id) as found
    from pg_stat_get_backend_idset() as b (id)
    offset 0
) s
where (s.found).subxact_count > 0 or (s.found).subxact_overflowed
