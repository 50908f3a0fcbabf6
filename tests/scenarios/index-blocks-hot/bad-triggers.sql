-- expect: public.t_updated
-- expect: public.t_modified
-- expect: public.t_words
-- expect: public.t_total
-- expect: public.p_updated
-- remedy: keeps: counters are not reset when an index is dropped
create extension moddatetime;
create table t (
    id int primary key, n int, updated_at timestamptz, modified timestamp, body text, words tsvector, "Ver$ion" int, idle int,
    total int generated always as (n * 2) stored
) with (fillfactor = 20);
create function touch() returns trigger language plpgsql as $f$
begin
    -- NEW.idle := 1;
    if NEW.idle = OLD.idle then
        NEW.updated_at = clock_timestamp();
    end if;
    return new;
end $f$;
create trigger touch before update on t for each row execute function touch();
create trigger modified before update of n on t for each row execute function moddatetime(modified);
create trigger words before insert or update on t
    for each row execute function tsvector_update_trigger(words, 'pg_catalog.english', body);
insert into t (id, n, body, idle) select g, g, 'some words', 1 from generate_series(1, 1500) g;
create index t_updated on t (updated_at);
create index t_modified on t (modified);
create index t_words on t using gin (words);
create index t_total on t (total);
create index t_idle on t (idle);
create index t_version on t ("Ver$ion");
create table p (id int, at date, n int, updated_at timestamptz, idle int) partition by range (at);
create table p_one partition of p for values from ('2020-01-01') to ('2021-01-01') with (fillfactor = 20);
create trigger touch before update on p for each row execute function touch();
insert into p select g, '2020-03-03', 0, null, 1 from generate_series(1, 1500) g;
create index p_updated on p (updated_at);
create index p_idle on p (idle);
analyze;
update t set n = n + 1;
update t set body = body || ' more';
update p set n = n + 1;
select pg_sleep(0.7);
select 1;
