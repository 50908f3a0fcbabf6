-- expect: public.deep_k_idx
-- expect: public.u_key
-- the parts of an incomplete index are not reported one by one
create table deep (id int, k int) partition by range (id);
create table deep_1 partition of deep for values from (0) to (9) partition by range (k);
create table deep_1a partition of deep_1 for values from (0) to (9);
create table deep_1b partition of deep_1 default;
create table deep_2 partition of deep default;
create index deep_k_idx on only deep (k);
create index deep_2_k_idx on deep_2 (k);
alter index deep_k_idx attach partition deep_2_k_idx;
create index deep_1_k_idx on only deep_1 (k);
alter index deep_k_idx attach partition deep_1_k_idx;
create index by_hand on deep_1a (k);
-- a part that a failed build left invalid, and a constraint's own index
create table u (id int, k int) partition by range (id);
create table u_1 partition of u for values from (0) to (9);
create table u_2 partition of u default;
insert into u values (1, 1), (1, 1);
create unique index u_key on only u (id);
\set ON_ERROR_STOP off
create unique index concurrently u_1_key on u_1 (id);
\set ON_ERROR_STOP on
delete from u;
alter index u_key attach partition u_1_key;
alter table u_2 add constraint u_2_key unique (id);
