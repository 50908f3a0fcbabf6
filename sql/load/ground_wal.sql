-- The size of the WAL. Who may not call the function cannot run the query at all, whatever is around the call.
select sum(w.size)::int8 from pg_ls_waldir() w
