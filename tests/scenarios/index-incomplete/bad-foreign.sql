-- expect: public.f_k_idx
-- an index that waits for one of a foreign table never becomes valid
create foreign data wrapper none;
create server far foreign data wrapper none;
create table f (id int, k int) partition by range (id);
create table f_1 partition of f for values from (0) to (9);
create table f_2 partition of f for values from (9) to (19) partition by range (k);
create table f_2a partition of f_2 default;
create foreign table f_far partition of f default server far;
create index f_k_idx on only f (k);
create index f_1_k_idx on f_1 (k);
alter index f_k_idx attach partition f_1_k_idx;
