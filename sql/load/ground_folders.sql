-- A row is where a load may write beside the data directory: the log, null without a collector or if we may not know, and
-- the tablespaces of our database and of temporary files.
select
    (
        select l.setting
        from pg_settings l, pg_settings c
        where l.name = 'log_directory' and c.name = 'logging_collector' and c.setting = 'on'
    ) as log_directory,
    array(
        select pg_tablespace_location(t.oid)
        from pg_tablespace t
        where pg_tablespace_location(t.oid) <> ''
            and (
                t.oid = (select d.dattablespace from pg_database d where d.datname = current_database())
                or t.spcname = current_setting('default_tablespace')
                or t.spcname = any (string_to_array(translate(current_setting('temp_tablespaces'), '" ', ''), ','))
            )
    ) as tablespaces
