-- A row is a setting of a role or a database (ALTER ROLE, ALTER DATABASE … SET) that applies here to one of the roles, or to all.
select
    r.rolname::text as role,
    s.setdatabase <> 0 as is_of_database,
    split_part(c.setting, '=', 1) as name,
    substr(c.setting, strpos(c.setting, '=') + 1) as value,
    coalesce(r.rolname = current_user, false) as is_ours
from pg_db_role_setting s
cross join lateral unnest(s.setconfig) c (setting)
left join pg_roles r on r.oid = s.setrole
where s.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
    and (s.setrole = 0 or r.rolname = current_user or r.rolname = any (%(users)s::text[]))
