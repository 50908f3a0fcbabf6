-- Ends the sessions of a block that are left, and counts them.
select count(pg_terminate_backend(pid))
from pg_stat_activity
where application_name = %(name)s and datname = current_database() and pid <> pg_backend_pid()
