create extension pg_trgm;
create table t (id int primary key, tags text[], doc jsonb, twice jsonb, path jsonb unique, during int4range, c text);
insert into t select g, array['t' || g % 100], jsonb_build_object('n', g), jsonb_build_object('n', g),
    jsonb_build_object('n', g), int4range(g, g + 10), 'c' || g from generate_series(1, 20000) g;
create index on t using gin (tags);
create index on t using gin (twice);
create index on t (twice);
create index on t ((doc ->> 'n'));
create index on t using gist (during);
create index on t using hash (c);
create index on t using gin (c gin_trgm_ops);
create table tiny (tags int[]);
insert into tiny values ('{1}');
create index on tiny (tags);
create table log (id int primary key, at int, back int, bloom int, multi int, pad text);
insert into log select g, g, -g, (g::bigint * 7919 % 100003)::int, 0, repeat('x', 100) from generate_series(1, 100000) g;
create index on log using brin (at);
create index on log using brin (back);
analyze;
