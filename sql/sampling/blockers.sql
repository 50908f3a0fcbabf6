-- A row is a process, and those that it waits for.
select w.pid, pg_blocking_pids(w.pid) as blocked_by
from unnest(%(pids)s::int4[]) w (pid)
