-- A row is a prepared transaction in any database.
select
    gid,
    owner::text as owner,
    database::text as database,
    prepared as prepared_at,
    age(transaction)::int8 as xid_age_xids
from pg_prepared_xacts
