-- The remote server is asked for each plan: its own statistics count.
-- limits: {"min_calls": 1}
create extension postgres_fdw;
create server asked foreign data wrapper postgres_fdw options (use_remote_estimate 'true');
create server not_asked foreign data wrapper postgres_fdw options (use_remote_estimate 'false');
create foreign table one (a int) server asked;
create foreign table two (a int) server not_asked options (use_remote_estimate 'true');
create foreign table never_named (a int) server not_asked;
select 1;
