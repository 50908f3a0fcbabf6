-- A row is an advisory lock that somebody holds, in any database: a run that lives holds its own.
select (l.classid::int8 << 32) | l.objid::int8 as key
from pg_locks l
where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
