-- Our sessions with a certain name.
pg_catalog.pg_stat_activity
where application_name = @name@ and usename = session_user
