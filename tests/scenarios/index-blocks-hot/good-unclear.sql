-- Nothing in the statement explains it: the trigger assigns the whole row.
-- unknown: which columns the trigger whole sets is not known
create table t (id int primary key, n int, updated_at timestamptz) with (fillfactor = 20);
create function whole() returns trigger language plpgsql as $f$
begin
    NEW := jsonb_populate_record(NEW, jsonb_build_object('updated_at', clock_timestamp()));
    return NEW;
end $f$;
create trigger whole before update on t for each row execute function whole();
insert into t select g, g from generate_series(1, 1500) g;
create index t_updated on t (updated_at);
analyze;
update t set n = n + 1;
select pg_sleep(0.7);
select 1;
