-- A row is the directory of the WAL: its files, and their bytes.
select count(*) as files, coalesce(sum(w.size), 0)::int8 as bytes
from pg_ls_waldir() w
