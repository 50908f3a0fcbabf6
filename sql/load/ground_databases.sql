-- A row is a database that may be ours, with its comment; and whether it is as we create it: of our role, without
-- settings, and nobody is in it.
select
    d.datname::text as name,
    d.oid::int8 as oid,
    shobj_description(d.oid, 'pg_database') as comment,
    d.datconnlimit::int4 as connection_limit,
    (
        pg_get_userbyid(d.datdba) = current_user and d.datallowconn and not d.datistemplate
        and not exists (select from pg_db_role_setting s where s.setdatabase = d.oid)
        and not exists (select from pg_stat_activity a where a.datid = d.oid)
    ) as is_untouched
from pg_database d
where starts_with(d.datname::text, 'pgwatch_wed_stress_')
