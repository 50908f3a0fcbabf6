-- expect: public.t_tags
-- expect: public.t_doc
-- expect: public.t_words
-- expect: public.t_during
-- expect: public.scattered
create table t (id int primary key, tags text[], doc jsonb, words tsvector, during int4range);
insert into t select g, array['t' || g % 100, 'u' || g], jsonb_build_object('n', g, 'tag', 't' || g % 100),
    to_tsvector('simple', 'word' || g), int4range(g, g + 10) from generate_series(1, 20000) g;
create index t_tags on t (tags);
create index t_doc on t (doc);
create index t_words on t (words);
create index t_during on t (during);
create table log (id int primary key, at int, pad text);
insert into log select g, (g::bigint * 7919 % 100003)::int, repeat('x', 100) from generate_series(1, 100000) g;
create index scattered on log using brin (at);
analyze;
select count(*) from t where tags @> array['t5'];
select count(*) from t where doc @> '{"n": 5}';
