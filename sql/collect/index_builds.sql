-- A row is a running CREATE INDEX or REINDEX of this database.
select
    pid,
    relid::int8 as relation_oid,
    index_relid::int8 as index_oid,
    command,
    phase
from pg_stat_progress_create_index
where datname = current_database()
