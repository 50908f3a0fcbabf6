-- A row says whether this role may read the server's identity.
select coalesce(bool_and(has_function_privilege(f::oid, 'execute')), false) as may
from unnest(array[to_regprocedure('pg_control_system()'), to_regprocedure('pg_control_checkpoint()'), to_regprocedure('pg_control_recovery()')]) f
