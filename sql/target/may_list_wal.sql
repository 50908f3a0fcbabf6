-- A row is whether this role may list the directory of the WAL, asked beforehand: a refusal is an error in the log.
select has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') as may_list_wal
