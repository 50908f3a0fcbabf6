-- A row is one setting for a role, a database or both.
select
    r.rolname::text as role,
    d.datname::text as database,
    split_part(c.setting, '=', 1) as name,
    case
        -- an application's own parameter may be a secret key
        when split_part(c.setting, '=', 1) like '%.%'
            and split_part(c.setting, '=', 1) not in (select k.name from pg_settings k) then '(hidden)'
        else substr(c.setting, strpos(c.setting, '=') + 1)
    end as value
from pg_db_role_setting s
cross join lateral unnest(s.setconfig) as c (setting)
left join pg_roles r on r.oid = s.setrole
left join pg_database d on d.oid = s.setdatabase
where s.setrole = 0 or r.oid is not null
