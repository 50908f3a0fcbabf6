-- A row says that a session of ours was ended.
select /* pgwatch_wed:target_end_deadline */ pg_catalog.pg_stat_clear_snapshot();
select /* pgwatch_wed:target_end_deadline */ pg_catalog.pg_terminate_backend(pid) as is_ended from @sessions@
