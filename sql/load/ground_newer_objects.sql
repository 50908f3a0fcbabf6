-- A row says whether anything in the session's database is newer than the database: then somebody has used it.
with newer as (
    select c.oid
    from pg_class c
    union all
    select n.oid
    from pg_namespace n
    union all
    select p.oid
    from pg_proc p
    union all
    select t.oid
    from pg_type t
    union all
    select e.oid
    from pg_extension e
    union all
    select l.oid
    from pg_largeobject_metadata l
)

select exists (
    select
    from newer
    join pg_database d on newer.oid::int8 > d.oid::int8
    where d.datname = current_database()
) as is_used
