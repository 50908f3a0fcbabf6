-- pg: >= 14
create table log (id int primary key, at int, pad text);
insert into log select g, (g::bigint * 7919 % 100003)::int, repeat('x', 100) from generate_series(1, 100000) g;
create index on log using brin (at int4_bloom_ops);
create index on log using brin (at int4_minmax_multi_ops);
analyze;
