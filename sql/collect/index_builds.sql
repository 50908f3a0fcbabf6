-- A row is a running CREATE INDEX or REINDEX of this database.
select
    pid,
    relid::int8 as relation_oid,
    index_relid::int8 as index_oid,
    command,
    phase
from pg_stat_progress_create_index
where datid = (select oid from pg_database where datname = current_database())
